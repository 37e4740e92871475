"""Turns at what one host can do only a few times at once, among all of its processes. Blocking; for threads."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.1


@contextlib.contextmanager
def slot(folder: Path, name: str, *, count: int) -> Iterator[None]:
    """Have one of `count` turns for the length of the block; wait for one. The kernel ends it with the process.

    `folder` is on this host's own disk; the files in it stay.
    """
    with contextlib.ExitStack() as opened:
        turns = []
        for number in range(count):
            turns.append(os.open(folder / f"{name}-{number}.turn", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            opened.callback(os.close, turns[-1])
        while not any(_taken(fd) for fd in turns):
            time.sleep(_LOOK_S)
        yield


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
