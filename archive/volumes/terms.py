"""The closed words of case files. Source: docs/glossary.md."""

from enum import StrEnum


class VolumeState(StrEnum):
    """Where a volume stands that has a row: it was opened after another one was closed, or it is closed for good."""

    OPEN = "open"
    CLOSED = "closed"


class Move(StrEnum):
    """Where a paper is put: a place up or down, into the other volume, or back to where the rules have it."""

    UP = "up"
    DOWN = "down"
    OTHER = "other"
    RULES = "rules"
