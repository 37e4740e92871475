"""Proposing a list: objects whose time is over, each asked for everything that stops it; frozen with their digests."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, true
from sqlalchemy.orm import Session

from archive.access.callers import text_of_roles
from archive.calendar.days import local_day
from archive.cases.models import Case, CaseLink
from archive.custody.models import PreservedObject
from archive.db.base import insert_row, insert_rows
from archive.db.database import Database, unique_or
from archive.db.sight import sight_of, unbound
from archive.kernel.errors import Conflict, InvalidInput
from archive.kernel.ids import DispositionId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.volumes.models import Volume
from retention.disposition.confirming import Confirmed
from retention.disposition.deciding import require_part
from retention.disposition.freezing import content_of, digest_of_content
from retention.disposition.models import DispositionItem, DispositionList, DispositionPart
from retention.disposition.reaching import reach_lists
from retention.disposition.rules import DisposalRules
from retention.disposition.terms import CERTIFICATE, TARGET, ItemState, ListState, Part
from retention.disposition.vouching import vouch
from retention.planning.models import RetentionPlan
from retention.stops import Stop, StopKind

MOST_OBJECTS: Final = 2000
"""Objects on one list: people read it."""
MOST_TITLE: Final = 200
MOST_REASON: Final = 1000
_LOOKED_AT: Final = 10_000
_BATCH: Final = 500
_TRIES: Final = 5


class NothingToDispose(InvalidInput):
    """Nothing that was chosen may be destroyed: each object is stopped by something."""

    code = "disposition.nothing"


class ListNumberTaken(Conflict):
    """Several lists are being proposed at once, and another has this number: try again."""

    code = "disposition.number_taken"
    retryable = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects are looked for: of a kind, of a unit, of a case (its number); whose time was over by a moment."""

    kind: str = ""
    unit_id: UUID | None = None
    case_number: str = ""
    due_by: Instant | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object whose time is over, with everything that stops it."""

    object_id: UUID
    kind: str
    name: str
    size_bytes: int
    retain_until: Instant
    rule: str | None
    stops: Sequence[Stop]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a proposal would list. Units: objects, and bytes of their originals.

    `stopped` counts objects by what stops them; one may be stopped by several things. `is_cut`: there are more than are
    looked at, or fit on one list.
    """

    looked_at: int = 0
    objects: int = 0
    size_bytes: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    stopped: Mapping[StopKind, int] = field(default_factory=dict)
    is_cut: bool = False


def candidates(
    tx: Session, rules: DisposalRules, wanted: Wanted, *, at: Instant, after: tuple[Instant, UUID] | None, limit: int
) -> Sequence[Candidate]:
    """Return objects whose time is over and what stops each, the longest over first, after a row of the list."""
    rows = _due(tx, wanted, at=at, after=after, limit=limit)
    stops = rules.stops(tx, [row.object_id for row in rows], at)
    return [
        Candidate(
            row.object_id, row.kind, row.name, row.size_bytes, row.retain_until, row.rule, stops[row.object_id]
        )
        for row in rows
    ]  # fmt: skip


def dry_run(tx: Session, rules: DisposalRules, wanted: Wanted, *, at: Instant) -> DryRun:
    """Return what a proposal would list now. Looks at up to 10,000 objects."""
    kinds, stopped, looked_at, objects, size_bytes = Counter[str](), Counter[StopKind](), 0, 0, 0
    for candidate in _all_candidates(tx, rules, wanted, at=at):
        looked_at += 1
        stopped.update({stop.kind for stop in candidate.stops})
        if not candidate.stops and objects < MOST_OBJECTS:
            objects, size_bytes = objects + 1, size_bytes + candidate.size_bytes
            kinds[candidate.kind] += 1
        elif not candidate.stops:
            return DryRun(looked_at, objects, size_bytes, kinds, stopped, is_cut=True)
    return DryRun(looked_at, objects, size_bytes, kinds, stopped, is_cut=looked_at >= _LOOKED_AT)


def propose_list(
    database: Database, rules: DisposalRules, wanted: Wanted, *, title: str, reason: str, by: Confirmed, at: Instant
) -> DispositionId:
    """Propose a list of what is wanted and not stopped, up to 2,000 objects; it is frozen from now on.

    Raises: NotConfirmed, PartRefused, NothingToDispose, ListNumberTaken, InvalidInput.
    """
    title, reason = clean_text(title, "title", MOST_TITLE), clean_text(reason, "reason", MOST_REASON)
    for left in reversed(range(_TRIES)):
        try:
            with unique_or(ListNumberTaken):
                return _propose(database, rules, wanted, title, reason, by, at)
        except ListNumberTaken:
            if not left:
                raise
    raise AssertionError


def _propose(
    database: Database, rules: DisposalRules, wanted: Wanted, title: str, reason: str, by: Confirmed, at: Instant
) -> DispositionId:
    caller, list_id = by.require_fresh(at), DispositionId(new_uuid7())
    with database.begin() as tx:
        require_part(tx, rules, [], Part.PROPOSE, caller, at=at)
        chosen = _chosen(tx, rules, wanted, at=at)
        if not chosen:
            raise NothingToDispose
        year = local_day(at).year
        serial = _next_serial(tx, year)
        row = DispositionList(
            id=list_id,
            year=year,
            serial=serial,
            number=f"销毁〔{year}〕{serial}号",
            title=title,
            reason=reason,
            unit_id=caller.unit_id,
            state=ListState.PROPOSED.value,
            objects=len(chosen),
            size_bytes=sum(item.size_bytes for item in chosen),
            proposed_by=caller.account_id,
            proposed_at=at,
            period_days=rules.period.days,
        )
        items = [
            DispositionItem(
                list_id=list_id,
                object_id=item.object_id,
                position=position,
                kind=item.kind,
                size_bytes=item.size_bytes,
                sha256=item.sha256,
                sha512=item.sha512,
                retain_until=item.retain_until,
                rule=item.rule,
                state=ItemState.LISTED.value,
            )
            for position, item in enumerate(chosen, 1)
        ]
        content = content_of(row, items)
        row.sha256 = digest_of_content(content)
        insert_row(tx, DispositionList, **_values(row))
        insert_rows(tx, DispositionItem, [_values(item) for item in items])
        roles = text_of_roles(caller.roles)
        detail = {**content, "sha256": row.sha256, "year": year, "serial": serial, "roles": roles}
        detail = vouch(rules.key, EntryType.DISPOSAL_PROPOSED, list_id, str(caller.account_id), at, detail)
        entry = NewEntry(EntryType.DISPOSAL_PROPOSED, caller.actor, Target(TARGET, list_id), detail=detail)
        insert_row(
            tx,
            DispositionPart,
            list_id=list_id,
            account_id=caller.account_id,
            part=Part.PROPOSE.value,
            roles=roles,
            words=reason,
            at=at,
            entry_id=append_entry(tx, entry, at=at),
        )
        reach_lists(tx, [list_id])
    return list_id


def _values(row: DispositionList | DispositionItem) -> dict[str, object]:
    return {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs}


def _chosen(tx: Session, rules: DisposalRules, wanted: Wanted, *, at: Instant) -> Sequence[Row[Any]]:
    """Return what is wanted and not stopped, locked against another list that wants it too."""
    chosen: list[Row[Any]] = []
    looked_at, after = 0, None
    while looked_at < _LOOKED_AT:
        rows = _due(tx, wanted, at=at, after=after, limit=_BATCH)
        ids = [row.object_id for row in rows]
        locked = select(PreservedObject.id).where(PreservedObject.id.in_(ids)).order_by(PreservedObject.id)
        with unbound(tx):
            tx.execute(locked.with_for_update()).all()
        stops = rules.stops(tx, ids, at)
        chosen += [row for row in rows if not stops[row.object_id]]
        looked_at += len(rows)
        if len(rows) < _BATCH or len(chosen) >= MOST_OBJECTS:
            break
        after = (rows[-1].retain_until, rows[-1].object_id)
    return chosen[:MOST_OBJECTS]


def _all_candidates(tx: Session, rules: DisposalRules, wanted: Wanted, *, at: Instant) -> Iterator[Candidate]:
    looked_at, after = 0, None
    while looked_at < _LOOKED_AT:
        found = candidates(tx, rules, wanted, at=at, after=after, limit=_BATCH)
        yield from found
        looked_at += len(found)
        if len(found) < _BATCH:
            return
        after = (found[-1].retain_until, found[-1].object_id)


def _due(
    tx: Session, wanted: Wanted, *, at: Instant, after: tuple[Instant, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    due_by = at if wanted.due_by is None else min(at, wanted.due_by)
    query = (
        select(
            RetentionPlan.object_id,
            RetentionPlan.retain_until,
            RetentionPlan.rule,
            PreservedObject.kind,
            PreservedObject.name,
            PreservedObject.size_bytes,
            PreservedObject.sha256,
            PreservedObject.sha512,
        )
        .join(PreservedObject, PreservedObject.id == RetentionPlan.object_id)
        .where(
            RetentionPlan.retain_until <= due_by,
            RetentionPlan.is_permanent.is_(False),
            PreservedObject.destroyed_at.is_(None),
            PreservedObject.kind != CERTIFICATE,
        )
    )
    if wanted.kind:
        query = query.where(PreservedObject.kind == wanted.kind)
    if wanted.unit_id is not None:
        query = query.where(PreservedObject.unit_id == wanted.unit_id)
    if wanted.case_number:
        filed = select(CaseLink.object_id).join(Case, Case.id == CaseLink.case_id)
        query = query.where(PreservedObject.id.in_(filed.where(Case.number == wanted.case_number)))
    if after is not None:
        until, object_id = after
        query = query.where(
            or_(
                RetentionPlan.retain_until > until,
                and_(RetentionPlan.retain_until == until, RetentionPlan.object_id > object_id),
            )
        )
    query = query.where(_is_seen(tx)).order_by(RetentionPlan.retain_until, RetentionPlan.object_id).limit(limit)
    with unbound(tx):
        return list[Row[Any]](tx.execute(query))


def _is_seen(tx: Session) -> ColumnElement[bool]:
    """Return the condition that the transaction sees an object; a volume is seen by who sees its case."""
    sight = sight_of(tx)
    if sight is None:
        return true()
    volumes = select(Volume.object_id).where(sight.sees(Volume.__table__.c.case_id))
    return or_(sight.sees(PreservedObject.__table__.c.id), PreservedObject.id.in_(volumes))


def _next_serial(tx: Session, year: int) -> int:
    with unbound(tx):
        return (tx.scalar(select(func.max(DispositionList.serial)).where(DispositionList.year == year)) or 0) + 1
