"""How far an item is on its way to being playable, in words for people."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.orm import Session

from archive.cases.listings import ItemRow
from archive.jobs.listings import jobs_by_key
from archive.jobs.models import Job
from archive.kernel.ids import ObjectId
from ingest.live import live


@dataclass(frozen=True, slots=True)
class Preparation:
    """Where the work on an item stands: `state` is waiting, reading, encoding, retrying or given_up.

    `percent` is None where nothing can be said yet. `is_watchable`: it plays while the work goes on.
    """

    state: str
    percent: int | None
    is_watchable: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether something will still change without anybody's doing."""
        return self.state != "given_up"


def preparations(tx: Session, rows: Iterable[ItemRow]) -> Mapping[UUID, Preparation]:
    """Return the preparation of each item that is pending."""
    return _preparations(tx, [row.item.object_id for row in rows if row.item.play_state == "pending"])


def preparation(tx: Session, object_id: UUID) -> Preparation:
    """Return the preparation of one pending item."""
    found, encode = _preparations(tx, [object_id])[object_id], live(tx, ObjectId(object_id))
    return replace(found, is_watchable=found.goes_on and encode is not None and encode.is_watchable)


def _preparations(tx: Session, pending: list[UUID]) -> dict[UUID, Preparation]:
    keys = [f"{kind}:{object_id}" for object_id in pending for kind in ("probe", "encode", "contents")]
    jobs = jobs_by_key(tx, keys) if keys else {}
    return {
        object_id: _of(
            probe=jobs.get(f"contents:{object_id}") or jobs.get(f"probe:{object_id}"),
            encode=jobs.get(f"encode:{object_id}"),
        )
        for object_id in pending
    }


def _of(*, probe: Job | None, encode: Job | None) -> Preparation:
    job = encode or probe
    if job is None:
        return Preparation("waiting", None)
    if job.state == "dead":
        return Preparation("given_up", None)
    if job.state == "running":
        percent = job.progress_permille // 10 or None
        return Preparation("encoding" if job is encode else "reading", percent)
    if job.state == "ready" and job.attempt > 0:
        return Preparation("retrying", None)
    return Preparation("waiting", None)
