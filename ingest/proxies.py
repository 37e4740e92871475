"""Versions of footage for slow links: always, when somebody asks for them, or never, by the settings of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from archive.evidence.items import ItemView, evidence_item
from archive.evidence.models import Rendition
from archive.jobs.queue import PROXY, ClaimedJob, finish_job, renew_job
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from ingest.follow_ups import MAKE_PROXY
from ingest.media.encoding import RUNGS, Rung
from ingest.media.facts import Probe
from ingest.media.proxy import is_needed, make_proxies
from ingest.workshop import Handler, Made, Report, Workshop

ALWAYS: Final = "always"
ON_DEMAND: Final = "on_demand"


def rungs_of(view: ItemView, policy: Mapping[int, str], *, when: Sequence[str] = (ALWAYS, ON_DEMAND)) -> Sequence[Rung]:
    """Return the versions that an item may have by this policy, and that are smaller than what plays."""
    playable = view.rendition("playable")
    allowed = [rung for rung in RUNGS if policy.get(rung.lines) in when]
    if not allowed or playable is None or view.item.probe is None:
        return ()
    try:
        probe = Probe.from_json(view.item.probe)
    except InvalidInput:  # written by another version
        return ()
    return [rung for rung in allowed if is_needed(rung, probe, size_bytes=playable.size_bytes)]


def proxies_of(view: ItemView) -> Sequence[Rendition]:
    """Return the versions that an item has, the largest first."""
    found = (view.rendition(rung.kind) for rung in RUNGS)
    return [rendition for rendition in found if rendition is not None and "hls" in rendition.recipe]


def ask_for_proxies(tx: Session, object_id: ObjectId, *, at: Instant) -> None:
    """Have the versions of an item made, in the caller's transaction; once, however often it is asked for."""
    renew_job(tx, MAKE_PROXY, {"object_id": str(object_id)}, at=at, queue=PROXY, key=proxy_key(object_id))


def proxy_key(object_id: ObjectId) -> str:
    """Return the key of the job that makes the versions of an item."""
    return f"proxy:{object_id}"


@dataclass(frozen=True, slots=True)
class ProxyJobs:
    """The job that makes the versions for slow links."""

    shop: Workshop

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {MAKE_PROXY: self.shop.with_original(self.make_proxy)}

    def make_proxy(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Make the versions that the policy allows and that are needed. Raises: what the media steps raise."""
        with self.shop.database.read() as tx:
            rungs = rungs_of(evidence_item(tx, object_id), self.shop.proxies)
        with self.shop.workplace(job) as out:
            stored = []
            if rungs:
                probe = self.shop.probe_of(object_id)
                made = make_proxies(
                    source, toolbox=self.shop.toolbox(), out=out, probe=probe, rungs=rungs, on_progress=report
                )
                for proxy in made:
                    kept = Made(proxy.rung.kind, proxy.path, "video/mp4", proxy.recipe)
                    stored.append(self.shop.store(object_id, kept))
            with self.shop.database.begin() as tx:
                for each in stored:
                    self.shop.write_rendition(tx, object_id, each)
                finish_job(tx, job, at=self.shop.now())
