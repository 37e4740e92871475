"""Subjects, their numbers and their merges."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from archive.db.sight import FIRST_UNIT
from archive.recovery.replaying.organisation import external_id
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import FactUnknown, Told, as_bytes


def subject_recorded(told: Told, rows: Rows, _: Sources) -> None:
    """Write a subject with its numbers."""
    rows.add(
        "subject",
        id=told.about,
        kind=told["kind"],
        name=told.words("name"),
        created_at=told.at,
        unit_id=told.uuid("unit") if "unit" in told else FIRST_UNIT,
    )
    _numbers(told, rows)


def subject_updated(told: Told, rows: Rows, _: Sources) -> None:
    """Change a subject, its numbers, or bind what another system calls it."""
    if "external" in told:
        external_id(told, rows, "subject")
    values = {name: told[name] for name in ("name", "kind") if name in told}
    rows.change("subject", {"id": told.about}, **values)
    _numbers(told, rows)


def _numbers(told: Told, rows: Rows) -> None:
    """Bring the numbers to those that the entry lists; one that only got another key keeps its time."""
    if "identifiers" not in told:
        return
    listed: Sequence[Mapping[str, Any]] = told["identifiers"]
    there = {row["id"] for row in rows.all("subject_identifier", subject_id=told.about)}
    for gone in there - {UUID(one["id"]) for one in listed}:
        rows.remove("subject_identifier", id=gone)
    for one in listed:
        if "data" not in one:
            raise FactUnknown(entry=told.id, type=told.type, fact="identifiers.data")
        values = {
            "kind": one["kind"],
            "key_id": one["key"],
            "sealed": as_bytes(one["data"]),
            "whole_index": bytes.fromhex(one["whole"]),
            "last_index": bytes.fromhex(one["last"]),
        }
        number_id = UUID(one["id"])
        if number_id in there:
            rows.change("subject_identifier", {"id": number_id}, **values)
        else:
            rows.add("subject_identifier", id=number_id, subject_id=told.about, recorded_at=told.at, **values)


def subject_merged(told: Told, rows: Rows, _: Sources) -> None:
    """Let a subject stand under another, with whoever stands under it."""
    keep_id = told.uuid("into")
    rows.add(
        "subject_merge",
        gone_id=told.about,
        keep_id=keep_id,
        root_id=keep_id,
        entry_id=told.id,
        merged_by=told.actor,
        merged_at=told.at,
    )
    rows.change("subject_merge", {"root_id": told.about}, root_id=keep_id)


def subject_separated(told: Told, rows: Rows, _: Sources) -> None:
    """Undo a merge; whoever was merged into the subject goes with it again."""
    row = rows.find("subject_merge", gone_id=told.about)
    if row is None:
        return
    under = rows.all("subject_merge", root_id=row["root_id"])
    rows.remove("subject_merge", gone_id=told.about)
    for gone_id in _below(told.about, {found["gone_id"]: found["keep_id"] for found in under}):
        rows.change("subject_merge", {"gone_id": gone_id}, root_id=told.about)


def _below(subject_id: UUID, keeps: Mapping[UUID, UUID]) -> Iterable[UUID]:
    found: list[UUID] = []
    fresh = [subject_id]
    while fresh:
        fresh = [gone for gone, keep in keeps.items() if keep in fresh]
        found += fresh
    return found


HANDLERS: Final[Mapping[str, Any]] = {
    "subject.recorded": subject_recorded,
    "subject.updated": subject_updated,
    "subject.merged": subject_merged,
    "subject.separated": subject_separated,
}
