"""The one error hierarchy. A cause is a class; code, exit code and retryability stand in it.

No HTTP here: `archive.web.problems` maps codes to status, the CLI maps `exit_code`, the worker reads `retryable`.
"""

import errno
from collections.abc import Mapping
from typing import Any, ClassVar, Final


class LiuhenError(Exception):
    """Something that Liuhen can name went wrong. Subclasses give the cause.

    `code` is stable and dotted (`area.reason`), `facts` holds what a caller may need (never personal data or secrets).
    """

    code: ClassVar[str] = "internal.error"
    exit_code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        """Keep the message (by default the first line of the class docstring) and the facts."""
        self.message = message or (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.facts: Mapping[str, Any] = facts
        super().__init__(self.message)

    def __str__(self) -> str:
        """Render as one line: message and facts."""
        told = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.message} ({told})" if told else self.message


class InvalidInput(LiuhenError):
    """The input does not have the form that is asked for."""

    code = "input.invalid"
    exit_code = 64


class NotFound(LiuhenError):
    """There is no such thing, or it is not yours to see."""

    code = "input.not_found"
    exit_code = 66


class Conflict(LiuhenError):
    """The state has moved on, or the thing exists already."""

    code = "input.conflict"
    exit_code = 73


class Forbidden(LiuhenError):
    """Your role does not allow this."""

    code = "access.forbidden"
    exit_code = 77


DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of an OSError that mean `StorageFull`."""


class StorageFull(LiuhenError):
    """The disk is full; nothing was lost, try again when there is room."""

    code = "store.full"
    exit_code = 75
    retryable = True


class Unavailable(LiuhenError):
    """A part that is needed is not there at the moment; try again."""

    code = "service.unavailable"
    exit_code = 75
    retryable = True
