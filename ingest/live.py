"""Encoding what browsers do not play: each finished segment is for the web to serve, what is sought comes first.

Encoder and web share the store of renditions and one row for each item (`LiveEncoding`): there the web writes down what
somebody waits for, and the encoder where segments begin and which have no picture. The row ends after the last view.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.evidence.models import LiveEncoding
from archive.jobs.queue import IDLE, PROMPT, ClaimedJob, finish_job, postpone_job, renew_job
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ports.blobs import BlobExists, BlobMissing
from ingest.follow_ups import ENCODE_ITEM, FIND_DAMAGE, SWEEP_LIVE
from ingest.media.errors import Unplayable
from ingest.media.facts import Probe
from ingest.media.live import LiveEncode, LiveUnfit, Shelf
from ingest.media.live_state import LiveState
from ingest.media.plan import PlanKind, RenditionPlan, plan
from ingest.media.renditions import Rendition
from ingest.media.segments import segment_number
from ingest.renditions import PlayableJobs
from ingest.workshop import Handler, Report, Workshop, object_of

KEPT_AFTER_VIEW: Final = timedelta(minutes=10)
"""How long segments are kept after somebody last watched them, once the playable rendition is there."""
_VIEWED_EVERY: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Live:
    """What can be watched of an item that is being encoded, or was until a while ago."""

    state: LiveState
    wanted: int | None
    viewed_at: Instant | None
    is_finished: bool

    @property
    def is_watchable(self) -> bool:
        """Whether the head and the first segment are there."""
        return self.state.origin is not None


def live(tx: Session, object_id: ObjectId) -> Live | None:
    """Return the encode of an item that is under way, or has just ended; None where there is none."""
    row = tx.get(LiveEncoding, object_id)
    if row is None:
        return None
    return Live(LiveState.from_json(row.state), row.wanted, row.viewed_at, row.finished_at is not None)


def live_key(object_id: ObjectId, name: str) -> str:
    """Return the key of a segment or head in the store of renditions."""
    return f"{_folder(object_id)}/{name}"


def want_segment(database: Database, object_id: ObjectId, number: int) -> None:
    """Write down that somebody waits for a segment; the newest wish counts."""
    with database.begin() as tx:
        tx.execute(update(LiveEncoding).where(LiveEncoding.object_id == object_id).values(wanted=number))


def note_view(database: Database, object_id: ObjectId, seen: Live, *, at: Instant) -> None:
    """Write down that somebody watches, twice a minute at most."""
    if seen.viewed_at is None or at - seen.viewed_at > _VIEWED_EVERY:
        with database.begin() as tx:
            tx.execute(update(LiveEncoding).where(LiveEncoding.object_id == object_id).values(viewed_at=at))


@dataclass(frozen=True, slots=True)
class LiveJobs:
    """The job that encodes, and the one that removes segments when nobody watches them any more."""

    shop: Workshop

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {ENCODE_ITEM: self.shop.with_original(self.encode_item), SWEEP_LIVE: self.sweep_live}

    def encode_item(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Encode an item whose pictures no browser plays, going on with what an earlier attempt has made.

        Raises: what the media steps raise; retryable causes lead to another attempt.
        """
        found = self.shop.probe_of(object_id)
        chosen, whole = plan(found), PlayableJobs(self.shop)
        if chosen.kind is not PlanKind.ENCODE or chosen.video is None:
            whole.make_whole(job, object_id, source, found, report)
            return
        with self.shop.workplace(job) as out:
            try:
                made, state = self._encode(object_id, source, found, chosen, out=out, report=report)
            except LiveUnfit:
                self._forget(object_id)
                whole.make_whole(job, object_id, source, found, report)
            except Unplayable as exc:
                reason = Finding(str(exc.facts.get("reason", exc.code)), Outcome.INVALID, exc.message)
                whole.give_up(job, object_id, found, reason, also=lambda tx: self._end(tx, object_id))
            else:
                whole.finish(job, object_id, found, made, also=lambda tx: self._end(tx, object_id, state))

    def sweep_live(self, job: ClaimedJob, report: Report) -> None:
        """Remove the segments of an encode that has ended, unless somebody has watched them a moment ago."""
        object_id = object_of(job)
        at = self.shop.now()
        with self.shop.database.begin() as tx:
            row = tx.get(LiveEncoding, object_id)
            if row is not None and row.finished_at is None:
                finish_job(tx, job, at=at)  # it is being encoded once more, and ends with a sweep of its own
                return
            if row is not None and row.viewed_at is not None and at - row.viewed_at < KEPT_AFTER_VIEW:
                postpone_job(tx, job, until=row.viewed_at + KEPT_AFTER_VIEW)
                return
        self._forget(object_id, report)
        with self.shop.database.begin() as tx:
            finish_job(tx, job, at=self.shop.now())

    def _encode(
        self, object_id: ObjectId, source: Path, found: Probe, chosen: RenditionPlan, *, out: Path, report: Report
    ) -> tuple[Rendition, LiveState]:
        state, done = self._left_off(object_id)
        encode = LiveEncode(
            source,
            toolbox=self.shop.toolbox(),
            out=out,
            probe=found,
            chosen=chosen,
            shelf=self._shelf(object_id, report),
            state=state,
            done=done,
        )
        encode.encode()
        return encode.join(), state

    def _left_off(self, object_id: ObjectId) -> tuple[LiveState, set[int]]:
        """Return where an earlier attempt was, or a fresh beginning."""
        with self.shop.database.read() as tx:
            known = live(tx, object_id)
        names = [key.rpartition("/")[2] for key in self.shop.renditions.keys(_folder(object_id))]
        done = {number for number in map(segment_number, names) if number is not None}
        if known is not None and not known.is_finished and done:
            return known.state, done
        self._forget(object_id)
        with self.shop.database.begin() as tx:
            insert_row(tx, LiveEncoding, object_id=object_id, state=LiveState().as_json())
        return LiveState(), set()

    def _shelf(self, object_id: ObjectId, report: Report) -> Shelf:
        shop, this = self.shop, LiveEncoding.object_id == object_id

        def put(name: str, path: Path) -> None:
            with suppress(BlobExists):
                shop.renditions.adopt(live_key(object_id, name), path)

        def wanted() -> int | None:
            with shop.database.read() as tx:
                return tx.scalar(select(LiveEncoding.wanted).where(this))

        def note(state: LiveState) -> None:
            with shop.database.begin() as tx:
                tx.execute(update(LiveEncoding).where(this).values(state=state.as_json()))

        return Shelf(
            put=put,
            open=lambda name: shop.renditions.open(live_key(object_id, name)),
            wanted=wanted,
            note=note,
            report=report,
        )

    def _end(self, tx: Session, object_id: ObjectId, state: LiveState | None = None) -> None:
        """End the encode in the transaction that tells its outcome; who watches its segments may go on."""
        at, args = self.shop.now(), {"object_id": str(object_id)}
        row = tx.get(LiveEncoding, object_id)
        if row is None:
            return
        row.finished_at = at
        until = at if row.viewed_at is None else row.viewed_at + KEPT_AFTER_VIEW
        renew_job(tx, SWEEP_LIVE, args, at=until, queue=PROMPT, key=f"sweep_live:{object_id}")
        if state is not None and state.is_doubtful:
            # Only a look from the start to the end can tell what a seek caused from what is broken.
            renew_job(tx, FIND_DAMAGE, args, at=at, queue=IDLE, key=f"damage:{object_id}")

    def _forget(self, object_id: ObjectId, report: Report | None = None) -> None:
        """Remove the row, so that nobody is sent to a segment, and then the segments."""
        with self.shop.database.begin() as tx:
            tx.execute(delete(LiveEncoding).where(LiveEncoding.object_id == object_id))
        for key in list(self.shop.renditions.keys(_folder(object_id))):
            if report is not None:
                report(500)
            with suppress(BlobMissing):
                self.shop.renditions.delete(key)


def _folder(object_id: ObjectId) -> str:
    return f"{object_id}/live"
