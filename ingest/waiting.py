"""Recordings that wait at docks: announced by the dock, asked for first by a supervisor, gone once they have arrived.

What a dock announces is its word, and no evidence: the manifest that comes with the bytes is. A wish is logged; the
dock hears of it when it asks the next time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.models import Account
from archive.access.policy import Capability, roles_with
from archive.db.base import insert_rows
from archive.db.database import Database
from archive.db.sight import EVERYBODYS, Sight, party_of
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import DockId, ObjectId, UploadId, new_uuid7
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.notify.notices import NoticeKind, notify
from archive.organisation.units import lines_of
from ingest.models import Dock, Upload, WaitingRecording

MOST_ANNOUNCED: Final = 2000
"""Recordings in one announcement; a dock with more sends several."""
MOST_SHOWN: Final = 200
_KEPT: Final = timedelta(days=30)
_NEWS: Final = timedelta(days=2)
"""A dock that said nothing for longer is not counted: its recordings may be gone."""


class WaitingNotFound(NotFound):
    """No dock has this recording waiting, or you may not see that dock."""

    code = "ingest.waiting_not_found"


class AlreadyWished(Conflict):
    """Somebody has asked for this recording already."""

    code = "ingest.already_wished"


@dataclass(frozen=True, slots=True)
class Announced:
    """A recording at a dock, as the dock tells. Units: bytes."""

    key: str
    name: str
    size_bytes: int
    device_serial: str | None = None
    begins_at: Instant | None = None
    ends_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A recording that waits, its dock, and its upload where that has begun."""

    waiting: WaitingRecording
    dock_name: str
    upload: Upload | None
    wisher: str | None


@dataclass(frozen=True, slots=True)
class WaitingSum:
    """What waits at all docks that said something lately. Units: bytes."""

    docks: int
    recordings: int
    size_bytes: int


def announce(
    database: Database, dock_id: DockId, recordings: Sequence[Announced], *, is_first: bool, at: Instant
) -> Sequence[str]:
    """Keep what a dock says that it has, and return the keys of what it is to send first.

    The first part of an announcement replaces what the dock announced before; further parts add to it.
    Raises: InvalidInput for more than `MOST_ANNOUNCED`, or a key that stands twice.
    """
    told = {recording.key: recording for recording in recordings}
    if len(recordings) > MOST_ANNOUNCED or len(told) < len(recordings):
        raise InvalidInput("An announcement has too many recordings, or one of them twice", most=MOST_ANNOUNCED)
    with database.begin() as tx:
        tx.execute(select(Dock.id).where(Dock.id == dock_id).with_for_update())  # of two at once, the later replaces
        if is_first:
            here = (WaitingRecording.dock_id == dock_id, WaitingRecording.left_at.is_(None))
            tx.execute(update(WaitingRecording).where(*here).values(left_at=at))
        ours = select(WaitingRecording.key).where(WaitingRecording.dock_id == dock_id)
        known = set(tx.scalars(ours.where(WaitingRecording.key.in_(told))))
        again = update(WaitingRecording).where(WaitingRecording.dock_id == dock_id, WaitingRecording.key.in_(known))
        tx.execute(again.values(announced_at=at, left_at=None))
        rows = [_row(dock_id, recording, at) for key, recording in told.items() if key not in known]
        insert_rows(tx, WaitingRecording, rows)
        return _wished(tx, dock_id)


def wished_keys(tx: Session, dock_id: DockId) -> Sequence[str]:
    """Return the keys of what this dock is to send first, in the order of the wishes."""
    return _wished(tx, dock_id)


def wish(database: Database, waiting_id: UUID, *, by: Caller, at: Instant) -> None:
    """Have a dock send a recording before all others, with log entry and notices to the heads of the dock's unit.

    Raises: WaitingNotFound, AlreadyWished.
    """
    with database.begin() as tx:
        found = tx.execute(
            select(WaitingRecording, Dock)
            .join(Dock, Dock.id == WaitingRecording.dock_id)
            .where(WaitingRecording.id == waiting_id, WaitingRecording.left_at.is_(None))
            .where(Dock.unit_id.in_(seen_units(tx, by.sight)))
        ).one_or_none()
        if found is None:
            raise WaitingNotFound
        row, dock = found
        changed = tx.execute(
            update(WaitingRecording)
            .where(WaitingRecording.id == waiting_id, WaitingRecording.wished_at.is_(None))
            .values(wished_at=at, wished_by=by.account_id)
            .returning(WaitingRecording.id)
        ).scalar_one_or_none()
        if changed is None:
            raise AlreadyWished
        detail = {"name": row.name, "size": row.size_bytes, "device_serial": row.device_serial}
        entry = NewEntry(
            EntryType.INGEST_WISHED, by.actor, Target("waiting", waiting_id), device=dock.id, detail=detail
        )  # fmt: skip
        append_entry(tx, entry, at=at)
        notify(
            tx, _heads(tx, dock.unit_id, but=by.account_id), NoticeKind.RECORDING_WISHED,
            params={"name": by.display_name, "recording": row.name}, link="/waiting", at=at,
        )  # fmt: skip


def note_begun(tx: Session, dock_id: UUID, key: str, *, upload_id: UploadId) -> None:
    """Note which upload brings a recording that was announced; in the transaction that begins it."""
    ours = (WaitingRecording.dock_id == dock_id, WaitingRecording.key == key)
    tx.execute(update(WaitingRecording).where(*ours).values(upload_id=upload_id))


def note_arrived(tx: Session, upload_id: UUID, object_id: ObjectId, *, at: Instant) -> None:
    """Note that a recording has arrived, and tell whoever had asked for it; in the transaction that accepts it."""
    rows = tx.execute(
        update(WaitingRecording)
        .where(WaitingRecording.upload_id == upload_id, WaitingRecording.left_at.is_(None))
        .values(left_at=at)
        .returning(WaitingRecording.wished_by, WaitingRecording.name)
    ).all()
    for wisher, name in rows:
        if wisher is not None:
            params, link = {"recording": name}, f"/items/{object_id}"
            notify(tx, [wisher], NoticeKind.RECORDING_ARRIVED, params=params, link=link, at=at)


def waiting_rows(tx: Session, sight: Sight, *, dock_id: UUID | None = None) -> Sequence[WaitingRow]:
    """Return what waits at the docks that somebody sees: what was asked for first, then the newest recordings."""
    query = (
        select(WaitingRecording, Dock.name, Upload, Account.display_name)
        .join(Dock, Dock.id == WaitingRecording.dock_id)
        .outerjoin(Upload, Upload.id == WaitingRecording.upload_id)
        .outerjoin(Account, Account.id == WaitingRecording.wished_by)
        .where(WaitingRecording.left_at.is_(None), Dock.unit_id.in_(seen_units(tx, sight)), Dock.revoked_at.is_(None))
        .order_by(WaitingRecording.wished_at.is_(None), WaitingRecording.wished_at)
        .order_by(func.coalesce(WaitingRecording.begins_at, WaitingRecording.ends_at).desc(), WaitingRecording.id)
        .limit(MOST_SHOWN)
    )
    if dock_id is not None:
        query = query.where(WaitingRecording.dock_id == dock_id)
    return [WaitingRow(*row) for row in tx.execute(query)]


def waiting_sum(tx: Session, *, at: Instant) -> WaitingSum:
    """Return how much waits at docks that said so within two days, less what has arrived of uploads under way."""
    missing = WaitingRecording.size_bytes - func.coalesce(Upload.offset_bytes, 0)
    query = (
        select(func.count(WaitingRecording.dock_id.distinct()), func.count(), func.sum(missing))
        .select_from(WaitingRecording)
        .outerjoin(Upload, Upload.id == WaitingRecording.upload_id)
        .where(WaitingRecording.left_at.is_(None), WaitingRecording.announced_at > at - _NEWS)
        .where(or_(Upload.state.is_(None), Upload.state.in_(("receiving", "terminated", "expired"))))
    )
    docks, recordings, size_bytes = tx.execute(query).one()
    return WaitingSum(docks, recordings, int(size_bytes or 0))


def forget_left(database: Database, *, at: Instant) -> None:
    """Remove what has left its dock long ago; the log keeps who asked for it."""
    is_over = WaitingRecording.left_at < at - _KEPT
    with database.read() as tx:  # asked all the time: it must not take the write lock for nothing
        if tx.scalar(select(WaitingRecording.id).where(is_over).limit(1)) is None:
            return
    with database.begin() as tx:
        tx.execute(delete(WaitingRecording).where(is_over))


def seen_units(tx: Session, sight: Sight) -> Sequence[UUID]:
    """Return the units with docks that somebody sees, as the things of these units are seen."""
    units = set(tx.scalars(select(Dock.unit_id).distinct()))
    if EVERYBODYS in sight.parties:
        return sorted(units)
    lines: Mapping[UUID, Sequence[UUID]] = lines_of(tx, units)
    return sorted(unit for unit in units if any(party_of(above) in sight.parties for above in lines[unit]))


def _wished(tx: Session, dock_id: UUID) -> Sequence[str]:
    query = (
        select(WaitingRecording.key)
        .where(WaitingRecording.dock_id == dock_id, WaitingRecording.left_at.is_(None))
        .where(WaitingRecording.wished_at.is_not(None))
        .order_by(WaitingRecording.wished_at, WaitingRecording.id)
    )
    return tx.scalars(query.limit(MOST_ANNOUNCED)).all()


def _row(dock_id: UUID, recording: Announced, at: Instant) -> Mapping[str, object]:
    return {
        "id": new_uuid7(),
        "dock_id": dock_id,
        "key": recording.key,
        "name": recording.name,
        "size_bytes": recording.size_bytes,
        "device_serial": recording.device_serial,
        "begins_at": recording.begins_at,
        "ends_at": recording.ends_at,
        "announced_at": at,
        "left_at": None,
        "upload_id": None,
        "wished_at": None,
        "wished_by": None,
    }


def _heads(tx: Session, unit_id: UUID, *, but: UUID) -> Sequence[UUID]:
    """Return the heads of a dock's unit, or of the nearest above it that has any."""
    heads = roles_with(Capability.APPROVE_RETRIEVAL)
    for unit in lines_of(tx, {unit_id})[unit_id]:
        found = tx.scalars(
            select(Account.id)
            .where(Account.unit_id == unit, Account.disabled_at.is_(None), Account.id != but)
            .where(or_(*(Account.roles.contains(role.value) for role in sorted(heads))))
        ).all()
        if found:
            return found
    return ()
