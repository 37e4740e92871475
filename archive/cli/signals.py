"""Stopping on SIGTERM and SIGINT, for every process that runs until it is told to end."""

import os
import signal
import threading
from collections.abc import Callable


def on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` once, from a thread of its own, when SIGTERM or SIGINT comes. For the main thread.

    A handler runs in the midst of what the main thread does, and may find held the very lock that `stop` needs; all
    that it does here is to write a byte.
    """
    asked, ask = os.pipe()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os.write(ask, b"."))

    def wait() -> None:
        os.read(asked, 1)
        stop()

    threading.Thread(target=wait, name="watch-signals", daemon=True).start()
