"""An object made or extended in a process of its own, killed or told that the disk is full at every call.

Not a test. `python -m tests.faults.store_driver kill|fail BASE create|add` walks through every file system call of the
work, in a fresh directory for each.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from archive.kernel.errors import StorageFull
from tests.unit.ocfl.objects import (
    AT,
    LATER,
    OBJECT_ID,
    USER,
    Place,
    create,
    first_files,
    new_place,
    second_files,
)

_CALLS = ("open", "mkdir", "link", "write", "fsync", "fchmod", "unlink", "rename", "replace", "rmdir")
_NEVER_FULL = ("unlink", "rmdir")


def start(case: str, base: Path) -> Place:
    """The state before the work that is disturbed."""
    base.mkdir(parents=True)
    place = new_place(base)
    if case == "add":
        create(place)
    return place


def work(case: str, place: Place) -> None:
    if case == "add":
        place.root.add_version(OBJECT_ID, second_files(), message="timestamp", user=USER, at=LATER)
    else:
        place.root.create_object(OBJECT_ID, first_files(place), message="接收", user=USER, at=AT)


class Disturbance:
    """Counts the calls into the file system and does something instead of the `at`-th."""

    def __init__(self, at: int, instead: Callable[[str], None]) -> None:
        self.at = at
        self.instead = instead
        self.count = 0

    def __enter__(self) -> Self:
        self.originals = {name: getattr(os, name) for name in _CALLS}
        for name, original in self.originals.items():
            setattr(os, name, self._counting(name, original))
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self.originals.items():
            setattr(os, name, original)

    def _counting(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.instead(name)
            return original(*arguments, **named)

        return call


def kill_self(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full(name: str) -> None:
    if name not in _NEVER_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def kill_everywhere(base: Path, case: str) -> None:
    """Kill one child before each of its calls; the last child lives."""
    for at in range(1, 10_000):
        place = start(case, base / f"{at:04}")
        child = os.fork()
        if child == 0:
            with Disturbance(at, kill_self):
                work(case, place)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break


def fail_everywhere(base: Path, case: str) -> None:
    """Report the disk full at each call; the outcome is noted beside the directory."""
    for at in range(1, 10_000):
        place = start(case, base / f"{at:04}")
        with Disturbance(at, disk_full) as disturbance:
            try:
                work(case, place)
                outcome = "done"
            except StorageFull:
                outcome = "full"
        (base / f"{at:04}" / "outcome").write_text(outcome)
        if disturbance.count < at:
            break


if __name__ == "__main__":
    {"kill": kill_everywhere, "fail": fail_everywhere}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
