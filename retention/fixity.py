"""Fixity: re-reading one object when somebody asks, against catalogue, inventory, signature and log.

Rounds over everything that is stored: `retention.rounds`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.events import digests_of, kept_object, preserved_object
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.database import Database
from archive.kernel.canonical import parse_canonical
from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Outcome, Report, invalid, valid
from archive.kernel.ids import EntryId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType
from archive.ledger.models import LogEntry
from archive.ledger.proofs import inclusion
from archive.ledger.tree import InclusionInvalid, TreeDamaged, leaf_hash, verify_inclusion
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from retention.rounds.models import ORIGINALS, FixityCheck
from retention.rounds.outcomes import Where, tell_checked
from retention.rounds.reading import MANIFEST, SIGNATURE, Original, Reading, read_object
from signing.cades import check_detached

_PRESERVING: Final = (
    EntryType.OBJECT_PRESERVED.value,
    EntryType.RECORD_FILED.value,
    EntryType.VOLUME_CLOSED.value,
    EntryType.DISPOSAL_CERTIFIED.value,
)


@dataclass(frozen=True, slots=True)
class Fixity:
    """What a fixity check needs, put together by wiring."""

    database: Database
    objects: OcflRoot
    clock: Clock
    trust_roots_pem: bytes


def check_fixity(fixity: Fixity, object_id: ObjectId, *, by: Actor) -> Report:
    """Re-read every byte of an object once and say valid, invalid or indeterminate, naming the file.

    1. the OCFL object is whole: every stored file has the digest of its inventory   2. the original has the digests of
    the catalogue   3. the item manifest names them, and is signed by the archive   4. so does the log entry of its
    preservation, which has its place in the tree once it is sequenced. The outcome is written to custody trail and
    log (`fixity.ok`, `fixity.fail`), and counts for the round; an indeterminate check is a `fixity.fail` with its
    findings. Where stored bytes are not what they must be, the object is damaged from then on.

    Raises: ObjectNotFound, ObjectDestroyed.
    """
    with fixity.database.read() as tx:
        row = kept_object(tx, object_id)
        known = tx.get(FixityCheck, (object_id, ORIGINALS))
    reading = read_object(fixity.objects, Original.of(row), least_head=0 if known is None else known.head)  # 1, 2
    report = judged(fixity, object_id, reading)
    at, where = fixity.clock.now(), Where(ORIGINALS, ORIGINALS)
    with fixity.database.begin() as tx:
        is_damage = reading.report.outcome is Outcome.INVALID
        tell_checked(tx, row, where, report, head=reading.head, is_damage=is_damage, by=by, at=at)
    return report


def examine(fixity: Fixity, object_id: ObjectId) -> tuple[PreservedObject, Report]:
    """Do what `check_fixity` does and write nothing down; return the catalogue's row and what was found.

    Raises: ObjectNotFound, ObjectDestroyed.
    """
    with fixity.database.read() as tx:
        row = kept_object(tx, object_id)
    return row, judged(fixity, object_id, read_object(fixity.objects, Original.of(row)))


def judged(fixity: Fixity, object_id: ObjectId, reading: Reading, *, at: Instant | None = None) -> Report:
    """Return what `examine` would of an object that was just read, its signature judged as of `at`, by default now.

    Raises: ObjectNotFound.
    """
    with fixity.database.read() as tx:
        row = preserved_object(tx, object_id)
        logged = _logged(tx, object_id, digests_of(row))  # 4
    return Report((*reading.report.findings, *_signature(fixity, reading, at or fixity.clock.now()), logged))


def _signature(fixity: Fixity, reading: Reading, at: Instant) -> Sequence[Finding]:
    content, signature = (reading.kept.get(name) for name in (MANIFEST, SIGNATURE))
    if content is None or signature is None:
        return ()  # told already
    return check_detached(content, signature, trust_roots_pem=fixity.trust_roots_pem, at=at).findings


def _logged(tx: Session, object_id: ObjectId, expected: DigestSet) -> Finding:
    where = "log"
    entry = tx.scalar(
        select(LogEntry)
        .join(CustodyEvent, CustodyEvent.entry_id == LogEntry.id)
        .where(CustodyEvent.object_id == object_id, CustodyEvent.type.in_(_PRESERVING))
    )
    if entry is None:
        return invalid("fixity.entry_missing", "There is no log entry of its preservation", where)
    try:
        fields = parse_canonical(entry.body)
        agrees = DigestSet.from_json(fields["size"], fields["dig"]).agrees_with(expected)
        names = agrees and fields["obj"]["id"] == str(object_id) and fields["type"] in _PRESERVING
        proof = inclusion(tx, EntryId(entry.id))
        if proof is not None:
            head = proof.checkpoint
            verify_inclusion(
                leaf_hash(entry.body), index=proof.index, size=head.size, proof=proof.hashes, root=head.root
            )
    except (InvalidInput, KeyError, TypeError):
        names = False
    except (InclusionInvalid, TreeDamaged):
        return invalid("fixity.entry_not_in_log", "The log entry of its preservation is not the one in the log", where)
    if not names:
        return invalid("fixity.entry_differs", "The log entry of its preservation names other digests", where)
    return valid("fixity.entry", "The log entry of its preservation names the digests of the catalogue", where)
