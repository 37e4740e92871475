"""The closed words of complaints and reports, and which state may follow which. Source: docs/glossary.md."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class ComplaintKind(StrEnum):
    """A complaint (投诉) of somebody concerned, or a report (举报) of anybody."""

    COMPLAINT = "complaint"
    REPORT = "report"


class Channel(StrEnum):
    """How it came in: 窗口, 电话, 信函, 网站, 12345热线."""

    WINDOW = "window"
    TELEPHONE = "telephone"
    LETTER = "letter"
    WEBSITE = "website"
    HOTLINE = "hotline"


class State(StrEnum):
    """How far the handling is: 已登记, 已受理, 不予受理, 已调查, 已答复, 已办结."""

    REGISTERED = "registered"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    INVESTIGATED = "investigated"
    ANSWERED = "answered"
    CLOSED = "closed"


class StepKind(StrEnum):
    """What a step of the handling log is about beside the states."""

    NOTE = "note"
    ASSIGNED = "assigned"


FOLLOWING: Final[Mapping[State, tuple[State, ...]]] = {
    State.REGISTERED: (State.ACCEPTED, State.NOT_ACCEPTED),
    State.ACCEPTED: (State.INVESTIGATED,),
    State.NOT_ACCEPTED: (State.CLOSED,),
    State.INVESTIGATED: (State.ANSWERED,),
    State.ANSWERED: (State.CLOSED,),
    State.CLOSED: (),
}
"""The states that may follow each one."""
WAITS_FOR_ANSWER: Final = (State.ACCEPTED, State.INVESTIGATED)
