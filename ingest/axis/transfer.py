"""What an Axis system transfers: containers with their metadata, objects whose bytes wait until the recording is whole.

Every step may be repeated by the client, and a process may die after any of them: an object counts from the commit of
its row, and its bytes are durable before that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import unique_or
from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput, StorageFull, Unavailable
from archive.kernel.ids import UploadId, new_uuid7
from ingest.axis.errors import ContainerNotFound, RecordingClosing, RecordingComplete, TransferNotFound, WriteOnly
from ingest.axis.models import AxisContainer, AxisObject
from ingest.axis.naming import REGISTERS, check_container, check_object, merged_meta
from ingest.axis.systems import AxisSystem
from ingest.context import Intake
from ingest.staging import remove_staged, staged_path

COMPLETE: Final = "Complete"
_STATUS: Final = "status"
_MOST_OBJECTS: Final = 5000
_MOST_REGISTERED: Final = 20_000
_MOST_UNFINISHED: Final = 10_000
_ROW_BYTES: Final = 8 * 1024
"""What an object costs beside its bytes: its metadata lie in the database."""
_BEYOND_SHARE: Final = "This system has more waiting in unfinished recordings than it may"
_LAST_CHARACTER: Final = "\U0010ffff"
PUBLISHED: Final = frozenset({"Capability.json", "Capabilities.json", "Categories.json"})
"""Objects of the container System that the archive publishes; nobody writes them."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An object as it came: its metadata, its digests, and its bytes where they are few."""

    name: str
    content_type: str
    meta: dict[str, str]
    digests: DigestSet
    md5: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """How much lies in a container, or in all of them. Units: bytes."""

    count: int
    size_bytes: int


def put_container(intake: Intake, system: AxisSystem, name: str, change: dict[str, str]) -> bool:
    """Make a container, or add to its metadata; return whether it is new.

    Raises: InvalidInput; StorageFull beyond the system's share; RecordingComplete or RecordingClosing where a recording
        that has ended would change.
    """
    name, now = check_container(name), intake.clock.now()
    with unique_or(RecordingClosing), intake.database.begin() as tx:
        found = _container(tx, system, name, is_locked=True)
        if found is None:
            meta = merged_meta({}, _without_end(change))
            _require_few_unfinished(tx, system)
            insert_row(
                tx,
                AxisContainer,
                id=new_uuid7(),
                dock_id=system.dock_id,
                name=name,
                meta=meta,
                state="transferring",
                created_at=now,
                changed_at=now,
            )
            return True
        _change_meta(tx, found, change, intake)
        return False


def update_container(intake: Intake, system: AxisSystem, name: str, change: dict[str, str]) -> AxisContainer:
    """Add to a container's metadata; return it as it was before. The word "Complete" is not written down here.

    Raises: ContainerNotFound, InvalidInput, RecordingComplete, RecordingClosing.
    """
    with intake.database.begin() as tx:
        found = _container(tx, system, name, is_locked=True)
        if found is None:
            raise ContainerNotFound
        _change_meta(tx, found, change, intake)
        tx.expunge(found)
        return found


def is_end(name: str, change: dict[str, str]) -> bool:
    """Return whether this metadata says that a recording is whole."""
    return name not in REGISTERS and change.get(_STATUS, "").lower() == COMPLETE.lower()


def require_writable(tx: Session, system: AxisSystem, container: str, name: str) -> AxisContainer:
    """Return the container that an object may be put into.

    Raises: ContainerNotFound, WriteOnly for what the archive itself publishes, InvalidInput.
    """
    check_object(name)
    if container == "System" and name in PUBLISHED:
        raise WriteOnly
    return container_of(tx, system, container)


def record_object(intake: Intake, system: AxisSystem, container: str, staged_id: UploadId, arrived: Arrived) -> None:
    """Write down an object whose bytes are durable in staging under `staged_id`, in place of an older one of its name.

    Staged bytes that no row counts on are removed, also where nothing is written down. The same bytes again change
    nothing but metadata.
    Raises: ContainerNotFound, RecordingComplete, RecordingClosing, StorageFull beyond the system's share.
    """
    try:
        with unique_or(RecordingClosing), intake.database.begin() as tx:
            gone = _recorded(tx, intake, system, container, staged_id, arrived)
    except Unavailable:
        raise  # the commit may have come through; what no row counts on is swept at the next start
    except BaseException:
        remove_staged(intake.staging, staged_id)
        raise
    if gone is not None:
        remove_staged(intake.staging, gone)


def _recorded(
    tx: Session, intake: Intake, system: AxisSystem, container: str, staged_id: UploadId, arrived: Arrived
) -> UploadId | None:
    """Write an object's row; return whose staged bytes nothing counts on any more."""
    now = intake.clock.now()
    found = _container(tx, system, container, is_locked=True)
    if found is None:
        raise ContainerNotFound
    before = _object(tx, found, arrived.name)
    is_same = before is not None and before.sha512 == arrived.digests.sha512.hex
    if found.state != "transferring":
        if is_same:
            return staged_id
        raise RecordingComplete if found.state == "complete" else RecordingClosing
    tx.execute(update(AxisContainer).where(AxisContainer.id == found.id).values(changed_at=now))
    if before is not None and is_same and before.body == arrived.body and _has_bytes(intake, before):
        told = {"meta": arrived.meta, "content_type": arrived.content_type, "stored_at": now}
        tx.execute(update(AxisObject).where(AxisObject.id == before.id).values(**told))
        return staged_id
    if before is not None:
        tx.execute(delete(AxisObject).where(AxisObject.id == before.id))
    _require_room(tx, found)
    if room_bytes(tx, intake, system, container, arrived.name) < arrived.digests.size_bytes:
        raise StorageFull(_BEYOND_SHARE, most_bytes=intake.axis_waiting_bytes)
    insert_row(tx, AxisObject, **_row(found, staged_id, arrived), stored_at=now, place=intake.place)
    return None if before is None else UploadId(before.id)


def _has_bytes(intake: Intake, found: AxisObject) -> bool:
    """Whether an object still has its bytes; staged ones that were lost here are taken anew."""
    is_here = found.state == "staged" and intake.is_here(found.place)
    return not is_here or staged_path(intake.staging, UploadId(found.id)).exists()


def room_bytes(tx: Session, intake: Intake, system: AxisSystem, container: str, name: str) -> int:
    """Return how much more may wait for this system, if the object of this name is replaced."""
    query = (
        select(func.count(AxisObject.id), func.coalesce(func.sum(AxisObject.size_bytes), 0))
        .join(AxisContainer, AxisContainer.id == AxisObject.container_id)
        .where(
            AxisContainer.dock_id == system.dock_id,
            AxisContainer.state == "transferring",
            or_(AxisContainer.name != container, AxisObject.name != name),
        )
    )
    count, size_bytes = tx.execute(query).one()
    return intake.axis_waiting_bytes - int(size_bytes) - (int(count) + 1) * _ROW_BYTES


def update_object(intake: Intake, system: AxisSystem, container: str, name: str, meta: dict[str, str]) -> None:
    """Put metadata in the place of an object's. Raises: ContainerNotFound, TransferNotFound, RecordingComplete, ..."""
    with intake.database.begin() as tx:
        found = _container(tx, system, container, is_locked=True)
        if found is None:
            raise ContainerNotFound
        before = _object(tx, found, name)
        if before is None:
            raise TransferNotFound
        meta = merged_meta({}, meta)
        if meta == before.meta:
            return
        if found.state != "transferring":
            raise RecordingComplete if found.state == "complete" else RecordingClosing
        tx.execute(update(AxisObject).where(AxisObject.id == before.id).values(meta=meta))


def container_of(tx: Session, system: AxisSystem, name: str) -> AxisContainer:
    """Return a container of this system. Raises: ContainerNotFound."""
    found = _container(tx, system, name)
    if found is None:
        raise ContainerNotFound
    return found


def object_of(tx: Session, system: AxisSystem, container: str, name: str) -> AxisObject:
    """Return an object of this system. Raises: ContainerNotFound, TransferNotFound."""
    found = _object(tx, container_of(tx, system, container), name)
    if found is None:
        raise TransferNotFound
    return found


def containers_after(tx: Session, system: AxisSystem, marker: str, *, limit: int) -> Sequence[AxisContainer]:
    """Return containers in the order of their names."""
    return tx.scalars(
        select(AxisContainer)
        .where(AxisContainer.dock_id == system.dock_id, AxisContainer.name > marker)
        .order_by(AxisContainer.name)
        .limit(limit)
    ).all()


def objects_after(
    tx: Session, container: AxisContainer, marker: str, *, prefix: str, limit: int
) -> Sequence[AxisObject]:
    """Return objects whose names begin with a prefix, in the order of their names."""
    return tx.scalars(
        select(AxisObject)
        .where(
            AxisObject.container_id == container.id,
            AxisObject.name > marker,
            AxisObject.name >= prefix,
            AxisObject.name < prefix + _LAST_CHARACTER,
        )
        .order_by(AxisObject.name)
        .limit(limit)
    ).all()


def usage(tx: Session, system: AxisSystem, container: AxisContainer | None = None) -> Usage:
    """Return how much a container holds, or all containers of a system."""
    query = (
        select(func.count(AxisObject.id), func.coalesce(func.sum(AxisObject.size_bytes), 0))
        .join(AxisContainer, AxisContainer.id == AxisObject.container_id)
        .where(AxisContainer.dock_id == system.dock_id)
    )
    if container is not None:
        query = query.where(AxisContainer.id == container.id)
    count, size_bytes = tx.execute(query).one()
    return Usage(int(count), int(size_bytes))


def container_count(tx: Session, system: AxisSystem) -> int:
    """Return how many containers a system has."""
    return tx.scalar(select(func.count(AxisContainer.id)).where(AxisContainer.dock_id == system.dock_id)) or 0


def _change_meta(tx: Session, found: AxisContainer, change: dict[str, str], intake: Intake) -> None:
    meta = merged_meta(found.meta, _without_end(change))
    if meta == found.meta:
        return
    if found.state != "transferring":
        raise RecordingComplete if found.state == "complete" else RecordingClosing
    tx.execute(
        update(AxisContainer).where(AxisContainer.id == found.id).values(meta=meta, changed_at=intake.clock.now())
    )


def _without_end(change: dict[str, str]) -> dict[str, str]:
    """Leave out the word that a recording is whole: it is true only when its items are there."""
    is_ended = change.get(_STATUS, "").lower() == COMPLETE.lower()
    return {name: value for name, value in change.items() if not (is_ended and name == _STATUS)}


def _container(tx: Session, system: AxisSystem, name: str, *, is_locked: bool = False) -> AxisContainer | None:
    query = select(AxisContainer).where(AxisContainer.dock_id == system.dock_id, AxisContainer.name == name)
    return tx.scalar(query.with_for_update() if is_locked else query)


def _object(tx: Session, container: AxisContainer, name: str) -> AxisObject | None:
    return tx.scalar(select(AxisObject).where(AxisObject.container_id == container.id, AxisObject.name == name))


def _require_room(tx: Session, container: AxisContainer) -> None:
    """Bound what one container can hold. Raises: InvalidInput."""
    most = _MOST_REGISTERED if container.name in REGISTERS else _MOST_OBJECTS
    count = tx.scalar(select(func.count(AxisObject.id)).where(AxisObject.container_id == container.id)) or 0
    if count >= most:
        raise InvalidInput("A container has more objects than this archive takes", most=most)


def _require_few_unfinished(tx: Session, system: AxisSystem) -> None:
    """Bound how many recordings wait for their end. Raises: StorageFull."""
    count = tx.scalar(
        select(func.count(AxisContainer.id)).where(
            AxisContainer.dock_id == system.dock_id, AxisContainer.state == "transferring"
        )
    )
    if (count or 0) >= _MOST_UNFINISHED:
        raise StorageFull(_BEYOND_SHARE, most=_MOST_UNFINISHED)


def _row(container: AxisContainer, staged_id: UploadId, arrived: Arrived) -> dict[str, Any]:
    return {
        "id": staged_id,
        "container_id": container.id,
        "name": arrived.name,
        "content_type": arrived.content_type,
        "meta": arrived.meta,
        "size_bytes": arrived.digests.size_bytes,
        "md5": arrived.md5,
        "sha256": arrived.digests.sha256.hex,
        "sha512": arrived.digests.sha512.hex,
        "sm3": None if arrived.digests.sm3 is None else arrived.digests.sm3.hex,
        "state": "staged" if arrived.body is None else "kept",
        "body": arrived.body,
    }
