"""Counting what is asked of S3: every call of a client of this process, tries again and pages of lists included."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import botocore.session


class Calls:
    """What was asked, by the name of the operation, and by the class of price."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.by_name: Counter[str] = Counter()
        self._guard = threading.Lock()

    def note(self, request: Any, operation_name: str, **_: Any) -> None:
        """Count a request that is about to go out."""
        del request
        with self._guard:
            self.by_name[operation_name] += 1

    def taken(self) -> Counter[str]:
        """Return what was counted since the last time."""
        with self._guard:
            found, self.by_name = self.by_name, Counter()
        return found


def price_class(operation: str) -> str:
    """Return in which class providers count an operation: `write` (with lists), `read` or `delete`."""
    if operation.startswith(("Get", "Head")):
        return "read"
    return "delete" if operation.startswith(("Delete", "Abort")) else "write"


@contextlib.contextmanager
def counted() -> Iterator[Calls]:
    """Count the requests of every client that is made in the block."""
    calls, made = Calls(), botocore.session.Session.create_client

    def making(self: Any, *args: Any, **kwargs: Any) -> Any:
        client = made(self, *args, **kwargs)
        client.meta.events.register(
            "before-send.s3",
            lambda request, event_name, **more: calls.note(request, event_name.rpartition(".")[2], **more),
        )
        return client

    botocore.session.Session.create_client = making
    try:
        yield calls
    finally:
        botocore.session.Session.create_client = made
