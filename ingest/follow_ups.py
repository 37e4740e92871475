"""Which jobs follow when an item has become playable: what people wait for first, what takes long last."""

from typing import Final

from sqlalchemy.orm import Session

from archive.jobs.queue import LONG, PROMPT, add_job
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from ingest.media.allowed import Kind
from ingest.media.facts import Probe

PROBE_ITEM: Final = "probe_item"
ENCODE_ITEM: Final = "encode_item"
MAKE_POSTER: Final = "make_poster"
PROVE_ESSENCE: Final = "prove_essence"


def add_follow_ups(tx: Session, object_id: ObjectId, found: Probe, *, at: Instant) -> None:
    """Add the jobs that a playable item still wants, in the transaction that makes it playable. Idempotent."""
    args = {"object_id": str(object_id)}
    if found.video is not None:
        add_job(tx, MAKE_POSTER, args, at=at, queue=PROMPT, key=f"poster:{object_id}")
    if found.kind is not Kind.PHOTO:
        add_job(tx, PROVE_ESSENCE, args, at=at, queue=LONG, key=f"essence:{object_id}")
