"""Run one program to its end with a bounded appetite: wall clock, output kept, output written.

No sandbox here (`sandbox.py` builds the command), no knowledge of ffmpeg.
"""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, BinaryIO, Final

from archive.kernel.errors import LiuhenError

_READ_BYTES: Final = 64 * 1024
_LINE_BYTES: Final = 8 * 1024
_TAIL_BYTES: Final = 32 * 1024
_TURN_S: Final = 0.1
_LAST_WAIT_S: Final = 5
_MOST_RESULTS: Final = 5000
_ENDLESS_BYTES: Final = 1 << 62
_FED_BYTES: Final = 1 << 20


class Ended(StrEnum):
    """Why a program ended."""

    EXIT = "exit"
    WALL = "wall"
    CPU = "cpu"
    STOPPED = "stopped"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended. Units: milliseconds, bytes. `returncode` is negative or above 128 after a signal."""

    returncode: int
    ended: Ended
    stdout: bytes
    stderr_tail: str
    stderr_lines: int
    wall_ms: int


@dataclass(slots=True)
class Watch:
    """What to look at while a program runs.

    `keep_stdout_bytes`: that much is kept, more ends the run; with `on_line` lines, with `on_block` bytes as they come
    are handed on and nothing is kept; with none of them, output is thrown away.
    `out` and `out_bytes`: the run ends when it adds more than that to the folder, or files without end.
    `feed`: what the program reads from its standard input, one file after another; without it there is nothing.
    """

    wall_s: int
    keep_stdout_bytes: int = 0
    on_line: Callable[[str], None] | None = None
    on_block: Callable[[bytes], None] | None = None
    on_error_line: Callable[[str], None] | None = None
    should_stop: Callable[[], bool] | None = None
    out: Path | None = None
    out_bytes: int = 0
    feed: Iterable[BinaryIO] | None = None


@dataclass(slots=True)
class _Lines:
    """Cuts a stream of bytes into lines; one line is at most 8 KiB, the rest of a longer one is dropped."""

    take: Callable[[str], None] | None
    count: int = 0
    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, block: bytes) -> None:
        if self.take is None:
            self.count += block.count(b"\n")
            return
        *whole, last = block.split(b"\n")
        for part in whole:
            self._rest += part[: _LINE_BYTES - len(self._rest)]
            self.count += 1
            self.take(self._rest.decode("utf-8", "replace"))
            self._rest.clear()
        self._rest += last[: _LINE_BYTES - len(self._rest)]

    def finish(self) -> None:
        if self._rest and self.take is not None:
            self.count += 1
            self.take(self._rest.decode("utf-8", "replace"))


class Supervisor:
    """One run of one program. Use `run_program`."""

    def __init__(self, watch: Watch) -> None:
        """Prepare to watch one program."""
        self._watch = watch
        self._kept = bytearray()
        self._tail = bytearray()
        self._out_lines = _Lines(watch.on_line)
        self._error_lines = _Lines(watch.on_error_line)
        self._ended = Ended.EXIT
        self._looked = 0.0
        self._allowed_bytes = watch.out_bytes + (_folder_bytes(watch.out) if watch.out is not None else 0)

    def run(self, command: Sequence[str], *, pass_fds: Sequence[int] = ()) -> Ran:
        """Start, watch, and return when the program and all that it started are gone."""
        started = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - the command is built by us, no shell
            command,
            stdin=subprocess.DEVNULL if self._watch.feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            pass_fds=pass_fds,
            start_new_session=True,
        )
        feeding = _Feeding(process, self._watch.feed)
        ended_by_itself = False
        try:
            self._read_to_end(process, deadline=started + self._watch.wall_s)
            ended_by_itself = self._wait(process, deadline=started + self._watch.wall_s)
        finally:
            if not ended_by_itself:
                _kill(process)
                process.wait()
                _await_end(process)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            feeding.join()
        feeding.check()
        self._out_lines.finish()
        self._error_lines.finish()
        return Ran(
            returncode=process.returncode,
            ended=self._ended,
            stdout=bytes(self._kept),
            stderr_tail=self._tail.decode("utf-8", "replace"),
            stderr_lines=self._error_lines.count,
            wall_ms=int((time.monotonic() - started) * 1000),
        )

    def _read_to_end(self, process: subprocess.Popen[bytes], *, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            pipes: list[tuple[IO[bytes] | None, Callable[[bytes], None]]] = [
                (process.stdout, self._take_out),
                (process.stderr, self._take_error),
            ]
            for pipe, take in pipes:
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, take)
            while selector.get_map() and not self._must_end(deadline):
                for key, _ in selector.select(_TURN_S):
                    block = os.read(key.fd, _READ_BYTES)
                    if block:
                        key.data(block)
                    else:
                        selector.unregister(key.fileobj)

    def _wait(self, process: subprocess.Popen[bytes], *, deadline: float) -> bool:
        pause_s = 0.0005
        while not self._must_end(deadline):
            if process.poll() is not None:
                return True
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _TURN_S)
        return False

    def _must_end(self, deadline: float) -> bool:
        if self._ended is not Ended.EXIT:
            return True
        now = time.monotonic()
        if now > deadline:
            self._ended = Ended.WALL
        elif now - self._looked > _TURN_S:
            self._looked = now
            if self._watch.should_stop is not None and self._watch.should_stop():
                self._ended = Ended.STOPPED
            elif self._watch.out is not None and _folder_bytes(self._watch.out) > self._allowed_bytes:
                self._ended = Ended.OUTPUT
        return self._ended is not Ended.EXIT

    def _take_out(self, block: bytes) -> None:
        if self._watch.on_block is not None:
            self._watch.on_block(block)
            return
        if self._watch.on_line is not None:
            self._out_lines.feed(block)
            return
        if not self._watch.keep_stdout_bytes:
            return
        room = self._watch.keep_stdout_bytes - len(self._kept)
        self._kept += block[:room]
        if len(block) > room:
            self._ended = Ended.OUTPUT

    def _take_error(self, block: bytes) -> None:
        self._tail += block
        del self._tail[:-_TAIL_BYTES]
        self._error_lines.feed(block)


def run_program(command: Sequence[str], watch: Watch, *, pass_fds: Sequence[int] = ()) -> Ran:
    """Run `command` with an empty environment and no input; return how it ended. Never raises for what it did.

    Raises: OSError when the program cannot be started, and whatever a callback or its food raises, after killing all.
    """
    return Supervisor(watch).run(command, pass_fds=pass_fds)


class _Feeding:
    """Writes files into a program's standard input from a thread of its own, until they or the program end."""

    def __init__(self, process: subprocess.Popen[bytes], sources: Iterable[BinaryIO] | None) -> None:
        self._pipe, self._sources = process.stdin, sources
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._feed, name="feed", daemon=True)
        if sources is not None:
            self._thread.start()

    def join(self) -> None:
        """Wait for the thread; the program is gone, so that it has nobody to write to."""
        if self._sources is not None:
            self._thread.join()

    def check(self) -> None:
        """Raise what kept a file from being read: the program took its end for the end of everything."""
        if self._failed is not None:
            raise self._failed

    def _feed(self) -> None:
        assert self._pipe is not None  # noqa: S101 - asked for with the sources
        assert self._sources is not None  # noqa: S101
        try:
            with contextlib.suppress(BrokenPipeError), self._pipe:
                for source in self._sources:
                    with source:
                        shutil.copyfileobj(source, self._pipe, _FED_BYTES)
        except (OSError, LiuhenError) as exc:  # it is raised again by whoever runs the program
            self._failed = exc


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait until what the killed program had started is gone too: until nobody holds its output any more."""
    deadline = time.monotonic() + _LAST_WAIT_S
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(_TURN_S):
                if not os.read(key.fd, _READ_BYTES):
                    selector.unregister(key.fileobj)


def _folder_bytes(folder: Path) -> int:
    """Return what the folder holds on disk; with more than some thousand files, more than any limit."""
    total, seen = 0, 0
    folders = [str(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > _MOST_RESULTS:
                    return _ENDLESS_BYTES
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return total
