"""The closed words of holds: what one may cover, and which kinds of things a query asks for."""

from enum import StrEnum


class HoldScope(StrEnum):
    """What a hold covers: one object, what a case has, what every case of a subject has, or what a query finds."""

    OBJECT = "object"
    CASE = "case"
    SUBJECT = "subject"
    QUERY = "query"


class HeldKind(StrEnum):
    """What kind of thing a query asks for: that of an item by its content, a text record, a closed volume."""

    FOOTAGE = "footage"
    AUDIO = "audio"
    PHOTO = "photo"
    DOCUMENT = "document"
    ARCHIVE = "archive"
    OTHER = "other"
    RECORD = "record"
    VOLUME = "volume"


ITEM_KINDS = frozenset(HeldKind) - {HeldKind.RECORD, HeldKind.VOLUME}
"""The kinds that an item has by its content."""


class MarkedKind(StrEnum):
    """What a retention mark is set on."""

    OBJECT = "object"
    CASE = "case"
