"""Fixity: re-reading what is stored and holding it against catalogue, inventory and signature.

First part: one object, when somebody asks. Rounds over the whole store build on it.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.events import digests_of, preserved_object, record_event
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.database import Database
from archive.kernel.canonical import parse_canonical
from archive.kernel.digests import DigestSet, hash_stream
from archive.kernel.errors import InvalidInput, NotFound, Unavailable
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, valid
from archive.kernel.ids import EntryId, ObjectId
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ledger.models import LogEntry
from archive.ledger.proofs import inclusion
from archive.ledger.tree import InclusionInvalid, TreeDamaged, leaf_hash, verify_inclusion
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import StoreBroken
from archive.ports.clock import Clock
from retention.renewals.judging import read_signed
from signing.renewals import judge_signed

_PRESERVING: Final = (
    EntryType.OBJECT_PRESERVED.value,
    EntryType.RECORD_FILED.value,
    EntryType.VOLUME_CLOSED.value,
)


@dataclass(frozen=True, slots=True)
class Fixity:
    """What a fixity check needs, put together by wiring."""

    database: Database
    objects: OcflRoot
    clock: Clock
    trust_roots_pem: bytes


def check_fixity(fixity: Fixity, object_id: ObjectId, *, by: Actor) -> Report:
    """Re-read every byte of an object and say valid, invalid or indeterminate, naming the file.

    1. the OCFL object is whole: every stored file has the digest of its inventory   2. the original has the digests of
    the catalogue   3. the item manifest names them, and is signed by the archive   4. so does the log entry of its
    preservation, which has its place in the tree once it is sequenced. The outcome is written to custody trail and
    log (`fixity.ok`, `fixity.fail`); an indeterminate check is a `fixity.fail` with its findings.

    Raises: ObjectNotFound.
    """
    row, report = examine(fixity, object_id)
    held = report.outcome is Outcome.VALID
    at = fixity.clock.now()
    with fixity.database.begin() as tx:
        record_event(
            tx,
            object_id,
            NewEntry(
                EntryType.FIXITY_OK if held else EntryType.FIXITY_FAIL,
                by,
                Target(row.kind, object_id),
                digests=digests_of(row),
                detail={
                    "outcome": report.outcome.value,
                    "findings": [
                        {"code": finding.code, "where": finding.where}
                        for finding in report.findings
                        if finding.outcome is not Outcome.VALID
                    ][:20],
                },
            ),
            at=at,
        )
    return report


def examine(fixity: Fixity, object_id: ObjectId) -> tuple[PreservedObject, Report]:
    """Do what `check_fixity` does and write nothing down; return the catalogue's row and what was found.

    Raises: ObjectNotFound.
    """
    with fixity.database.read() as tx:
        row = preserved_object(tx, object_id)
        logged = _logged(tx, object_id, digests_of(row))  # 4
    findings = [
        *fixity.objects.validate(object_id).findings,  # 1
        _original(fixity, object_id, row.content_path, digests_of(row)),  # 2
        *_signature(fixity, object_id, digests_of(row)),  # 3
        logged,
    ]
    return row, Report(tuple(findings))


def _original(fixity: Fixity, object_id: ObjectId, path: str, expected: DigestSet) -> Finding:
    try:
        with fixity.objects.open_file(object_id, path) as source:
            found = hash_stream(source)
    except NotFound:
        return invalid("fixity.original_missing", "The original is not in the store", path)
    except StoreBroken as exc:
        return invalid("fixity.original_broken", f"The original is not where it must be: {exc.message}", path)
    except (Unavailable, OSError) as exc:
        return indeterminate("fixity.original_unreadable", f"The original cannot be read: {exc}", path)
    if not found.agrees_with(expected):
        return invalid("fixity.original_changed", "The original does not have the digests of the catalogue", path)
    return valid("fixity.original", "The original has the digests that were logged when it came in", path)


def _signature(fixity: Fixity, object_id: ObjectId, expected: DigestSet) -> tuple[Finding, ...]:
    try:
        signed = read_signed(fixity.objects, object_id)
        report = judge_signed(signed, trust_roots_pem=fixity.trust_roots_pem, at=fixity.clock.now(), where="metadata")
    except (NotFound, StoreBroken):
        return (invalid("fixity.manifest_missing", "The item manifest or its signature is missing", "metadata"),)
    except (Unavailable, OSError) as exc:
        return (indeterminate("fixity.manifest_unreadable", f"The item manifest cannot be read: {exc}", "metadata"),)
    if not _names(signed.manifest, object_id, expected):
        differs = invalid(
            "fixity.manifest_differs",
            "The item manifest names another object, or other digests than the catalogue",
            "metadata/manifest.json",
        )
        return (*report.findings, differs)
    return tuple(report.findings)


def _names(manifest: bytes, object_id: ObjectId, expected: DigestSet) -> bool:
    try:
        told = parse_canonical(manifest)
        digests = {name: told[name] for name in expected.as_json()}
        return bool(told["id"] == str(object_id) and DigestSet.from_json(told["size"], digests).agrees_with(expected))
    except (InvalidInput, KeyError, TypeError):
        return False


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
