"""What the camera says of a recording: the sidecar that it wrote, the container's own tags, the file's name and times.

A sidecar is JSON beside the recording. It goes into the manifest as it is, with numbers that have no exact form turned
into the text that stood there; known fields are read from it: `serial`, `model`, `firmware`, `source`, `officer`,
`channel`, `series`, `sequence`, `recorded_at`, `device_time`, `name`. What cannot be taken is left out and told; a
damaged sidecar never holds a recording up. What the name says (`ingest.sources.patterns`) fills in what the sidecar and
the tags leave open.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.evidence.terms import RecordedFrom, SourceKind
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.ids import DockId
from archive.kernel.instants import Instant, format_instant, parse_instant
from ingest.agent.files import FileIdentity, Found, opened
from ingest.agent.printable import printable
from ingest.agent.tags import container_tags
from ingest.manifest import (
    MAX_MANIFEST_BYTES,
    MOST_CHANNEL,
    MOST_OFFICER,
    MOST_SEQUENCE,
    MOST_SERIES,
    build_manifest,
    parse_manifest,
)
from ingest.sources.patterns import NameClaims, NamePatterns

_MOST_SIDECAR_BYTES: Final = 64 * 1024
_MOST_KEPT_BYTES: Final = 8 * 1024
_MOST_NAME: Final = 1024
_MOST_TEXT: Final = 128
_MOST_FOLDER: Final = 512
_LARGEST_INTEGER: Final = 2**53 - 1
_NUMBERING: Final = frozenset({"series", "sequence"})
_FRESH: Final = timedelta(minutes=10)
_AS_IF_UTC: Final = timedelta(seconds=5)
"""So close, a container's time and the local time in the name are the same figures, one of them taken for UTC."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks at the start of a push. Units: milliseconds; positive means ahead of the archive's clock."""

    dock_at: Instant
    dock_offset_ms: int
    device_offset_ms: int | None

    def offset_ms(self, device_time: Instant) -> int:
        """Return how far a device is ahead that showed this time when the push began."""
        archive_at = self.dock_at - timedelta(milliseconds=self.dock_offset_ms)
        return round((device_time - archive_at) / timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class Described:
    """The manifest of a recording, and what is worth telling of it."""

    manifest: bytes
    notes: list[str]


@dataclass(frozen=True, slots=True)
class _Sidecar:
    value: Any = None
    written_at: Instant | None = None
    problem: str | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        return self.value if isinstance(self.value, dict) else {}


def describe(
    found: Found,
    source: BinaryIO,
    identity: FileIdentity,
    digests: DigestSet,
    *,
    dock_id: DockId,
    case_number: str | None,
    clocks: Clocks,
    signed_at: Instant,
    patterns: NamePatterns,
) -> Described:
    """Return the manifest of a file, from everything that is known of it at the dock. Never fails for what it reads."""
    notes: list[str] = []
    sidecar = _read_sidecar(found.sidecar)
    if sidecar.problem is not None:
        notes.append(f"sidecar left out: {sidecar.problem}")
    tags = container_tags(source, size_bytes=identity.size_bytes)
    name = _text(sidecar.fields, "name", _MOST_NAME, notes) or _exact(found.path.name)
    claims = patterns.read(name, folder=_exact(found.folder)) or NameClaims("")
    times = _times(identity, sidecar, tags, claims, notes)
    times |= _clock_times(sidecar, clocks, notes)
    times["signed"] = format_instant(signed_at)
    device = _device(sidecar, claims, notes)
    if found.folder:
        tags["folder"] = _exact(found.folder)[:_MOST_FOLDER]
    tags |= {key: value for key, value in (("pattern", claims.pattern), ("trigger", claims.trigger)) if value}

    def built(value: Any) -> bytes:
        return build_manifest(
            dock_id=dock_id,
            name=name,
            digests=digests,
            times=times,
            device=device,
            case_number=case_number,
            sidecar=value,
            tags=tags,
        )

    manifest = built(sidecar.value)
    if len(manifest) > MAX_MANIFEST_BYTES:
        notes.append("sidecar left out: it is too long for the manifest")
        return Described(built(None), notes)
    return Described(manifest, notes)


def serial_of(found: Found, claims: NameClaims | None) -> str | None:
    """Return the serial number of the camera, by the sidecar or by what the name says; None where neither does."""
    said = _text(_read_sidecar(found.sidecar).fields, "serial", _MOST_TEXT, [])
    return said or (None if claims is None else claims.serial)


def is_in_manifest(sidecar: Path, manifest: bytes) -> bool:
    """Return whether the manifest holds what the sidecar says now, all of it."""
    read = _read_sidecar(sidecar)
    held = parse_manifest(manifest).fields.get("sidecar")
    return read.value is not None and canonical_json(read.value) == canonical_json(held)


def _device(sidecar: _Sidecar, claims: NameClaims, notes: list[str]) -> dict[str, str | int]:
    """Return what is known of the device and of the place of the file among its files."""
    fields = sidecar.fields
    most = {
        "serial": _MOST_TEXT, "model": _MOST_TEXT, "firmware": _MOST_TEXT, "source": 16, "officer": MOST_OFFICER,
        "channel": MOST_CHANNEL, "series": MOST_SERIES,
    }  # fmt: skip
    device: dict[str, str | int] = {
        key: value for key, length in most.items() if (value := _text(fields, key, length, notes)) is not None
    }
    if device.get("source", SourceKind.OTHER) not in set(SourceKind):
        del device["source"]
        notes.append(f"source not used: it is none of {', '.join(SourceKind)}")
    sequence = fields.get("sequence")
    if isinstance(sequence, int) and not isinstance(sequence, bool) and 0 <= sequence <= MOST_SEQUENCE:
        device["sequence"] = sequence
    elif sequence is not None:
        notes.append(f"sequence not used: it is no number from 0 to {MOST_SEQUENCE}")
    # Numbers mean something in their own series only.
    passed = _NUMBERING if _NUMBERING & device.keys() else frozenset()
    return {key: value for key, value in claims.device.items() if key not in passed} | device


def _times(
    identity: FileIdentity, sidecar: _Sidecar, tags: Mapping[str, str], claims: NameClaims, notes: list[str]
) -> dict[str, Any]:
    times: dict[str, Any] = {}
    try:
        times["modified"] = format_instant(datetime.fromtimestamp(identity.modified_ns // 1000 / 1e6, UTC))
    except (ValueError, OverflowError, OSError):
        notes.append("the time of the file is beyond the calendar")
    times |= claims.times
    contained = tags.get("creation_time")
    if _instant(sidecar.fields, "recorded_at", notes) is not None:
        times |= {"recorded": str(sidecar.fields["recorded_at"]), "recorded_from": RecordedFrom.SIDECAR.value}
    elif contained is not None and not _is_local_as_utc(contained, claims):
        times |= {"recorded": contained, "recorded_from": RecordedFrom.CONTAINER.value}
    elif contained is not None:
        notes.append("the time in the file is local time marked as UTC; that of its name is used")
    return times


def _is_local_as_utc(contained: str, claims: NameClaims) -> bool:
    """Whether the container's time is the name's local time without its offset, as many cameras write it."""
    named = claims.recorded_at
    if named is None or not claims.is_exact or not named.utcoffset():
        return False
    return abs(parse_instant(contained) - named.replace(tzinfo=UTC)) <= _AS_IF_UTC


def _clock_times(sidecar: _Sidecar, clocks: Clocks, notes: list[str]) -> dict[str, int]:
    times = {"dock_clock_offset_ms": clocks.dock_offset_ms}
    offset_ms = clocks.device_offset_ms
    shown = _instant(sidecar.fields, "device_time", notes)
    if offset_ms is None and shown is not None:
        if sidecar.written_at is not None and abs(clocks.dock_at - sidecar.written_at) <= _FRESH:
            offset_ms = clocks.offset_ms(shown)
        else:
            notes.append("device_time not used: the sidecar was not written just now")
    if offset_ms is not None:
        times["clock_offset_ms"] = offset_ms
    return times


def _read_sidecar(path: Path | None) -> _Sidecar:
    if path is None:
        return _Sidecar()
    try:
        with opened(path) as (source, identity):
            if identity.size_bytes > _MOST_SIDECAR_BYTES:
                return _Sidecar(problem="it is too long")
            raw = source.read(_MOST_SIDECAR_BYTES + 1)
        value = json.loads(
            raw.decode("utf-8-sig"),
            parse_float=str,
            parse_constant=str,
            parse_int=_integer,
            object_pairs_hook=_unique,
        )
        if value is None or len(canonical_json(value)) > _MOST_KEPT_BYTES:
            return _Sidecar(problem="it is empty or too long")
        written_at = datetime.fromtimestamp(identity.modified_ns // 10**9, UTC)
    except (ValueError, OverflowError, RecursionError):
        return _Sidecar(problem="it is not JSON that has one reading")
    except (LiuhenError, OSError) as exc:
        return _Sidecar(problem=printable(str(exc), most=100))
    return _Sidecar(value, written_at)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 17 and abs(int(digits)) <= _LARGEST_INTEGER else digits


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _text(fields: Mapping[str, Any], key: str, most: int, notes: list[str]) -> str | None:
    value = fields.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most or "\x00" in value:
        notes.append(f"{key} not used: it is no text of at most {most} characters, none of them NUL")
        return None
    return value


def _instant(fields: Mapping[str, Any], key: str, notes: list[str]) -> Instant | None:
    value = fields.get(key)
    if value is None:
        return None
    try:
        return parse_instant(value)
    except InvalidInput:
        notes.append(f"{key} not used: it is no time with its offset from UTC (RFC 3339)")
        return None


def _exact(name: str) -> str:
    """Return a name as text; a byte that is no UTF-8 is written out in hexadecimal, so that nothing of it is lost."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
