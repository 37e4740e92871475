"""Names and metadata as an Axis system writes them: what they may look like, and what they mean.

Source: Axis body worn content destination API, "Data structure" and "Clip metadata details"; docs/formats/axis-door.md.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant, parse_instant

REGISTERS: Final = frozenset({"System", "Users", "Devices"})
"""Containers that hold no recording: the system's own ids, its users, its cameras."""
_MOST_CONTAINER_BYTES: Final = 256
_MOST_OBJECT_BYTES: Final = 1024
_MOST_META_COUNT: Final = 90
_MOST_META_BYTES: Final = 3 * 1024
"""Of all names and values of one thing, decoded: two of them have to fit into a manifest."""
_SPELLED: Final = {
    name.lower(): name
    for name in (
        "Active", "BWCModel", "BWCSerialNumber", "CategoryID", "CategoryName", "ConnectionId", "ContainerName",
        "ContainerType", "EndTime", "FileType", "FirmwareVersion", "Location", "Model", "Name",
        "RejectedContentOriginalContainer", "RejectedContentReason", "RejectedContentTime", "SCUSerialNumber",
        "StartLocation", "StartTime", "StartTimeISO", "Status", "StopLocation", "StopTime", "StopTimeISO", "SystemName",
        "Tags", "TimeZone", "TriggerOff", "TriggerOffLocation", "TriggerOffTime", "TriggerOffTimeISO", "TriggerOn",
        "TriggerOnLocation", "TriggerOnTime", "TriggerOnTimeISO", "UserID",
    )
}  # fmt: skip
"""Header names lose their capitals on the way; these are the names as they are published."""
_RECORDING: Final = re.compile(r"(?P<user>[^_]+)_(?P<serial>[^_]+)_(?P<time>\d{8}T\d{6}Z|\d{8}_\d{6}Z?|\d{9,13})")
_COMPACT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)[T_](\d\d)(\d\d)(\d\d)Z?")
_EPOCH: Final = re.compile(r"\d{9,11}")


class ObjectKind(StrEnum):
    """What an object of a recording is, told by its name."""

    CLIP = "clip"
    KEY = "key"
    BOOKMARK = "bookmark"
    TRAIL = "trail"
    OTHER = "other"


def kind_of(name: str) -> ObjectKind:
    """Return what the object of this name is."""
    last = name.rsplit("/", 1)[-1]
    if last.startswith("bookmark_"):
        return ObjectKind.BOOKMARK
    lower = last.lower()
    if lower.endswith(".key"):
        return ObjectKind.KEY
    if lower.endswith("_gpstrail.json"):
        return ObjectKind.TRAIL
    return ObjectKind.CLIP if lower.endswith((".mp4", ".mkv")) else ObjectKind.OTHER


def key_of(name: str, others: Iterable[str]) -> str | None:
    """Return the key file that goes with a clip or a trail, where there is one: it was encrypted then."""
    if kind_of(name) is ObjectKind.KEY:
        return None
    stem = name.rsplit(".", 1)[0]
    keys = sorted(other for other in others if kind_of(other) is ObjectKind.KEY)
    exact = [key for key in keys if key.removesuffix(".key") == stem]
    if exact or kind_of(name) is not ObjectKind.TRAIL:
        return exact[0] if exact else None
    return next((key for key in keys if stem.startswith(key.removesuffix(".key") + "_")), None)


def check_container(name: str) -> str:
    """Return the name of a container. Raises: InvalidInput."""
    return _checked(name, "container", _MOST_CONTAINER_BYTES)


def check_object(name: str) -> str:
    """Return the name of an object; it may hold slashes. Raises: InvalidInput."""
    return _checked(name, "object", _MOST_OBJECT_BYTES)


def decoded_meta(given: Mapping[str, str]) -> dict[str, str]:
    """Return metadata with its values percent-decoded, names in lower case. An empty value stands for "remove".

    Raises: InvalidInput for control characters and for more than fits into a manifest.
    """
    found = {name.lower(): _unquoted(value) for name, value in given.items()}
    if any(_is_control(char) for name, value in found.items() for char in name + value):
        raise InvalidInput("Metadata holds control characters")
    return _fitting(found)


def merged_meta(before: Mapping[str, Any], change: Mapping[str, str]) -> dict[str, str]:
    """Return a container's metadata after a change. Raises: InvalidInput when it is too much then."""
    return _fitting({name: str(value) for name, value in {**before, **change}.items() if value != ""})


def spelled(meta: Mapping[str, Any]) -> dict[str, str]:
    """Return metadata under the names that are published."""
    return {_SPELLED.get(name, name): str(value) for name, value in meta.items()}


def recording_parts(name: str) -> tuple[str | None, str | None, Instant | None]:
    """Return user, device serial and time of trigger from the name of a recording; None for what it does not tell."""
    match = _RECORDING.fullmatch(name)
    return (None, None, None) if match is None else (match["user"], match["serial"], moment(match["time"]))


def moment(text: str | None) -> Instant | None:
    """Return a time as these systems write it: RFC 3339, compact UTC, or epoch seconds; None for anything else."""
    if text is None:
        return None
    compact = _COMPACT.fullmatch(text)
    if compact is not None:
        text = "{}-{}-{}T{}:{}:{}Z".format(*compact.groups())
    elif _EPOCH.fullmatch(text):
        return Instant.fromtimestamp(int(text), tz=UTC)
    try:
        return parse_instant(text)
    except InvalidInput:
        return None


def _checked(name: str, what: str, most_bytes: int) -> str:
    if not name or len(name.encode("utf-8", "surrogatepass")) > most_bytes or "\ufffd" in name:
        raise InvalidInput(f"The name of the {what} has 1 to {most_bytes} bytes of UTF-8")
    if any(_is_control(char) for char in name):
        raise InvalidInput(f"The name of the {what} holds control characters")
    return name


def _fitting(meta: dict[str, str]) -> dict[str, str]:
    if (
        len(meta) > _MOST_META_COUNT
        or sum(len((name + value).encode()) for name, value in meta.items()) > _MOST_META_BYTES
    ):
        raise InvalidInput("There is more metadata than one thing can have", most_bytes=_MOST_META_BYTES)
    return meta


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs"}


def _unquoted(value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return value
