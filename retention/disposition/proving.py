"""Whether enough people have agreed, by what stands in the log: rows alone let nobody destroy anything."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import roles_in
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import InvalidInput, LiuhenError, Unavailable
from archive.kernel.ids import EntryId
from archive.kernel.instants import Instant, parse_instant
from archive.ledger.entries import EntryType, commitment
from archive.ledger.models import LogDetail, LogEntry
from archive.ledger.proofs import inclusion
from archive.ledger.tree import InclusionInvalid, TreeDamaged, leaf_hash, verify_inclusion
from retention.disposition.authority import Taken, is_sufficient
from retention.disposition.freezing import (
    content_of,
    digest_of_content,
    digest_of_standing,
    items_of,
    standing_ids,
)
from retention.disposition.models import DispositionList, DispositionPart
from retention.disposition.terms import Opinion, Part
from retention.disposition.vouching import is_vouched

_TYPES: Final = {
    Part.PROPOSE: EntryType.DISPOSAL_PROPOSED,
    Part.APPRAISE: EntryType.DISPOSAL_APPRAISED,
    Part.APPROVE: EntryType.DISPOSAL_DECIDED,
    Part.SUPERVISE: EntryType.DISPOSAL_SUPERVISED,
}


class ListDisagrees(LiuhenError):
    """The list is not what the log says that people agreed to; nothing was destroyed. Have the archive checked."""

    code = "disposition.disagrees"
    exit_code = 65


class NotInLogYet(Unavailable):
    """No checkpoint covers what was decided about this list yet; the sequencer must run."""

    code = "disposition.not_in_log_yet"


def agreed_until(tx: Session, row: DispositionList, *, key: bytes) -> Instant:
    """Return when the recovery period of a list ends, by the entries of those who agreed, each proven to be in the log.

    1. The rows of the list have the digest that everybody decided about.   2. Each part has its entry: in the tree,
    of the right type and person, about this list and this digest, its detail opens its commitment, and the machine
    that asked for the password has vouched for it with `key`.   3. Who approved and who supervises agreed to the same
    objects, those that nobody struck.   4. They are enough, and nobody has two parts.   5. The period counts from the
    last supervisor's entry.
    Raises: ListDisagrees, NotInLogYet.
    """
    items = items_of(tx, row.id)
    if digest_of_content(content_of(row, items)) != row.sha256:  # step 1
        raise ListDisagrees(why="content")
    standing = digest_of_standing(standing_ids(items))
    told = [
        (part, _told(tx, row, part, key))  # step 2
        for part in tx.scalars(select(DispositionPart).where(DispositionPart.list_id == row.id)).all()
    ]
    taken: list[Taken] = []
    ends: list[Instant] = []
    struck: set[str] = set()
    for part, (fields, detail) in told:
        kind = Part(part.part)
        if kind in {Part.APPROVE, Part.SUPERVISE} and detail.get("standing") != standing:  # step 3
            raise ListDisagrees(why="standing")
        if kind is Part.APPROVE and detail.get("approves") is not True:
            raise ListDisagrees(why="refused")
        if kind is Part.SUPERVISE:
            ends.append(parse_instant(fields["t"]))
        struck |= {str(each["object"]) for each in detail.get("struck", ())}
        agrees = detail.get("opinion") != Opinion.KEEP.value
        taken.append(Taken(part.account_id, kind, roles_in(str(detail.get("roles", ""))), agrees))
    if struck != {str(item.object_id) for item in items} - {str(each) for each in standing_ids(items)}:
        raise ListDisagrees(why="struck")
    if not is_sufficient(taken):  # step 4
        raise ListDisagrees(why="insufficient")
    return max(ends) + timedelta(days=row.period_days)  # step 5


def _told(
    tx: Session, row: DispositionList, part: DispositionPart, key: bytes
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    entry, kept = tx.get(LogEntry, part.entry_id), tx.get(LogDetail, part.entry_id)
    if entry is None or kept is None:
        raise ListDisagrees(why="entry")
    _require_in_tree(tx, part.entry_id, entry.body)
    try:
        fields, detail = parse_canonical(entry.body), parse_canonical(kept.detail)
        is_so = (
            fields["detail_c"] == commitment(kept.salt, kept.detail)
            and fields["type"] == _TYPES[Part(part.part)].value
            and fields["actor"] == str(part.account_id)
            and fields["obj"]["id"] == str(row.id)
            and detail["sha256"] == row.sha256
            and detail["roles"] == part.roles
        )
        is_vouched_for = is_vouched(key, fields, detail)
    except (InvalidInput, KeyError, TypeError, ValueError) as exc:
        raise ListDisagrees(why="entry") from exc
    if not is_so:
        raise ListDisagrees(why="entry")
    if not is_vouched_for:
        raise ListDisagrees(why="not_vouched")
    return fields, detail


def _require_in_tree(tx: Session, entry_id: UUID, body: bytes) -> None:
    try:
        proof = inclusion(tx, EntryId(entry_id))
        if proof is None:
            raise NotInLogYet
        head = proof.checkpoint
        verify_inclusion(leaf_hash(body), index=proof.index, size=head.size, proof=proof.hashes, root=head.root)
    except (InclusionInvalid, TreeDamaged) as exc:
        raise ListDisagrees(why="tree") from exc


def stands_by(parts: Sequence[DispositionPart], part: Part) -> Sequence[DispositionPart]:
    """Return who has a part, in the order in which they took it."""
    return sorted((each for each in parts if each.part == part.value), key=lambda each: each.at)
