"""Processes that are killed at a step: what a crash leaves is what the parent finds then.

A step is the moment before and after each commit, each write to a store and each deletion there, and before a staged name is
removed. Children are forked from a server that has everything imported, so that one costs milliseconds.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, configure_mappers

import ingest.accept
import signing.pyhanko_signer  # noqa: F401 - imported late by the signer; here once for all children
from archive.adapters.filesystem_store import FilesystemStore
from archive.adapters.s3_store import S3Store
from archive.db.shared_commits import SharedCommits
from archive.jobs.queue import LONG, PROMPT
from archive.ledger.publishing import Published
from archive.settings import Settings
from archive.wiring import Services, build_services
from archive.worker.loop import Worker
from ingest.errors import Quarantined
from tests.support.archive_home import SteppedClock

_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["tests.support.archive_crash"])
_MOST_STEPS = 200
_PATIENCE_S = 240
configure_mappers()  # once in the server, not in each child


class _Steps:
    def __init__(self, fatal: int) -> None:
        self._left = fatal

    def __call__(self, *_: Any) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _is_the_commit(session: Session) -> bool:
    """Whether a session's commit is one: on SQLite it is the end of a savepoint, and others may share the commit."""
    return session.join_transaction_mode != "create_savepoint"


def _around(owner: Any, name: str, step: _Steps) -> None:
    original = getattr(owner, name)

    def stepped(*given: Any, **named: Any) -> Any:
        step()
        result = original(*given, **named)
        step()
        return result

    setattr(owner, name, stepped)


def _child(settings: Settings, work: Callable[..., None], arguments: tuple[Any, ...], fatal: int) -> None:
    services = build_services(settings, clock=SteppedClock())
    step = _Steps(fatal)
    for moment in ("before_commit", "after_commit"):
        event.listen(Session, moment, lambda session: _is_the_commit(session) and step())
    for store in (FilesystemStore, S3Store):
        for name in ("put_once", "adopt", "replace_if", "delete"):
            _around(store, name, step)
    _around(ingest.accept, "remove_staged", step)
    _around(SharedCommits, "_end", step)  # where SQLite commits
    for name in ("_write", "_replace_checkpoint"):
        _around(Published, name, step)
    work(services, *arguments)
    services.close()


def run_killed(settings: Settings, work: Callable[..., None], *arguments: Any, at_step: int) -> bool:
    """Do `work(services, *arguments)` in a process of its own that is killed at this step.

    Return whether it was killed; False means that it came to its end before.
    """
    child = _forkserver.Process(target=_child, args=(settings, work, arguments, at_step))
    child.start()
    child.join(_PATIENCE_S)
    code = child.exitcode
    child.close()
    assert code in {0, -signal.SIGKILL}, f"the child ended with {code}"
    return code != 0


def run_until(settings: Settings, work: Callable[..., None], *arguments: Any, reached: Callable[[], bool]) -> None:
    """Do `work(services, *arguments)` in a process of its own that is killed once something is reached."""
    child = _forkserver.Process(target=_child, args=(settings, work, arguments, 0))
    child.start()
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        assert child.is_alive(), "the child ended before"
        assert time.monotonic() < deadline, "it was not reached"
        time.sleep(0.02)
    child.kill()
    child.join(_PATIENCE_S)
    child.close()


def each_step(settings: Settings, work: Callable[..., None], *arguments: Any) -> int:
    """Kill `work` at its first step, then at its second, and so on, until it comes to its end; return how often.

    For work that goes on from where the last try was killed.
    """
    for at_step in range(1, _MOST_STEPS):
        if not run_killed(settings, work, *arguments, at_step=at_step):
            return at_step - 1
    raise AssertionError("the work never came to its end")


def sequence(services: Services) -> None:
    services.sequencer.sequence()


def finish(services: Services, upload_id: Any) -> None:
    with contextlib.suppress(Quarantined):
        ingest.accept.finish_upload(services.intake, upload_id)


def work_once(services: Services) -> None:
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=2)
    worker.run_once([PROMPT, LONG])


def copy_once(services: Services) -> None:
    services.copies.copy_some()
