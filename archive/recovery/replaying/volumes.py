"""Volumes of case files: opened, arranged, closed with their index, checked."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.recovery.replaying.retrieval import note_key_use
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told
from archive.volumes import models as _models
from archive.volumes.indexing import KIND, ReadIndex
from archive.volumes.making import INDEX_PATH

_LOADED: Final = _models
_CLOSED: Final = (
    "kind", "sequence", "state", "file_number", "year", "serial", "lines", "pages", "root", "index_sha256", "retention",
)  # fmt: skip


def arranged(told: Told, rows: Rows, _: Sources) -> None:
    """Write where somebody put a paper."""
    rows.add(
        "volume_place",
        id=told.about,
        case_id=told.uuid("case_file"),
        object_id=told.uuid("object"),
        kind=told["kind"],
        place=told["place"],
        reason=told["reason"],
        by_id=told.actor,
        at=told.at,
    )


def opened(told: Told, rows: Rows, _: Sources) -> None:
    """Write that another volume was opened."""
    rows.add(
        "volume",
        id=told.about,
        case_id=told.uuid("case_file"),
        kind=told["kind"],
        sequence=told["sequence"],
        state=told["state"],
        opened_at=told.at,
        opened_by=told.actor,
        reason=told["reason"],
    )


def closed(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a closed volume: its object, its lines, what is bound in it, and the use of the seal."""
    case_id, volume_id = told.uuid("case_file"), told.uuid("volume")
    rows.add(
        "preserved_object",
        id=told.about,
        kind=KIND,
        name=told["name"],
        content_path=INDEX_PATH,
        media_type="application/json",
        preserved_at=told.at,
        unit_id=told.uuid("unit"),
        classes=0,
        **told.digests,
    )
    values: dict[str, Any] = {name: told[name] for name in _CLOSED}
    values |= {
        "object_id": told.about,
        "closed_at": told.instant("closed_at"),
        "closed_by": told.uuid("closed_by"),
        "file_by": told.day("file_by"),
    }
    if rows.find("volume", id=volume_id) is None:
        rows.add("volume", id=volume_id, case_id=case_id, opened_at=told.at, opened_by=told.actor, **values)
    else:
        rows.change("volume", {"id": volume_id}, **values)
    _lines(told, rows, sources, volume_id, case_id)
    note_key_use(told, rows, told.about, KIND)


def _lines(told: Told, rows: Rows, sources: Sources, volume_id: UUID | None, case_id: UUID | None) -> None:
    body = sources.object_file(told.about, INDEX_PATH, sha256=told["index_sha256"])
    if body is None:
        return
    index = ReadIndex.of(body)
    for line, object_id in zip(index.lines, index.object_ids, strict=True):
        rows.add(
            "volume_line",
            volume_id=volume_id,
            number=line["number"],
            object_id=object_id,
            section=line["section"],
            title=line["title"],
            first_page=line.get("first_page"),
            last_page=line.get("last_page"),
        )
        rows.change("case_link", {"case_id": case_id, "object_id": object_id}, volume_id=volume_id)


def checked(told: Told, rows: Rows, _: Sources) -> None:
    """Write a check of a volume."""
    volume = rows.find("volume", object_id=told.about)
    if volume is None:
        raise told.unknown("volume")
    rows.add(
        "volume_check",
        volume_id=volume["id"],
        number=told["number"],
        outcome=told["outcome"],
        findings=told["findings"],
        path=told["path"],
        sha256=told.digests["sha256"],
        by_id=told.actor,
        at=told.at,
        entry_id=told.id,
    )


HANDLERS: Final[Mapping[str, Any]] = {
    "volume.arranged": arranged,
    "volume.opened": opened,
    "volume.closed": closed,
    "volume.checked": checked,
}
