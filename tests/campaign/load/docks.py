"""Docks that send at the rate of their links: the real agent, one recording after the other, each in bytes of its own.

Recordings are made as the agent comes to them and deleted by it after the receipt, so that a card takes one file.
"""

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from archive.kernel.errors import LiuhenError
from ingest.agent.enrolment import enrol
from ingest.agent.errors import Refused
from ingest.agent.files import Found, Selection
from ingest.agent.push import QuietWatcher, push_selection
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder

_PIECE_BYTES: Final = 1 << 20
_WAIT_S: Final = 300.0
_BACK_PRESSURE: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Order:
    """What one dock is to do. Units: bytes a second, 0 for as fast as it goes; `starts_s` by the monotonic clock."""

    folder: Path
    server: str
    code: str
    ca_pem: str
    files: Sequence[Path]
    """What is sent, one after the other: each is a copy of this file in other bytes."""
    bytes_per_s: float
    starts_s: float
    is_direct: bool


@dataclass(slots=True)
class Sent:
    """One recording on its way. Times by the monotonic clock of the machine."""

    size_bytes: int
    result: str = ""
    begun_s: float = 0.0
    first_byte_s: float = 0.0
    last_byte_s: float = 0.0
    ended_s: float = 0.0
    pressed: list[str] = field(default_factory=list)
    """Answers that asked to come later."""
    broken: list[str] = field(default_factory=list)
    """Every other reason to try again, and why it was given up."""


class Link(QuietWatcher):
    """The link of a dock, as the agent's watcher: it holds the agent up until the next piece may have left.

    `look` is called at each step of each recording.
    """

    def __init__(self, order: Order, look: Callable[[str, Sent], None] = lambda _step, _sent: None) -> None:
        """Begin with nothing sent."""
        self.all: list[Sent] = []
        self._order, self._look = order, look
        self._guard = threading.Lock()
        self._bytes, self._free_s = 0, 0.0

    def begun(self, found: Found) -> None:
        """Make the recording."""
        self.all.append(Sent(found.size_bytes, begun_s=time.monotonic()))
        self._look("begun", self.all[-1])
        unlike(self._order.files[len(self.all) - 1], found.path)

    def stands_at(self, found: Found, offset_bytes: int) -> None:
        """Start the link's time, before the first byte and where an upload that broke off goes on."""
        if offset_bytes and offset_bytes == self._bytes:
            return
        self._bytes, self._free_s = offset_bytes, time.monotonic()
        if not offset_bytes:
            self.all[-1].first_byte_s = self._free_s
            self._look("first byte", self.all[-1])
        self._hold(min(_PIECE_BYTES, found.size_bytes - offset_bytes))

    def sent(self, found: Found, size_bytes: int) -> None:
        """Note what went off, and hold the next piece until it may."""
        with self._guard:
            self._bytes += size_bytes
            self._free_s += size_bytes / self._order.bytes_per_s if self._order.bytes_per_s else 0.0
            left = found.size_bytes - self._bytes
        if left <= 0:
            self.all[-1].last_byte_s = time.monotonic()
            self._look("last byte", self.all[-1])
        else:
            self._hold(min(_PIECE_BYTES, left))

    def waits(self, found: Found, failure: LiuhenError) -> None:
        """Note why the agent tries again."""
        del found
        if isinstance(failure, Refused) and failure.status in _BACK_PRESSURE:
            self.all[-1].pressed.append(failure.problem)
        else:
            self.all[-1].broken.append(failure.problem if isinstance(failure, Refused) else failure.code)

    def ended(self, found: Found, result: str) -> None:
        """Note when it was over: the receipt is verified and stored, the recording deleted."""
        del found
        self.all[-1].ended_s, self.all[-1].result = time.monotonic(), str(result)
        self._look("ended", self.all[-1])

    def _hold(self, next_bytes: int) -> None:
        if self._order.bytes_per_s:
            pause_s = self._free_s + next_bytes / self._order.bytes_per_s - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)


def unlike(source: Path, path: Path) -> Path:
    """Copy a recording into other bytes: with a box at its end that players skip. See `size_of`."""
    shutil.copyfile(source, path)
    with path.open("ab") as file:
        file.write((24).to_bytes(4, "big") + b"free" + os.urandom(16))
    return path


def size_of(source: Path) -> int:
    """Return how large a copy becomes."""
    return source.stat().st_size + 24


def bring(order: Order, look: Callable[[str, Sent], None] = lambda _step, _sent: None) -> list[Sent]:
    """Enrol a dock and deliver its recordings, each once."""
    order.folder.mkdir(parents=True)
    state = StateFolder(order.folder / "state")
    enrol(state, server=order.server, code=order.code, ca_pem=order.ca_pem)
    link = Link(order, look)
    card = order.folder / "card"
    card.mkdir()
    files = [
        Found(card / f"REC_{number:05d}{source.suffix}", "", size_of(source), None)
        for number, source in enumerate(order.files)
    ]
    time.sleep(max(0.0, order.starts_s - time.monotonic()))
    report = push_selection(
        state,
        Selection(files=files),
        Wishes(wipe=True, wait_s=_WAIT_S, direct=order.is_direct),
        jobs=1,
        watcher=link,
    )
    for sent, delivery in zip(link.all, report.deliveries, strict=False):
        if delivery.code is not None:
            sent.broken.append(delivery.code)
    return link.all


def bring_all(orders: Sequence[Order]) -> list[list[Sent]]:
    """Run several docks in this process."""
    with ThreadPoolExecutor(len(orders)) as pool:
        return list(pool.map(bring, orders))


@contextmanager
def fleet(processes: int) -> Iterator[Callable[[Sequence[Order]], list[list[Sent]]]]:
    """Give a function that runs docks in so many processes of their own."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(abs, range(processes)))  # start them now, not when time is measured

        def run(orders: Sequence[Order]) -> list[list[Sent]]:
            shares = [orders[number::processes] for number in range(processes)]
            return [sent for each in pool.map(bring_all, [share for share in shares if share]) for sent in each]

        yield run
