"""Every entry of the log about one object or one case, with its place: what proofs are asked for."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.cases.filing import CaseNotFound
from archive.cases.models import Case, CaseLink
from archive.custody.models import CustodyEvent
from archive.db.sight import sight_of
from archive.documents.models import Draft
from archive.kernel.ids import CaseId, EntryId, ObjectId
from archive.kernel.instants import Instant, parse_instant
from archive.ledger.models import LogCheckpoint, LogEntry, LogLeaf
from archive.ledger.proofs import inclusion_at

_AT_ONCE: Final = 500
_EARLIER: Final = timedelta(days=1)
"""Ids hold the machine's time, rows the archive's: so far apart they never are."""


@dataclass(frozen=True, slots=True)
class EntryPlace:
    """An entry and its place. `index` and `covered_by`, the first checkpoint over it, are None until it has them."""

    entry_id: EntryId
    type: str
    at: Instant
    kind: str
    index: int | None
    covered_by: int | None
    body: bytes


def entries_of_object(tx: Session, object_id: ObjectId) -> Sequence[EntryPlace]:
    """Return every entry about a preserved object, in the order of the log."""
    ids = tx.scalars(select(CustodyEvent.entry_id).where(CustodyEvent.object_id == object_id))
    return _places(tx, ids)


def entries_of_case(tx: Session, case_id: CaseId) -> Sequence[EntryPlace]:
    """Return every entry about a case and about what is filed under it now, in the order of the log.

    Reads the log from the day on which the case was opened, in bounded memory: for when somebody asks, not for each
    page. Raises: CaseNotFound.
    """
    case = tx.get(Case, case_id)
    if case is None:
        raise CaseNotFound
    filed = select(CaseLink.object_id).where(CaseLink.case_id == case_id)
    ids = set(tx.scalars(select(CustodyEvent.entry_id).where(CustodyEvent.object_id.in_(filed))))
    seen = None if sight_of(tx) is None else _seen_objects(tx, case_id)
    mark, first = str(case_id).encode(), _first_id(case.opened_at - _EARLIER)
    log = select(LogEntry.id, LogEntry.body).where(LogEntry.id >= first).execution_options(yield_per=1000)
    for entry_id, body in tx.execute(log):
        if mark in body and _is_about(fields := json.loads(body), str(case_id)) and _is_seen(fields, seen):
            ids.add(entry_id)
    return _places(tx, ids)


def _seen_objects(tx: Session, case_id: CaseId) -> Collection[str]:
    events = select(CustodyEvent.object_id).where(CustodyEvent.case_id == case_id).distinct()
    written = select(Draft.id).where(Draft.case_id == case_id)  # what is not filed yet is no object yet
    return {str(found) for found in (*tx.scalars(events), *tx.scalars(written))}


def _is_seen(fields: Mapping[str, Any], seen: Collection[str] | None) -> bool:
    """Return whether an entry about a case tells of nothing that is filed there and not seen."""
    target = fields.get("obj") or {}
    return seen is None or target.get("kind") not in {"item", "record", "object"} or target.get("id") in seen


def proofs_of(tx: Session, places: Iterable[EntryPlace]) -> Iterator[dict[str, Any]]:
    """Yield each entry with the proof that it is in the log, None while no checkpoint covers it.

    Raises: TreeDamaged. Source: C2SP tlog-proof.
    """
    for place in places:
        proof = None if place.index is None else inclusion_at(tx, place.index)
        yield {
            "entry": place.body.decode(),
            "index": place.index,
            "proof": None if proof is None else str(proof),
        }


def _is_about(fields: dict[str, Any], case_id: str) -> bool:
    return fields.get("case") == case_id or fields.get("obj", {}).get("id") == case_id


def _first_id(at: Instant) -> UUID:
    """Return the smallest UUIDv7 of a moment."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)


def _places(tx: Session, entry_ids: Iterable[UUID]) -> Sequence[EntryPlace]:
    covered_by = select(func.min(LogCheckpoint.size)).where(LogCheckpoint.size > LogLeaf.index).scalar_subquery()
    wanted, found = list(entry_ids), []
    for start in range(0, len(wanted), _AT_ONCE):
        rows = tx.execute(
            select(LogEntry.id, LogEntry.body, LogLeaf.index, covered_by)
            .outerjoin(LogLeaf, LogLeaf.entry_id == LogEntry.id)
            .where(LogEntry.id.in_(wanted[start : start + _AT_ONCE]))
        )
        for entry_id, body, index, size in rows:
            fields = json.loads(body)
            found.append(
                EntryPlace(
                    entry_id=EntryId(entry_id),
                    type=fields["type"],
                    at=parse_instant(fields["t"]),
                    kind=fields.get("obj", {}).get("kind", ""),
                    index=index,
                    covered_by=None if index is None else size,
                    body=body,
                )
            )
    return sorted(found, key=lambda place: (place.index is None, place.index or 0, place.entry_id))
