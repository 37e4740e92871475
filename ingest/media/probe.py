"""Look at a file: what it is, what streams it has, what it claims. Cheap: headers only, no pass over the packets.

The demuxer follows from the content (`sniff.py`); pictures are not decoded at all (`pictures.py`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, invalid
from archive.kernel.instants import format_instant, parse_instant
from ingest.media.allowed import MAX_PIXELS, Format, Kind
from ingest.media.arguments import probe_arguments
from ingest.media.boxes import layout
from ingest.media.facts import Probe, RecordedAt, Stream, parse_fraction
from ingest.media.pictures import Declared, declared
from ingest.media.sandbox import SOURCE, Hooks, Limits
from ingest.media.sniff import sniff
from ingest.media.supervise import Ended, Ran
from ingest.media.tools import Toolbox

__all__ = ["Probe", "RecordedAt", "Stream", "probe"]

_LIMITS: Final = Limits(wall_s=90, cpu_s=30, memory_bytes=3 * 1024**3, file_bytes=0)
_MOST_JSON_BYTES: Final = 2 * 1024 * 1024
_MOST_TAGS: Final = 64
_MOST_KEY: Final = 64
_MOST_VALUE: Final = 512
_KINDS: Final = {"video": "video", "audio": "audio", "subtitle": "subtitle", "data": "data"}
_TIME_TAGS: Final = ("creation_time", "com.apple.quicktime.creationdate", "date", "date_recorded")
_REASONS: Final = (
    ("moov atom not found", "media.no_index", "The recording was never finished: its index (moov) is missing"),
    ("Number of streams exceeds", "media.too_many_streams", "The file declares more streams than any camera writes"),
    ("Cannot allocate memory", "media.too_costly", "The file asks for more memory than any recording needs"),
)


def probe(path: Path, *, toolbox: Toolbox) -> Probe:
    """Establish what the file at `path` is. What cannot be read is told by findings, not by an exception.

    Raises: MediaTimeout, ToolMissing, SandboxUnavailable; OSError when `path` cannot be opened.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as source:
        sniffed = sniff(source)
        allowed = sniffed.format
        if allowed is None:
            refused = (invalid(sniffed.code, sniffed.message),) if sniffed.code else ()
            return Probe(sniffed.kind, size_bytes, sniffed.media_type, findings=refused)
        start = Probe(sniffed.kind, size_bytes, allowed.media_type, sniffed.format_name)
        if allowed.kind is Kind.PHOTO:
            facts = declared(source, format_name=sniffed.format_name)
            return _picture(start, facts, allowed=allowed)
    return _streams(path, start, allowed=allowed, toolbox=toolbox)


def _picture(start: Probe, facts: Declared | None, *, allowed: Format) -> Probe:
    # How large the preview in a raw photo is shows when it has been taken out.
    is_sized = facts is not None and facts.width > 0 and facts.height > 0
    if facts is None or not (is_sized or allowed.through == "exiftool"):
        return replace(start, findings=(invalid("media.unreadable", "The picture's header is broken"),))
    codec = allowed.decoders.split(",", maxsplit=1)[0]
    stream = Stream(0, "picture", codec, width=facts.width, height=facts.height)
    told = replace(start, streams=(stream,), orientation=facts.orientation)
    if facts.width * facts.height > MAX_PIXELS:
        message = f"The picture declares {facts.width} x {facts.height} pixels, more than any camera makes"
        return replace(told, findings=(invalid("media.picture_too_large", message),))
    if facts.taken_at:
        return replace(told, recorded_at=(_claim("exif.date_time_original", facts.taken_at),))
    return told


def _streams(path: Path, start: Probe, *, allowed: Format, toolbox: Toolbox) -> Probe:
    errors = 0

    def count(line: str) -> None:
        nonlocal errors
        errors += "[error]" in line or "[fatal]" in line

    hooks = Hooks(on_error_line=count, keep_stdout_bytes=_MOST_JSON_BYTES)
    arguments = probe_arguments(start.format_name)
    program = toolbox.ffprobe
    ran = toolbox.sandbox.run(program.path, [*arguments, SOURCE], limits=_LIMITS, source=path, hooks=hooks)
    findings: list[Finding] = []
    if start.format_name == "mov" and (missing := layout(path).missing_bytes) > 0:
        findings.append(
            invalid(
                "media.truncated",
                f"The file ends {missing} bytes before what it declares",
                where=f"{start.size_bytes} B",
            )
        )
    told = _parsed(ran)
    if told is None:
        return replace(start, tool=program.version, errors=errors, findings=(_refusal(ran), *findings))
    container = _mapping(told.get("format"))
    streams = tuple(_stream(_mapping(part)) for part in told.get("streams", []))
    duration_ms = _ms(container.get("duration"))
    tags = _tags(container.get("tags"))
    kind = start.kind
    if kind in {Kind.FOOTAGE, Kind.AUDIO}:
        kind = Kind.FOOTAGE if any(stream.kind == "video" for stream in streams) else Kind.AUDIO
    return replace(
        start,
        kind=kind,
        media_type=_media_type(start, kind),
        duration_ms=duration_ms,
        is_duration_stated=allowed.has_true_duration and duration_ms is not None,
        bit_rate=_whole(container.get("bit_rate")),
        errors=errors,
        tool=program.version,
        streams=streams,
        tags=tags,
        recorded_at=_claims(tags, told.get("streams", [])),
        findings=tuple(findings),
    )


def _parsed(ran: Ran) -> Mapping[str, Any] | None:
    if ran.returncode != 0 or ran.ended is not Ended.EXIT:
        return None
    try:
        told = json.loads(ran.stdout.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    streams = told.get("streams") if isinstance(told, Mapping) else None
    return told if isinstance(streams, list) and streams else None


def _refusal(ran: Ran) -> Finding:
    if ran.ended is not Ended.EXIT:
        return invalid("media.too_costly", "Reading the file's headers takes more than any recording needs")
    codec = re.search(r"Codec \(([\w-]{1,40})\) not on whitelist", ran.stderr_tail)
    if codec is not None:
        return invalid("media.codec_not_allowed", f"The file uses the codec {codec[1]}, which is not on the allow-list")
    for needle, code, message in _REASONS:
        if needle in ran.stderr_tail:
            return invalid(code, message)
    return invalid("media.unreadable", "The file cannot be read: no stream was found in it")


def _stream(told: Mapping[str, Any]) -> Stream:
    kind = _KINDS.get(str(told.get("codec_type")), "other")
    disposition = _mapping(told.get("disposition"))
    if kind == "video" and disposition.get("attached_pic") == 1:
        kind = "picture"
    tags = _tags(told.get("tags"))
    average, base = (parse_fraction(str(told.get(name, "0/0"))) for name in ("avg_frame_rate", "r_frame_rate"))
    rate = average or base
    language = tags.get("language", "")
    return Stream(
        index=_whole(told.get("index")) or 0,
        kind=kind,
        codec=_clean(told.get("codec_name"), _MOST_KEY),
        profile=_clean(told.get("profile"), _MOST_KEY),
        pix_fmt=_clean(told.get("pix_fmt"), _MOST_KEY),
        width=_whole(told.get("width")) or 0,
        height=_whole(told.get("height")) or 0,
        sample_aspect=_aspect(str(told.get("sample_aspect_ratio", ""))),
        rotation=_rotation(told, tags) if kind == "video" else 0,
        fps=f"{rate.numerator}/{rate.denominator}" if kind == "video" else "0/1",
        is_variable_rate=kind == "video" and bool(average and base) and abs(average / base - 1) > Decimal("0.01"),
        is_reordered=(_whole(told.get("has_b_frames")) or 0) > 0,
        field_order=_clean(told.get("field_order"), _MOST_KEY),
        sample_rate=_whole(told.get("sample_rate")) or 0,
        channels=_whole(told.get("channels")) or 0,
        language="" if language == "und" else language[:16],
        start_ms=_ms(told.get("start_time")),
        duration_ms=_ms(told.get("duration")),
        bit_rate=_whole(told.get("bit_rate")),
    )


def _media_type(start: Probe, kind: Kind) -> str:
    if kind is Kind.AUDIO and start.format_name in {"mov", "matroska"}:
        return start.media_type.replace("video/", "audio/")
    return start.media_type


def _rotation(told: Mapping[str, Any], tags: Mapping[str, str]) -> int:
    """Turn ffprobe's counter-clockwise matrix angle (or the older clockwise tag) into clockwise quarters."""
    angle: int | None = None
    for part in told.get("side_data_list", []):
        if isinstance(part, Mapping) and isinstance(part.get("rotation"), int):
            angle = -part["rotation"]
    if angle is None:
        angle = _whole(tags.get("rotate")) or 0
    return round(angle / 90) * 90 % 360


def _aspect(text: str) -> str:
    value = parse_fraction(text)
    return f"{value.numerator}:{value.denominator}" if value else "1:1"


def _claims(tags: Mapping[str, str], streams: list[Any]) -> tuple[RecordedAt, ...]:
    claims = [_claim(f"container.{name}", tags[name]) for name in _TIME_TAGS if tags.get(name)]
    for number, told in enumerate(streams[:8]):
        given = _tags(_mapping(told).get("tags")).get("creation_time")
        if given and given != tags.get("creation_time"):
            claims.append(_claim(f"stream.{number}.creation_time", given))
    return tuple(claims)


def _claim(source: str, given: str) -> RecordedAt:
    written = given
    if re.fullmatch(r"\d{4}:\d\d:\d\d .*", given):
        written = given[:10].replace(":", "-") + "T" + given[11:]
    try:
        at = parse_instant(written)
    except InvalidInput:
        return RecordedAt(source, given)
    # A clock that was never set writes its epoch (1904, 1970); that is no claim about the recording.
    return RecordedAt(source, given, format_instant(at) if 1990 <= at.year <= 2200 else "")


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    pairs = list(value.items())[:_MOST_TAGS]
    return {_clean(name, _MOST_KEY).lower(): _clean(text, _MOST_VALUE) for name, text in pairs}


def _clean(value: Any, most: int) -> str:
    """Return text without control characters and of bounded length: tags are written by whoever made the file."""
    text = "" if value is None else str(value)
    return "".join(char for char in text[: most * 2] if char.isprintable())[:most].strip()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int | None:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if abs(number) < 2**53 else None


def _ms(value: Any) -> int | None:
    try:
        seconds = Decimal(str(value))
    except InvalidOperation:
        return None
    return int(seconds * 1000) if seconds.is_finite() and abs(seconds) < 10**12 else None
