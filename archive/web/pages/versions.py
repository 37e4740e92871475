"""Versions of an item for slow links, as its page shows them: which there are, and whether one can be asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from archive.evidence.items import ItemView
from archive.evidence.models import Rendition
from archive.jobs.listings import jobs_by_key
from archive.kernel.ids import ObjectId
from ingest.media.encoding import RUNGS
from ingest.proxies import proxies_of, proxy_key, rungs_of


@dataclass(frozen=True, slots=True)
class Versions:
    """What there is. `state` is none (nothing to do), may_ask, waiting, making or failed.

    Units: `bits_per_s` is what the whole file needs on average, 0 where that is not known.
    """

    made: Sequence[Rendition]
    state: str
    percent: int | None
    bits_per_s: int

    @property
    def goes_on(self) -> bool:
        """Whether something will still change without anybody's doing."""
        return self.state in {"waiting", "making"}

    @property
    def lines(self) -> Sequence[int]:
        """How many lines each version has, the most first."""
        kinds = {version.kind for version in self.made}
        return [rung.lines for rung in RUNGS if rung.kind in kinds]


def versions_of(tx: Session, view: ItemView, policy: Mapping[int, str]) -> Versions:
    """Return the versions of an item, and how far new ones are."""
    made, playable = proxies_of(view), view.rendition("playable")
    bits_per_s = 0
    if playable is not None and view.item.duration_ms:
        bits_per_s = playable.size_bytes * 8000 // view.item.duration_ms
    kinds = {version.kind for version in made}
    if not [rung for rung in rungs_of(view, policy) if rung.kind not in kinds]:
        return Versions(made, "none", None, bits_per_s)
    key = proxy_key(ObjectId(view.item.object_id))
    job = jobs_by_key(tx, [key]).get(key)
    if job is None or job.state == "done":
        return Versions(made, "may_ask", None, bits_per_s)
    if job.state == "dead":
        return Versions(made, "failed", None, bits_per_s)
    percent = job.progress_permille // 10 if job.state == "running" else 0
    return Versions(made, "making" if job.state == "running" else "waiting", percent or None, bits_per_s)
