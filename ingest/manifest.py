"""The dock's manifest: what the dock says of one file before it sends it, signed with the dock's own key.

Format (canonical JSON, docs/formats/dock-manifest.md): `v`, `dock`, `file` {`name`, `size`, `sha256`, `sha512`,
`sm3`?}, `times` {`modified`?, `recorded`?, `recorded_from`?, `named`?, `clock_offset_ms`?, `dock_clock_offset_ms`?,
`signed`}, `device` {`serial`?, `model`?, `firmware`?, `source`?, `officer`?, `channel`?, `series`?, `sequence`?},
`case`?, `sidecar`?, `tags`?, `sender`?. Integers only; times are RFC 3339 with offset. `sender` stands in manifests
that the archive's own doors sign: who declared this to the archive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from archive.evidence.terms import RecordedFrom, SourceKind
from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId, parse_uuid
from archive.kernel.instants import Instant, parse_instant
from archive.ports.keys import KeyHandle
from ingest.errors import ManifestMalformed

MAX_MANIFEST_BYTES: Final = 16 * 1024
_DOMAIN: Final = b"liuhen-dock-manifest/v1\n"
_MAX_CLOCK_OFFSET_MS: Final = 100 * 365 * 86_400_000
MOST_SEQUENCE: Final = 999_999_999
MOST_OFFICER: Final = 32
MOST_CHANNEL: Final = 32
MOST_SERIES: Final = 128
_KNOWN: Final = frozenset({"v", "dock", "file", "times", "device", "case", "sidecar", "tags", "sender"})


Term = TypeVar("Term", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class DockManifest:
    """A parsed manifest and its verbatim bytes.

    Units: `clock_offset_ms` is device clock minus true time as the dock measured it, in milliseconds.
    `channel` is the lens or input of a device that has several. With a `series`, `sequence` numbers the chapters of one
    recording; without, it is a running number of the device.
    """

    raw: bytes
    dock_id: DockId
    name: str
    digests: DigestSet
    case_number: str | None
    device_serial: str | None
    recorded_at: Instant | None
    modified_at: Instant | None
    clock_offset_ms: int | None
    recorded_from: RecordedFrom | None
    source_kind: SourceKind | None
    officer_number: str | None
    channel: str | None
    series: str | None
    sequence: int | None
    fields: Mapping[str, Any]


def build_manifest(
    *,
    dock_id: DockId,
    name: str,
    digests: DigestSet,
    times: Mapping[str, Any],
    device: Mapping[str, str | int],
    case_number: str | None = None,
    sidecar: Any = None,
    tags: Mapping[str, str] | None = None,
    sender: Mapping[str, str] | None = None,
) -> bytes:
    """Return the canonical bytes of a manifest. Raises: NotCanonical for values that have no canonical form."""
    fields: dict[str, Any] = {
        "v": 1,
        "dock": str(dock_id),
        "file": {"name": name, "size": digests.size_bytes, **digests.as_json()},
        "times": dict(times),
        "device": dict(device),
        "case": case_number,
        "sidecar": sidecar,
        "tags": dict(tags) if tags else None,
        "sender": dict(sender) if sender else None,
    }
    return canonical_json({key: value for key, value in fields.items() if value is not None})


def sign_manifest(raw: bytes, key: KeyHandle) -> bytes:
    """Return the dock's Ed25519 signature over the manifest, under its own domain prefix."""
    return key.sign(_DOMAIN + raw)


def signed_bytes(raw: bytes) -> bytes:
    """Return what the dock's signature covers."""
    return _DOMAIN + raw


def parse_manifest(raw: bytes) -> DockManifest:
    """Parse a manifest strictly. Whether it is trusted is another question.

    Raises: ManifestMalformed.
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise ManifestMalformed("The manifest is longer than 16 KiB")
    try:
        fields = parse_canonical(raw)
        return _parsed(raw, fields)
    except ManifestMalformed:
        raise
    except InvalidInput as exc:
        raise ManifestMalformed(f"The manifest cannot be read: {exc.message}") from exc


def _parsed(raw: bytes, fields: Any) -> DockManifest:
    if not isinstance(fields, dict) or fields.get("v") != 1 or not set(fields) <= _KNOWN:
        raise ManifestMalformed("Not a dock manifest of version 1")
    file, times, device = _object(fields, "file"), _object(fields, "times"), _object(fields, "device")
    name, size = file.get("name"), file.get("size")
    if not isinstance(name, str) or not 1 <= len(name) <= 1024 or "\x00" in name:
        raise ManifestMalformed("The file name has 1 to 1024 characters, none of them NUL")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestMalformed("The file size is not a number of bytes")
    offset = times.get("clock_offset_ms")
    if offset is not None and (not isinstance(offset, int) or abs(offset) > _MAX_CLOCK_OFFSET_MS):
        raise ManifestMalformed("The clock offset is not a number of milliseconds")
    sequence = device.get("sequence")
    if sequence is not None and (
        not isinstance(sequence, int) or isinstance(sequence, bool) or not 0 <= sequence <= MOST_SEQUENCE
    ):
        raise ManifestMalformed(f"The sequence is not a number from 0 to {MOST_SEQUENCE}")
    return DockManifest(
        raw=raw,
        dock_id=DockId(parse_uuid(_text(fields, "dock", 36, required=True) or "")),
        name=name,
        digests=DigestSet.from_json(size, {key: value for key, value in file.items() if key not in {"name", "size"}}),
        case_number=_text(fields, "case", 100),
        device_serial=_text(device, "serial", 128),
        recorded_at=_instant(times, "recorded"),
        modified_at=_instant(times, "modified"),
        clock_offset_ms=offset,
        recorded_from=_term(times, "recorded_from", RecordedFrom),
        source_kind=_term(device, "source", SourceKind),
        officer_number=_text(device, "officer", MOST_OFFICER),
        channel=_text(device, "channel", MOST_CHANNEL),
        series=_text(device, "series", MOST_SERIES),
        sequence=sequence,
        fields=fields,
    )


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise ManifestMalformed(f"The manifest has no {name}")
    return value


def _text(fields: Mapping[str, Any], name: str, most: int, *, required: bool = False) -> str | None:
    value = fields.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= most or "\x00" in value:
        raise ManifestMalformed(f"The manifest's {name} has 1 to {most} characters, none of them NUL")
    return value


def _term(fields: Mapping[str, Any], name: str, terms: type[Term]) -> Term | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value not in set(terms):
        raise ManifestMalformed(f"The manifest's {name} is none of: {', '.join(terms)}")
    return terms(value)


def _instant(fields: Mapping[str, Any], name: str) -> Instant | None:
    value = fields.get(name)
    return None if value is None else parse_instant(value)
