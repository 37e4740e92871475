"""The words of disposition: states of a list and of what stands on it, parts that people have, opinions."""

from enum import StrEnum


class ListState(StrEnum):
    """How far a list (鉴定处置清册) is.

    Proposed: it is being appraised. Approved: it waits for its two supervisors. Waiting: everybody has agreed, and the
    recovery period runs. Destroying: it is being carried out. Destroyed: it was, and waits for its certificate.
    Certified: it ended. Refused, withdrawn: it ended before anything was gone. Lapsed: nothing was left to destroy.
    """

    PROPOSED = "proposed"
    APPROVED = "approved"
    WAITING = "waiting"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    CERTIFIED = "certified"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


OPEN_STATES = (ListState.PROPOSED, ListState.APPROVED, ListState.WAITING, ListState.DESTROYING)
"""States in which what stands on a list may still be destroyed by it."""
WITHDRAWABLE = (ListState.PROPOSED, ListState.APPROVED, ListState.WAITING)
"""States in which a list can be withdrawn: nothing is gone yet."""


class ItemState(StrEnum):
    """What became of an object on a list. Left: something stopped it. Begun: it is being destroyed."""

    LISTED = "listed"
    STRUCK = "struck"
    LEFT = "left"
    BEGUN = "begun"
    DESTROYED = "destroyed"


class Step(StrEnum):
    """How far the destruction of one object is: what is gone already."""

    BEGUN = "begun"
    COPIES = "copies"
    ORIGINAL = "original"
    DERIVED = "derived"
    DETAILS = "details"


class Part(StrEnum):
    """What somebody does about a list. Nobody has two parts."""

    PROPOSE = "propose"
    APPRAISE = "appraise"
    APPROVE = "approve"
    SUPERVISE = "supervise"


class Opinion(StrEnum):
    """What an appraiser (鉴定小组成员) thinks of a list."""

    DESTROY = "destroy"
    KEEP = "keep"


TARGET = "disposition"
"""The kind of a list in log entries."""
CERTIFICATE = "certificate"
"""The kind of a certificate of destruction, as a preserved object and in log entries."""
