"""The words of a move: where it stands, what became of each object, and what can be wrong with it."""

from enum import StrEnum
from typing import Final

from archive.kernel.errors import Conflict, LiuhenError, NotFound


class MoveState(StrEnum):
    """Where a move stands."""

    COPYING = "copying"
    SWITCHED = "switched"
    RELEASING = "releasing"
    RELEASED = "released"
    ABANDONING = "abandoning"
    ABANDONED = "abandoned"
    RENAMED = "renamed"


class ObjectState(StrEnum):
    """What became of an object: it waits, was copied, was read again and found right, or could not be."""

    DUE = "due"
    MOVED = "moved"
    VERIFIED = "verified"
    MISSING = "missing"
    DIFFERENT = "different"


UNDER_WAY: Final = (MoveState.COPYING, MoveState.SWITCHED, MoveState.RELEASING, MoveState.ABANDONING)
"""Two places hold objects; no other move begins, and what both hold is not disposed of."""


class MoveUnderWay(Conflict):
    """Another move has not ended: see `liuhen move status`."""

    code = "move.under_way"


class NoMove(NotFound):
    """No move is under way: begin one with `liuhen move begin`."""

    code = "move.none"


class MoveNotReady(Conflict):
    """The move is at another step: see `liuhen move status`."""

    code = "move.not_ready"


class PlaceTaken(Conflict):
    """There is something in the place that is to be moved to, and no move of this archive has put it there."""

    code = "move.place_taken"


class NotThisStore(LiuhenError):
    """The place that the settings name does not hold what the catalogue knows: it is not the store in use."""

    code = "move.not_this_store"
    exit_code = 65


class MoveUnbalanced(LiuhenError):
    """The report does not balance: objects are missing, different or not verified, and nothing old is given up."""

    code = "move.unbalanced"
    exit_code = 65


class MoveKept(Conflict):
    """The store that was left is kept until its time is over."""

    code = "move.kept"


class TooMuchCameIn(LiuhenError):
    """More came in while switching than a short stop has time for; nothing was switched, try again."""

    code = "move.too_much_came_in"
    exit_code = 75
    retryable = True


class UploadsInBucket(Conflict):
    """Recordings lie in the bucket that were not taken in yet: turn direct_intake off, and wait for the docks."""

    code = "move.uploads_in_bucket"


class MoverBusy(Conflict):
    """Another process is at work on the move."""

    code = "move.busy"
