"""Processes that another one starts, restarts when they die, and ends together."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

_CALM_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 30.0
_log = structlog.get_logger("liuhen.supervisor")


@dataclass(slots=True)
class Child:
    """One watched process."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    not_before: float = 0.0


def watch(child: Child, environment: Mapping[str, str], fds: Sequence[int]) -> None:
    """Start a child that does not run, later each time when it does not stay; it inherits the file descriptors."""
    now = time.monotonic()
    if child.process is not None and child.process.poll() is not None:
        calm = now - child.started_at > _CALM_S
        child.failures = 0 if calm else child.failures + 1
        pause = 0.0 if child.failures <= 1 else min(2.0 ** (child.failures - 2), _LONGEST_PAUSE_S)
        _log.warning("process_ended", name=child.name, exit_code=child.process.returncode, restart_in_s=pause)
        child.process, child.not_before = None, now + pause
    if child.process is None and now >= child.not_before:
        child.started_at = now
        child.process = subprocess.Popen(  # noqa: S603 - our own program
            child.command, env=dict(environment), pass_fds=fds
        )


def end(children: Sequence[Child], *, within_s: float) -> None:
    """Ask all to end, and kill those that have not within this time."""
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + within_s
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
