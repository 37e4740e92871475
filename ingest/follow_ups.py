"""Which jobs follow when an item has become playable: what people wait for first, what takes long last.

And which job makes a rendition or a look again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from archive.jobs.queue import IDLE, LONG, PROMPT, PROXY, add_job, renew_job
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from ingest.media.allowed import Kind
from ingest.media.facts import Probe

PROBE_ITEM: Final = "probe_item"
ENCODE_ITEM: Final = "encode_item"
SWEEP_LIVE: Final = "sweep_live"
MAKE_PROXY: Final = "make_proxy"
MAKE_POSTER: Final = "make_poster"
PROVE_ESSENCE: Final = "prove_essence"
INSPECT_ITEM: Final = "inspect_item"
FIND_DAMAGE: Final = "find_damage"
READ_TRACK: Final = "read_track"
READ_DOCUMENT: Final = "read_document"
LIST_ARCHIVE: Final = "list_archive"
GROUP_ITEM: Final = "group_item"


@dataclass(frozen=True, slots=True)
class Maker:
    """The job that makes something again: its kind, its queue, and what its key begins with."""

    job: str
    queue: str
    key: str


MAKERS: Final[Mapping[str, Maker]] = {
    "poster": Maker(MAKE_POSTER, PROMPT, "poster"),
    "sprite": Maker(INSPECT_ITEM, LONG, "inspect"),
    "peaks": Maker(INSPECT_ITEM, LONG, "inspect"),
    "proxy-720": Maker(MAKE_PROXY, PROXY, "proxy"),
    "proxy-540": Maker(MAKE_PROXY, PROXY, "proxy"),
    "pages": Maker(READ_DOCUMENT, PROMPT, "contents"),
}
"""By kind of rendition; the playable one is made by the job that made it first (`ingest.remaking`)."""
LOOKERS: Final[Mapping[str, Maker]] = {
    "keyframes": Maker(INSPECT_ITEM, LONG, "inspect"),
    "damage": Maker(FIND_DAMAGE, IDLE, "damage"),
    "track": Maker(READ_TRACK, LONG, "track"),
    "document": Maker(READ_DOCUMENT, PROMPT, "contents"),
    "archive": Maker(LIST_ARCHIVE, PROMPT, "contents"),
}
"""By look."""


def add_contents(tx: Session, object_id: ObjectId, found: Probe, *, at: Instant) -> None:
    """Add the job that looks into a document or an archive, in the transaction that tells what it is. Idempotent."""
    kind = LIST_ARCHIVE if found.kind is Kind.ARCHIVE else READ_DOCUMENT
    renew_job(tx, kind, {"object_id": str(object_id)}, at=at, queue=PROMPT, key=f"contents:{object_id}")


def add_follow_ups(tx: Session, object_id: ObjectId, found: Probe, *, at: Instant) -> None:
    """Add the jobs that a playable item still wants, in the transaction that makes it playable. Idempotent."""
    args = {"object_id": str(object_id)}
    if found.video is not None:
        add_job(tx, MAKE_POSTER, args, at=at, queue=PROMPT, key=f"poster:{object_id}")
    add_job(tx, READ_TRACK, args, at=at, queue=LONG, key=f"track:{object_id}")
    if found.kind in {Kind.FOOTAGE, Kind.AUDIO}:
        add_job(tx, INSPECT_ITEM, args, at=at, queue=LONG, key=f"inspect:{object_id}")
    if found.kind is not Kind.PHOTO:
        # Once more for a rendition that was made again: the comparison is with what plays now.
        renew_job(tx, PROVE_ESSENCE, args, at=at, queue=LONG, key=f"essence:{object_id}")


def add_grouping(tx: Session, object_id: ObjectId, kind: Kind, *, at: Instant) -> None:
    """Have an item grouped into a recording, or once more when what is known of its device or time has changed."""
    if kind in {Kind.FOOTAGE, Kind.AUDIO}:
        renew_job(tx, GROUP_ITEM, {"object_id": str(object_id)}, at=at, queue=PROMPT, key=f"group:{object_id}")
