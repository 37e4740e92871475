"""Lists of what may be destroyed, who decided on them, what was destroyed, and the certificates."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_moment
from retention.disposition import models as _models
from retention.disposition.terms import CERTIFICATE, TARGET

_LOADED: Final = _models
_OF_OBJECT: Final = (
    "rendition", "live_encoding", "item_look", "item_text", "record_scan", "record_extension", "clip", "evidence_item",
    "intake_claim", "object_copy", "object_lock",
)  # fmt: skip
"""Tables whose rows about an object go with it."""
_NO_BYTES: Final = b""
_UNWRITTEN: Final = {"title": "", "field_values": "{}", "number": None, "pages": None, "values_sha256": None}


def proposed(told: Told, rows: Rows, _: Sources) -> None:
    """Write a list with what stands on it, and who proposed it."""
    items = told["items"]
    rows.add(
        "disposition_list",
        id=told.about,
        unit_id=told.uuid("unit"),
        state="proposed",
        objects=len(items),
        size_bytes=sum(int(each["size"]) for each in items),
        proposed_by=told.actor,
        proposed_at=told.at,
        **{name: told[name] for name in ("year", "serial", "number", "title", "reason", "sha256", "period_days")},
    )
    for position, each in enumerate(items, 1):
        rows.add(
            "disposition_item",
            list_id=told.about,
            object_id=UUID(each["object"]),
            position=position,
            size_bytes=each["size"],
            retain_until=as_moment(each["retain_until"]),
            state="listed",
            **{name: each[name] for name in ("kind", "sha256", "sha512", "rule")},
        )
    _part(told, rows, "propose", told["reason"])


def appraised(told: Told, rows: Rows, _: Sources) -> None:
    """Write an opinion, and what was struck."""
    for each in told["struck"]:
        this = {"list_id": told.about, "object_id": UUID(each["object"])}
        rows.change("disposition_item", this, state="struck", reason=each["reason"], state_at=told.at)
    _part(told, rows, "appraise", told["words"], opinion=told["opinion"])


def decided(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a list was approved, or refused."""
    _part(told, rows, "approve", told["words"])
    if told["approves"]:
        rows.change("disposition_list", {"id": told.about}, state="approved")
    else:
        ended = {"ended_by": told.actor, "ended_at": told.at, "end_reason": told["words"]}
        rows.change("disposition_list", {"id": told.about}, state="refused", **ended)


def supervised(told: Told, rows: Rows, _: Sources) -> None:
    """Write who supervises; with the second one the recovery period begins."""
    _part(told, rows, "supervise", told["words"])
    until = told.instant("recovers_until")
    if until is not None:
        rows.change("disposition_list", {"id": told.about}, state="waiting", recovers_until=until)


def withdrawn(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a list was taken back, or that an object was left out of one."""
    if told.kind == TARGET:
        ended = {"ended_by": told.actor, "ended_at": told.at, "end_reason": told["reason"]}
        rows.change("disposition_list", {"id": told.about}, state="withdrawn", **ended)
        return
    kinds = sorted({each["kind"] for each in told["stops"]})
    _item(told, rows, state="left", step=None, stops=kinds, state_at=told.at)
    rows.change("preserved_object", {"id": told.about}, destroyed_at=None)


def begun(told: Told, rows: Rows, _: Sources) -> None:
    """Write that an object is being destroyed, and so its list."""
    list_id = told.uuid("list")
    before = {"before": told["before"], "found": told["found"]}
    _item(told, rows, state="begun", step="begun", state_at=told.at, **before)
    rows.change("preserved_object", {"id": told.about}, destroyed_at=told.at)
    rows.change("disposition_list", {"id": list_id, "begun_at": None}, state="destroying", begun_at=told.at)


def done(told: Told, rows: Rows, _: Sources) -> None:
    """Put up a tombstone, and take away what the catalogue said of the object but for its digests and its history."""
    object_id, list_id = told.about, told.uuid("list")
    rows.add(
        "tombstone",
        object_id=object_id,
        list_id=list_id,
        kind=told["kind"],
        rule=told["rule"],
        gone=told["gone"],
        sm3=told.sm3,
        destroyed_at=told.at,
        entry_id=told.id,
        **{name: told.instant(name) for name in ("preserved_at", "retain_until", "begun_at")},
        **told.digests,
    )
    _item(told, rows, state="destroyed", step=None, state_at=told.at)
    for table in _OF_OBJECT:
        rows.remove(table, object_id=object_id)
    rows.change("text_record", {"object_id": object_id}, title="", pages=None)
    rows.change("draft", {"id": object_id}, **_UNWRITTEN)
    rows.change("upload", {"object_id": object_id}, manifest=_NO_BYTES, manifest_signature=_NO_BYTES)
    for volume in rows.all("volume", object_id=object_id):
        for inside in ("volume_line", "volume_check"):
            rows.remove(inside, volume_id=volume["id"])
        rows.change("case_link", {"volume_id": volume["id"]}, volume_id=None)
    blank = {"content_path": "", "media_type": "", **({} if told.kind == "volume" else {"name": ""})}
    rows.change("preserved_object", {"id": object_id}, destroyed_at=told.at, **blank)


def certified(told: Told, rows: Rows, _: Sources) -> None:
    """Write the certificate of a list as the object that it is, and that the list has ended."""
    rows.add(
        "preserved_object",
        id=told.about,
        kind=CERTIFICATE,
        name=told["name"],
        content_path=told["path"],
        media_type="application/pdf",
        sm3=told.sm3,
        preserved_at=told.at,
        unit_id=told.uuid("unit"),
        classes=0,
        **told.digests,
    )
    certificate(told, rows)
    ended = {"ended_at": told.at, "done_at": told.instant("done_at"), "balance": told["balance"]}
    rows.change(
        "disposition_list", {"id": told.uuid("list")}, state="certified", certificate_id=told.about, **ended
    )  # fmt: skip


def certificate(told: Told, rows: Rows) -> None:
    """Write a certificate, the first or one with a newer timestamp."""
    rows.add(
        "disposal_certificate",
        list_id=told.uuid("list"),
        number=told["number"],
        object_id=told.about,
        path=told["path"],
        renew_at=told.instant("renew_at"),
        ends_at=told.instant("ends_at"),
        at=told.at,
        entry_id=told.id,
        **told.digests,
    )


def _part(told: Told, rows: Rows, part: str, words: str, *, opinion: str | None = None) -> None:
    rows.add(
        "disposition_part",
        list_id=told.about,
        account_id=told.actor,
        part=part,
        roles=told["roles"],
        opinion=opinion,
        words=words,
        at=told.at,
        entry_id=told.id,
    )


def _item(told: Told, rows: Rows, **values: Any) -> None:
    rows.change("disposition_item", {"list_id": told.uuid("list"), "object_id": told.about}, **values)


HANDLERS: Final[Mapping[str, Any]] = {
    "disposal.proposed": proposed,
    "disposal.appraised": appraised,
    "disposal.decided": decided,
    "disposal.supervised": supervised,
    "disposal.withdrawn": withdrawn,
    "disposal.begun": begun,
    "disposal.done": done,
    "disposal.certified": certified,
}
