"""Closed lists that describe where an item comes from."""

from enum import StrEnum
from typing import Final


class SourceKind(StrEnum):
    """What kind of source made a recording."""

    BODY_WORN = "body_worn"
    ROOM = "room"
    HEARING = "hearing"
    PHONE = "phone"
    DRONE = "drone"
    VEHICLE = "vehicle"
    OTHER = "other"


class RecordedFrom(StrEnum):
    """Who says when a recording began.

    `name_minute` is a file name that tells no seconds; `file_time` is the file's own time, which says when it was
    written last and not when it began; `dock` is a dock that does not say what it knows it from.
    """

    SIDECAR = "sidecar"
    CONTAINER = "container"
    NAME = "name"
    NAME_MINUTE = "name_minute"
    DOCK = "dock"
    PROBE = "probe"
    FILE_TIME = "file_time"


VAGUE: Final = (RecordedFrom.FILE_TIME.value, RecordedFrom.NAME_MINUTE.value)
"""Not exact enough to tell which files follow each other; whatever says more takes their place."""
