"""Whether this machine has room on its disk for a job, before it takes one that would fail in the middle."""

import shutil
from typing import Final

from sqlalchemy import select

from archive.custody.models import PreservedObject
from archive.jobs.queue import IDLE, LONG, PROXY, ClaimedJob
from archive.kernel.ids import parse_uuid
from ingest.workshop import Workshop

NO_ROOM: Final = "jobs.no_room"
"""How the reason of a job that was given back for lack of room begins."""
_WEIGHTY: Final = frozenset({LONG, IDLE, PROXY})
_COPIES: Final = 2
"""A job may need the original at hand, and makes something that is seldom larger."""
_MIB: Final = 1 << 20


class Room:
    """Looks at the free space of the folder that jobs work in. Units: bytes."""

    def __init__(self, workshop: Workshop, reserve_bytes: int) -> None:
        """Take the workshop, and what must stay free beside the job."""
        self._workshop = workshop
        self._reserve_bytes = reserve_bytes

    def lacks(self, job: ClaimedJob) -> str | None:
        """Say what is missing for a job of a recording, or nothing. What dead attempts left is swept before."""
        if job.queue not in _WEIGHTY or "object_id" not in job.args:
            return None
        with self._workshop.database.read() as tx:
            object_id = parse_uuid(job.args["object_id"])
            size = tx.scalar(select(PreservedObject.size_bytes).where(PreservedObject.id == object_id)) or 0
        needed = self._reserve_bytes + _COPIES * size
        if self._free() < needed:
            self._workshop.sweep()
        if (free := self._free()) < needed:
            return f"{NO_ROOM}: {free // _MIB} MiB are free where it works, {-(-needed // _MIB)} MiB are needed"
        return None

    def _free(self) -> int:
        return shutil.disk_usage(self._workshop.work).free
