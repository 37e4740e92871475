"""Where a recording was made and what made it: positions, device, firmware, each with the tag that says so.

exiftool reads them, in the sandbox; it knows the streams of action cameras, drones and dash cameras. Formats:
docs/formats/looks.md. Units: degrees x 10^7, centimetres, millimetres a second, milliseconds.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ingest.media.errors import MediaTimeout
from ingest.media.sandbox import SOURCE, Hooks, Limits
from ingest.media.supervise import Ended
from ingest.media.tools import Tool, Toolbox

MOST_POINTS: Final = 10_000
_MOST_VALUE: Final = 128
_MOST_JSON_BYTES: Final = 256 * 1024
_MIB: Final = 1024 * 1024
_LEAST_BYTES_PER_S: Final = 8 * _MIB
_MOST_CPU_S: Final = 24 * 3600
_MEMORY_BYTES: Final = 3 * 1024 * _MIB
_MOST_MS: Final = 1 << 50

# No configuration, numbers as numbers, no warnings.
_COMMON: Final = ("-config", "", "-n", "-q", "-q", "-m")
_MARK: Final = "P|"
_LINE: Final = _MARK + "|".join(
    f"${name}"
    for name in (
        *("SampleTime", "GPSLatitude", "GPSLongitude", "GPSAltitude", "GPSSpeed", "GPSSpeedRef", "GPSDateTime"),
    )
)
_PARTS: Final = _LINE.count("|")
_TIME: Final = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?Z?")
# Millimetres a second in one unit of speed, by its reference.
_SPEED: Final[Mapping[str, float]] = {"K": 1_000_000 / 3600, "M": 1_609_344 / 3600, "N": 1_852_000 / 3600}
_DEVICE: Final[Mapping[str, Sequence[str]]] = {
    "make": ("Make", "AndroidManufacturer", "Manufacturer"),
    "model": ("Model", "AndroidModel", "ProductName", "DeviceModelName"),
    "serial": ("SerialNumber", "CameraSerialNumber", "DeviceSerialNo", "DeviceSerialNumber", "InternalSerialNumber"),
    "firmware": ("FirmwareVersion", "Firmware", "CameraFirmware", "AndroidVersion", "Software"),
}

Point = list[int | None]
"""`at_ms`, `lat_e7`, `lon_e7`, `alt_cm`, `speed_mm_s`, `utc_ms`; None for what the file does not say."""


@dataclass(slots=True)
class Points:
    """Takes positions as they are told, and keeps at most `MOST_POINTS`: every first, second, fourth, ... of them."""

    kept: list[Point] = field(default_factory=list)
    seen: int = 0
    every: int = 1
    _at_ms: int | None = None

    def take(self, line: str) -> None:
        """Take one line of exiftool."""
        parts = line.split("|")
        if not line.startswith(_MARK) or len(parts) != _PARTS + 1:
            return
        _, at, latitude, longitude, altitude, speed, unit, when = parts
        # Several positions share the time of their sample: it stands in the first of them only.
        at_ms = _scaled(at, 1000)
        self._at_ms = self._at_ms if at_ms is None else max(0, min(at_ms, _MOST_MS))
        point: Point = [
            self._at_ms,
            _scaled(latitude, 10**7, most=90 * 10**7),
            _scaled(longitude, 10**7, most=180 * 10**7),
            _scaled(altitude, 100),
            _scaled(speed, _SPEED.get(unit.strip(), _SPEED["K"])),
            _utc_ms(when),
        ]
        if point[1] is None or point[2] is None or (point[1] == 0 and point[2] == 0):
            return  # no position, or that of a receiver that has found none yet
        if self.seen % self.every == 0:
            self.kept.append(point)
        self.seen += 1
        if len(self.kept) > MOST_POINTS:
            self.kept = self.kept[::2]
            self.every *= 2


def read_track(path: Path, *, toolbox: Toolbox, should_stop: Callable[[], bool] | None = None) -> dict[str, Any]:
    """Return where a file was recorded and by what, as JSON without floats.

    `outcome` is indeterminate, with the `reason`, where exiftool is missing or does not come to its end.
    Raises: MediaStopped, MediaKilled, SandboxUnavailable.
    """
    points = Points()
    device: dict[str, Any] = {}
    reason = "media.tool_missing"
    if toolbox.exiftool is not None:
        reason = ""
        try:
            device = _device(path, toolbox, toolbox.exiftool)
            reason = _positions(path, toolbox, toolbox.exiftool, points, should_stop)
        except MediaTimeout as exc:
            reason = exc.code
    return {
        "outcome": "indeterminate" if reason else "valid",
        "reason": reason,
        "points": points.kept,
        "seen": points.seen,
        "device": device,
    }


def _positions(path: Path, toolbox: Toolbox, tool: Tool, points: Points, should_stop: Callable[[], bool] | None) -> str:
    """Let exiftool tell every position; return why it did not come to its end, or nothing."""
    ran = toolbox.sandbox.run(
        tool.path,
        [*_COMMON, "-ee", "-p", _LINE, SOURCE],
        limits=_limits(path),
        source=path,
        hooks=Hooks(on_line=points.take, should_stop=should_stop),
        is_background=True,
    )
    # It ends with 1 for a format that it does not know: then there is nothing to read.
    return "" if ran.ended is Ended.EXIT and ran.returncode in {0, 1} else "media.too_costly"


def _device(path: Path, toolbox: Toolbox, tool: Tool) -> dict[str, Any]:
    names = [name for several in _DEVICE.values() for name in several]
    ran = toolbox.sandbox.run(
        tool.path,
        [*_COMMON, "-j", "-G1", *(f"-{name}" for name in names), SOURCE],
        limits=_limits(path),
        source=path,
        hooks=Hooks(keep_stdout_bytes=_MOST_JSON_BYTES),
    )
    try:
        told = json.loads(ran.stdout.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    tags = told[0] if isinstance(told, list) and told and isinstance(told[0], dict) else {}
    return device_of(tags)


def device_of(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Return make, model, serial and firmware out of tags named `Group:Name`: each its value and the tag's name."""
    found: dict[str, Any] = {}
    for what, names in _DEVICE.items():
        for name in names:
            tag = next((tag for tag in tags if tag.rpartition(":")[2] == name), None)
            value = "" if tag is None else clean(tags[tag])
            if tag is not None and value:
                found[what] = {"value": value, "tag": clean(tag)}
                break
    return found


def clean(value: Any) -> str:
    """Return text of a file without control characters and of bounded length; nothing for what is no text or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return "".join(char for char in str(value)[: 4 * _MOST_VALUE] if char.isprintable())[:_MOST_VALUE].strip()


def _limits(path: Path) -> Limits:
    cpu_s = min(60 + path.stat().st_size // _LEAST_BYTES_PER_S, _MOST_CPU_S)
    return Limits(wall_s=120 + 2 * cpu_s, cpu_s=cpu_s, memory_bytes=_MEMORY_BYTES, file_bytes=0)


def _scaled(text: str, factor: float, *, most: int = _MOST_MS) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value) or abs(value * factor) > most:
        return None
    return round(value * factor)


def _utc_ms(text: str) -> int | None:
    told = _TIME.fullmatch(text.strip())
    if told is None:
        return None
    try:
        at = datetime(*(int(part) for part in told.groups()[:6]), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None
    return int(at.timestamp()) * 1000 + int((told[7] or "0").ljust(6, "0")) // 1000
