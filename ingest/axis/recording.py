"""From a whole recording to items: one manifest for each object that has bytes, signed by the archive's Axis door.

What the system said goes into the manifests as it was said. Bookmarks are metadata of the clips; key files and location
trails are items of their own, since clips cannot be read without the one and the other has bytes that count as well.
Where all that does not fit into a manifest, a sheet of the archive's own making holds it, as one more item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from archive.kernel.canonical import canonical_json
from archive.kernel.digests import Digest, DigestSet, digest_of
from archive.kernel.instants import Instant, format_instant
from archive.ports.keys import KeyHandle
from ingest.axis.models import AxisContainer, AxisObject
from ingest.axis.naming import ObjectKind, key_of, kind_of, moment, recording_parts, spelled
from ingest.axis.systems import AxisSystem
from ingest.manifest import MAX_MANIFEST_BYTES, build_manifest, sign_manifest

SHEET_NAME: Final = "recording-sheet.json"
_MOST_TEXT: Final = 128
_MOST_TAG: Final = 512


@dataclass(frozen=True, slots=True)
class Signed:
    """The manifest of one object, and the door's signature on it."""

    manifest: bytes
    signature: bytes


@dataclass(frozen=True)
class Recording:
    """A recording as it was transferred, with the users that the system has registered."""

    system: AxisSystem
    container: AxisContainer
    objects: Sequence[AxisObject]
    user: dict[str, str] | None

    def sheet(self) -> bytes | None:
        """Return the sheet of everything that was said, as canonical JSON; None where the manifests hold all of it."""
        manifests = (self._built(found, self._everything(found)) for found in self.with_bytes)
        if not self.objects or (self.with_bytes and all(len(raw) <= MAX_MANIFEST_BYTES for raw in manifests)):
            return None
        return canonical_json({"v": 1, **self._told(), "objects": [self._object(found) for found in self.objects]})

    @property
    def with_bytes(self) -> list[AxisObject]:
        """The objects that become items."""
        return [found for found in self.objects if found.state != "kept"]

    def sign(self, found: AxisObject, key: KeyHandle, *, at: Instant, sheet: Digest | None) -> Signed:
        """Return the signed manifest of an object; `sheet` is the SHA-256 of the sheet that holds what was said."""
        if sheet is None:
            told = self._everything(found)
        else:
            told = {
                "axis": {
                    "container": self.container.name,
                    "object": spelled(found.meta),
                    "sheet": {"name": SHEET_NAME, "sha256": sheet.hex},
                }
            }
        manifest = self._built(found, told, at=at)
        return Signed(manifest, sign_manifest(manifest, key))

    def sign_sheet(self, sheet: bytes, key: KeyHandle, *, at: Instant) -> Signed:
        """Return the signed manifest of the sheet."""
        manifest = build_manifest(
            dock_id=self.system.dock_id,
            name=SHEET_NAME,
            digests=digest_of(sheet),
            times=self._times({}, at),
            device=self._device(),
            tags={"axis_recording": self.container.name, "axis_kind": "sheet"},
            sender=self._sender(),
        )
        return Signed(manifest, sign_manifest(manifest, key))

    def _built(self, found: AxisObject, told: dict[str, Any], *, at: Instant | None = None) -> bytes:
        key = key_of(found.name, self._keys)
        tags = {"axis_recording": self.container.name, "axis_kind": kind_of(found.name).value}
        if key is not None:
            tags["encrypted_with"] = key[:_MOST_TAG]
        return build_manifest(
            dock_id=self.system.dock_id,
            name=found.name,
            digests=digests_of(found),
            times=self._times(found.meta, at or self.container.changed_at),
            device=self._device(),
            sidecar=told,
            tags=tags,
            sender=self._sender(),
        )

    @cached_property
    def _keys(self) -> list[str]:
        """The key files, looked for once: every object of a recording asks, and there may be thousands."""
        return [found.name for found in self.objects if kind_of(found.name) is ObjectKind.KEY]

    def _everything(self, found: AxisObject) -> dict[str, Any]:
        told = {**self._told(), "object": spelled(found.meta)}
        others = [self._object(other) for other in self.objects if other.name != found.name]
        lists = {"objects": others, "bookmarks": self._bookmarks(found)}
        return {"axis": {**told, **{name: several for name, several in lists.items() if several}}}

    def _bookmarks(self, clip: AxisObject) -> list[dict[str, Any]]:
        """Return the bookmarks that lie in a clip, by their place in it."""
        start, stop = moment(clip.meta.get("starttimeiso")), moment(clip.meta.get("stoptimeiso"))
        if kind_of(clip.name) is not ObjectKind.CLIP or start is None:
            return []
        found = []
        for other in self.objects:
            at = moment(other.meta.get("starttime")) if is_bookmark(other.name) else None
            if at is not None and start <= at and (stop is None or at < stop):
                text = (other.body or b"").decode("utf-8", "replace").strip()
                label = text or str(other.meta.get("categoryname") or "")
                at_ms = (at - start) // timedelta(milliseconds=1)
                found.append({"at_ms": at_ms, "label": label[:_MOST_TEXT], "object": other.name})
        return found

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {"container": self.container.name, "recording": spelled(self.container.meta)}
        if self.user is not None:
            told["user"] = self.user
        return told

    def _object(self, found: AxisObject) -> dict[str, Any]:
        """Return an object as others of the recording name it; a bookmark whole, since it is nowhere else."""
        told: dict[str, Any] = {"name": found.name, "kind": kind_of(found.name).value, "size": found.size_bytes}
        if found.state != "kept":
            return {**told, "sha256": found.sha256}
        return {**told, "meta": spelled(found.meta), "text": (found.body or b"").decode("utf-8", "replace")}

    def _times(self, meta: dict[str, Any], at: Instant) -> dict[str, str]:
        started = self.container.meta
        given = (
            meta.get("starttimeiso"), meta.get("starttime"), started.get("starttimeiso"), started.get("starttime"),
            started.get("triggerontimeiso"), started.get("triggerontime"),
        )  # fmt: skip
        known = [found for text in given if (found := moment(text)) is not None]
        recorded = known[0] if known else recording_parts(self.container.name)[2]
        times = {"signed": format_instant(at)}
        return times if recorded is None else {**times, "recorded": format_instant(recorded)}

    def _device(self) -> dict[str, str]:
        meta = self.container.meta
        told = {
            "serial": meta.get("bwcserialnumber") or recording_parts(self.container.name)[1],
            "model": meta.get("bwcmodel"),
            "firmware": meta.get("firmwareversion"),
        }
        return {name: str(value)[:_MOST_TEXT] for name, value in told.items() if value}

    def _sender(self) -> dict[str, str]:
        user = self.container.meta.get("userid") or recording_parts(self.container.name)[0]
        sender = {"door": "axis", "system": self.system.name}
        return {**sender, "user": str(user)[:_MOST_TEXT]} if user else sender


def user_of(container: AxisContainer) -> str | None:
    """Return the id of the user who wore the camera, as the system names it."""
    told = container.meta.get("userid") or recording_parts(container.name)[0]
    return None if told is None else str(told)


def digests_of(found: AxisObject) -> DigestSet:
    """Return the digests that an object had when it came."""
    return DigestSet(
        size_bytes=found.size_bytes,
        sha256=Digest.from_hex("sha256", found.sha256),
        sha512=Digest.from_hex("sha512", found.sha512),
        sm3=None if found.sm3 is None else Digest.from_hex("sm3", found.sm3),
    )


def is_bookmark(name: str) -> bool:
    """Return whether an object is metadata only, which may be empty."""
    return kind_of(name) is ObjectKind.BOOKMARK
