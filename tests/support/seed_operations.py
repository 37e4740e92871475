"""Work under way for a bureau that is looked at: what waits at docks, a wish, jobs, and how the disk filled."""

import socket
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update

from archive.access.policy import Role
from archive.db.base import insert_rows
from archive.jobs.models import Job
from archive.web.metrics import disk_places
from ingest.docks import set_dock_limits
from ingest.models import Dock, RoomSample, WaitingRecording
from ingest.staging import free_bytes
from ingest.waiting import Announced, announce, wish
from tests.support import seed
from tests.support.seed import Bureau

_DOCK = "太和中队采集站"
_WAITING = (
    ("BWC-0117", "DSJ_BWC0117_20260302183000.mp4", 3_200_000_000, 95, 40),
    ("BWC-0117", "DSJ_BWC0117_20260302201500.mp4", 1_100_000_000, 60, 18),
    ("BWC-0121", "DSJ_BWC0121_20260302174500.mp4", 4_700_000_000, 210, 66),
    ("BWC-0130", "夜市巡查 固定机位.mp4", 820_000_000, 150, 12),
)


def announce_work(bureau: Bureau) -> UUID:
    """Have a dock announce recordings, one of them wished for, and the house have measured. Idempotent."""
    services, now = bureau.services, bureau.now()
    with services.database.read() as tx:
        known = tx.scalar(select(Dock.id).where(Dock.name == _DOCK))
    if known is not None:
        return known
    dock = seed.new_dock(bureau, _DOCK)
    told = [
        Announced(
            key=f"{number:064x}", name=name, size_bytes=size, device_serial=serial,
            begins_at=now - timedelta(minutes=ago), ends_at=now - timedelta(minutes=ago - lasted),
        )
        for number, (serial, name, size, ago, lasted) in enumerate(_WAITING)
    ]  # fmt: skip
    announce(services.database, dock.id, told, is_first=True, at=now)
    with services.database.read() as tx:
        first = tx.scalars(select(WaitingRecording).where(WaitingRecording.name == told[2].name)).one()
    wish(services.database, first.id, by=seed.caller(bureau, Role.SUPERVISOR), at=now)
    set_dock_limits(
        services.database, dock.id, bytes_per_day=500_000_000_000, bytes_per_s=25_000_000, uploads=None,
        by=bureau.people[Role.ADMINISTRATOR], at=now,
    )  # fmt: skip
    places: dict[str, Path] = dict(disk_places(services))
    samples = [
        {
            "place": f"{name}@{socket.gethostname()}"[:64],
            "at": now - timedelta(days=3),
            "free_bytes": free_bytes(path) + 640_000_000_000,
        }
        for name, path in places.items()
    ]
    with services.database.begin() as tx:
        insert_rows(tx, RoomSample, samples)
        # Pictures are taken of a clock that stands still, and no run takes any time by it.
        tx.execute(update(Job).where(Job.state == "done").values(ran_ms=4200))
    return dock.id
