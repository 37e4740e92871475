"""What docks delivered: uploads, items with what was found in them, renditions, quarantine."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.evidence import models as _models
from archive.kernel.digests import Digest, DigestSet
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId
from archive.recovery.replaying.documents import kept_text, original_path, record_described
from archive.recovery.replaying.retrieval import package_built, package_removed
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_moment
from ingest.accept import guessed_media_type, new_item_columns
from ingest.manifest import parse_manifest

_LOADED: Final = _models
_NO_BYTES: Final = b""
_PLAYS: Final = ("playable", "damaged")
_ITEM: Final = ("kind", "duration_ms", "recorded_from", "play_state", "play_reason", "play_note")
_SOURCE: Final = ("device_serial", "source_kind", "officer_number", "channel", "series", "sequence")
_MOST_REASON: Final = 64


def preserved(told: Told, rows: Rows, sources: Sources) -> None:
    """Write an item with its original, the upload that brought it, and the claim that made it."""
    digests = told.digests
    path = original_path(told, sources)
    sent = sources.object_file(told.about, "metadata/dock-manifest.json", sha256=told.get("dock_manifest_sha256"))
    signature = sources.object_file(told.about, "metadata/dock-manifest.json.sig")
    rows.add(
        "preserved_object",
        id=told.about,
        kind="item",
        name=told.words("name"),
        content_path=path,
        media_type=guessed_media_type(path),
        sm3=told.sm3,
        preserved_at=told.at,
        unit_id=told.uuid("unit"),
        classes=0,
        **digests,
    )
    columns = {"kind": "other", "dock_id": told.device, "sha512": digests["sha512"], "play_state": "pending"}
    columns |= {name: told.get(name) for name in _SOURCE}
    if sent is not None:
        columns |= _columns(sent, told)
    rows.add("evidence_item", object_id=told.about, received_at=told.at, **columns)
    _upload(told, rows, sent or _NO_BYTES, signature or _NO_BYTES, state="complete")
    rows.add(
        "intake_claim",
        sha512=digests["sha512"],
        upload_id=UUID(told.fields["req"]),
        object_id=told.about,
        item_manifest=sources.object_file(told.about, "metadata/manifest.json") or _NO_BYTES,
        item_signature=sources.object_file(told.about, "metadata/manifest.json.p7s") or _NO_BYTES,
    )


def _columns(sent: bytes, told: Told) -> dict[str, Any]:
    try:
        return new_item_columns(parse_manifest(sent), _digest_set(told))
    except InvalidInput:
        return {}


def _digest_set(told: Told) -> DigestSet:
    digests = told.digests
    return DigestSet(
        digests["size_bytes"],
        Digest.from_hex("sha256", digests["sha256"]),
        Digest.from_hex("sha512", digests["sha512"]),
        None if told.sm3 is None else Digest.from_hex("sm3", told.sm3),
    )


def received(told: Told, rows: Rows, _: Sources) -> None:
    """Write that an upload became an item, or was the same recording as one."""
    upload_id = UUID(told.fields["req"])
    if rows.find("upload", id=upload_id) is None:
        manifest = told.get("dock_manifest", "").encode()
        _upload(told, rows, manifest, bytes.fromhex(told.get("dock_signature", "")), state="complete")
    values: dict[str, Any] = {"state": "accepted", "entry_id": told.id, "finished_at": told.at}
    if "begun" in told:
        values["created_at"] = told.instant("begun")
    rows.change("upload", {"id": upload_id}, object_id=told.about, **values)


def quarantined(told: Told, rows: Rows, sources: Sources) -> None:
    """Write that an upload went to quarantine."""
    upload_id, digests = UUID(told.fields["req"]), told.digests
    manifest = sources.blob(sources.quarantine, f"{upload_id}/manifest.json")
    signature = sources.blob(sources.quarantine, f"{upload_id}/manifest.json.sig")
    _upload(told, rows, manifest or _NO_BYTES, signature or _NO_BYTES, state="quarantined")
    values: dict[str, Any] = {"refusal": told.get("reason"), "entry_id": told.id, "finished_at": told.at}
    if "begun" in told:
        values["created_at"] = told.instant("begun")
    rows.change("upload", {"id": upload_id}, **values)
    rows.add(
        "quarantine_item",
        upload_id=upload_id,
        key=f"{upload_id}/bytes",
        reason=told.words("reason"),
        name=told.words("name"),
        quarantined_at=told.at,
        **digests,
    )


def _upload(told: Told, rows: Rows, manifest: bytes, signature: bytes, *, state: str) -> None:
    size_bytes = told.digests["size_bytes"]
    rows.add(
        "upload",
        id=UUID(told.fields["req"]),
        dock_id=told.device,
        sender_id=None if told.actor == told.device else told.actor,
        credential=told.auth or "",
        size_bytes=size_bytes,
        offset_bytes=size_bytes,
        metadata_header="",
        manifest=manifest,
        manifest_signature=signature,
        state=state,
        object_id=told.about,
        created_at=told.at,
        expires_at=told.at,
    )


def described(told: Told, rows: Rows, sources: Sources) -> None:
    """Write what a look into an item found, and what it changed about it."""
    if told.kind == "record":
        record_described(told, rows, sources)
        return
    object_id, look, sha256 = told.about, told["look"], told["sha256"]
    _item(told, rows, object_id)
    if "device_serial" in told:
        rows.change("evidence_item", {"object_id": object_id}, device_serial=told["device_serial"])
    found = sources.found(object_id, look, sha256)
    if found is None:
        return
    if look == "probe":
        rows.change("evidence_item", {"object_id": object_id}, probe=found)
        return
    values = {"found": found, "sha256": sha256, "tool": told["tool"], "made_at": told.at}
    rows.set("item_look", {"object_id": object_id, "look": look}, **values)
    kept_text(told, rows, sources, object_id)


def _item(told: Told, rows: Rows, object_id: UUID) -> None:
    facts = told.get("item")
    if facts is not None:
        values = {name: facts[name] for name in _ITEM}
        rows.change("evidence_item", {"object_id": object_id}, recorded_at=as_moment(facts["recorded_at"]), **values)
        rows.change("preserved_object", {"id": object_id}, media_type=facts["media_type"])


def created(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a rendition in place of an older one of its kind, where its bytes are still there; or a package."""
    if told.kind == "case":
        package_built(told, rows)
        return
    object_id, kind = told.uuid("of"), told["kind"]
    if object_id is None:
        raise told.unknown("of")
    rows.remove("rendition", object_id=object_id, kind=kind)
    _item(told, rows, object_id)
    if "key" not in told or not sources.renditions.exists(told["key"]):
        return
    recipe = sources.found(object_id, f"recipe-{kind}", told["recipe_sha256"])
    if recipe is None:
        return
    rows.add(
        "rendition",
        id=told.about,
        object_id=object_id,
        kind=kind,
        key=told["key"],
        media_type=told["media_type"],
        size_bytes=told["size"],
        sha256=told["sha256"],
        recipe=recipe,
        created_at=told.at,
    )


def dropped(told: Told, rows: Rows, _: Sources) -> None:
    """Remove a rendition; an item without one that plays is being prepared. Or a package."""
    if told.kind == "case":
        package_removed(told, rows)
        return
    rows.remove("rendition", id=told.about)
    if told.get("kind") == "playable":
        item = rows.find("evidence_item", object_id=told.uuid("of"))
        if item is not None and item["play_state"] in _PLAYS:
            values = {"play_state": "pending", "play_reason": None, "play_note": None}
            rows.change("evidence_item", {"object_id": told.uuid("of")}, **values)


def failed(told: Told, rows: Rows, _: Sources) -> None:
    """Write why nothing of an item plays."""
    if told.kind != "item" or "reason" not in told:
        return
    values = {"play_reason": told["reason"][:_MOST_REASON], "play_note": told.get("message")}
    rows.change("evidence_item", {"object_id": told.about}, play_state="unplayable", **values)


def verified(told: Told, rows: Rows, sources: Sources) -> None:
    """Write how what plays was compared with the original."""
    if "essence_sha256" in told and told.kind == "item":
        essence = sources.found(told.about, "essence", told["essence_sha256"])
        if essence is not None:
            rows.change("evidence_item", {"object_id": told.about}, essence=essence)


def object_of(told: Told, rows: Rows) -> UUID:
    """Return what an entry's custody event is about: an entry about a rendition names the original in its detail.

    Raises: FactUnknown.
    """
    if told.kind != "rendition":
        return told.about
    if "of" not in told:
        known = rows.find("rendition", id=told.about)
        if known is None:
            raise told.unknown("of")
        return ObjectId(known["object_id"])
    return UUID(told["of"])


HANDLERS: Final[Mapping[str, Any]] = {
    "object.preserved": preserved,
    "ingest.received": received,
    "ingest.quarantined": quarantined,
    "item.described": described,
    "derivative.created": created,
    "derivative.dropped": dropped,
    "derivative.failed": failed,
    "derivative.verified": verified,
}
