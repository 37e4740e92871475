"""Watching folders: whatever is finished there is delivered, until somebody says stop.

Finding is the lookout's business, delivering that of a push: receipts, journal and the rules of wiping are the same.
What goes wrong is said once, and tried again with pauses that grow.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from archive.kernel.errors import InvalidInput, LiuhenError, StorageFull
from ingest.agent.camera import is_in_manifest
from ingest.agent.delivery import Delivery, Result
from ingest.agent.errors import (
    BAD_FILE,
    NO_ACCESS,
    PARTIAL,
    ConnectionBroken,
    NotTheArchive,
    PushRunning,
    Refused,
    ServerUnreachable,
    Stopped,
)
from ingest.agent.files import Found, PathMissing, Selection
from ingest.agent.lookout import NAME_UNDER_WAY, Look, Lookout
from ingest.agent.push import PushReport, QuietWatcher, push_selection
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder

Say = Callable[[str, Mapping[str, Any]], None]
"""Hears one event and its fields."""

_PASSING: Final = (ServerUnreachable, ConnectionBroken, NotTheArchive, PushRunning, StorageFull, Refused)
_LONGEST_PAUSE_S: Final = 300.0
_MOST_DOUBLINGS: Final = 10
_EVENTS: Final = {
    Result.DELIVERED: "delivered",
    Result.EARLIER: "delivered_earlier",
    Result.REFUSED: "refused",
    Result.QUARANTINED: "quarantined",
    Result.NOT_DELIVERED: "not_delivered",
}


@dataclass(frozen=True, slots=True)
class Round:
    """How to watch. Units: seconds between looks, without change until a file is finished, for a sidecar to come."""

    every_s: float = 5.0
    settle_s: float = 10.0
    grace_s: float = 30.0
    jobs: int = 3


class _Repeats(QuietWatcher):
    """Says why something is tried again, once for each file and cause."""

    def __init__(self, say_once: Callable[[str, Path, str, Mapping[str, Any]], None]) -> None:
        self._say_once = say_once

    def waits(self, found: Found, failure: LiuhenError) -> None:
        self._say_once("trying_again", found.path, failure.code, {"message": str(failure)})


@dataclass(slots=True)
class Watch:
    """One watch over some folders. `stop` ends it, even in the middle of a delivery: the next run goes on there."""

    state: StateFolder
    folders: Sequence[Path]
    wishes: Wishes
    round: Round
    say: Say
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    _lookout: Lookout = field(init=False)
    _told: set[tuple[Path, str]] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _failures: int = 0
    _not_before_s: float = 0.0

    def __post_init__(self) -> None:
        """Prepare to look. Raises: InvalidInput for what is no folder, or is the dock's own."""
        own = self.state.path.resolve()
        for folder in self.folders:
            if folder.exists() and not folder.is_dir():
                raise InvalidInput("Only folders can be watched; push takes files", path=str(folder))
            if folder.resolve() == own or own in folder.resolve().parents:
                raise InvalidInput("The dock's own folder cannot be watched", path=str(folder))
        self._lookout = Lookout(
            self.folders,
            leave=self.state.path,
            settle_s=self.round.settle_s,
            grace_s=self.round.grace_s,
            retry_s=max(self.round.every_s, 1.0),
        )

    def run(self) -> int:
        """Watch until `stop`; return the exit code: 0, or 77 when the archive does not accept this dock.

        Raises: NotEnrolled, StateBroken, ServerUntrusted.
        """
        self.state.identity()
        self._say("watching", folders=[str(folder) for folder in self.folders])
        code = 0
        while code == 0 and not self.stop.is_set():
            look = self._look()
            if look.due and self.clock() >= self._not_before_s:
                code = self._deliver(look.due)
                if code in {PARTIAL, BAD_FILE}:
                    code = 0  # told, and the watch goes on
            self.stop.wait(self.round.every_s)
        self._say("stopped")
        return code

    def run_once(self) -> int:
        """Deliver what is finished within the settling time, and return the exit code of a push; 75 if anything waits.

        Raises: as `run`; PathMissing, and what keeps the archive from being reached.
        """
        self.state.identity()
        for folder in self.folders:
            if not folder.is_dir():
                raise PathMissing(path=str(folder))
        self._look()
        self.stop.wait(self.round.settle_s + 0.01)
        look = self._look(is_last=True)
        for path, reason in look.waiting.items():
            self._say("not_finished", path=str(path), reason=reason)
        code = 0
        if look.due and not self.stop.is_set():
            code = self._deliver(look.due, is_last=True)
        if code == 0 and (look.waiting or self.stop.is_set()):
            code = PARTIAL
        self._say("stopped")
        return code

    def _look(self, *, is_last: bool = False) -> Look:
        look = self._lookout.look(self.clock(), is_last=is_last)
        for folder in look.away:
            self._say("away", folder=str(folder))
        for folder in look.back:
            self._say("back", folder=str(folder))
        with self._guard:
            self._told = {(path, cause) for path, cause in self._told if path in look.left or self._lookout.knows(path)}
        for path, reason in look.left.items():
            if reason not in {"hidden", NAME_UNDER_WAY}:  # those come and go with every transfer
                self._say_once("left_alone", path, reason, {"reason": reason})
        for path, reason in look.waiting.items():
            if reason in {"empty", "open for writing"}:
                self._say_once("waiting", path, reason, {"reason": reason})
        for path in look.gone:
            self._say("gone", path=str(path))
        return look

    def _deliver(self, due: list[Found], *, is_last: bool = False) -> int:
        try:
            report = push_selection(
                self.state,
                Selection(due),
                self.wishes,
                jobs=self.round.jobs,
                watcher=_Repeats(self._say_once),
                stop=self.stop,
            )
        except Stopped:
            return PARTIAL
        except _PASSING as exc:
            if is_last or (isinstance(exc, Refused) and not exc.may_pass):
                raise
            self._put_off(exc)
            return PARTIAL
        if self._failures:
            self._failures = 0
            self._say("reachable")
        for found, delivery in zip(due, report.deliveries, strict=True):
            self._settle(found, delivery)
        for sidecar in report.wiped_sidecars:
            self._say("sidecar_wiped", path=str(sidecar))
        return self._code_of(report)

    def _code_of(self, report: PushReport) -> int:
        if report.exit_code == NO_ACCESS:
            self._say("no_access", message=next(one.message for one in report.deliveries if one.is_access_refused))
        return report.exit_code

    def _put_off(self, failure: LiuhenError) -> None:
        pause_s = min(self.round.every_s * 2 ** min(self._failures, _MOST_DOUBLINGS), _LONGEST_PAUSE_S)
        self._not_before_s = self.clock() + pause_s
        if not self._failures:
            self._say("unreachable", code=failure.code, message=str(failure))
        self._failures += 1

    def _settle(self, found: Found, delivery: Delivery) -> None:
        """Say what became of a file, and see to what happens next."""
        is_over = delivery.result in {Result.REFUSED, Result.QUARANTINED}
        if delivery.result.is_safe and (delivery.is_wiped or not self.wishes.wipe):
            is_over = True
        if is_over:
            self._forget(found.path)
            self._lookout.done(found.path, with_sidecar=self._went_with_sidecar(found, delivery))
        else:
            self._lookout.failed(found.path, self.clock())
        facts: dict[str, Any] = {"code": delivery.code, "size_bytes": delivery.size_bytes}
        if delivery.result.is_safe:
            facts |= {"log_index": delivery.log_index, "wiped": delivery.is_wiped, "sha256": delivery.sha256}
        if delivery.remarks:
            facts["message"] = "; ".join(delivery.remarks)
        event = _EVENTS[delivery.result]
        if is_over:
            self._say(event, path=str(found.path), **facts)
        elif delivery.code != Stopped.code:
            self._say_once(event, found.path, delivery.code or event, facts)

    def _went_with_sidecar(self, found: Found, delivery: Delivery) -> bool:
        if not delivery.result.is_safe or delivery.is_wiped or found.sidecar is None:
            return True
        stored = self.state.stored_receipt(delivery.sha256 or "")
        return stored is not None and is_in_manifest(found.sidecar, stored[1])

    def _say(self, event: str, **facts: Any) -> None:
        with self._guard:
            self.say(event, {name: value for name, value in facts.items() if value is not None})

    def _say_once(self, event: str, path: Path, cause: str, facts: Mapping[str, Any]) -> None:
        with self._guard:
            if (path, f"{event} {cause}") in self._told:
                return
            self._told.add((path, f"{event} {cause}"))
        self._say(event, path=str(path), **facts)

    def _forget(self, path: Path) -> None:
        """What goes wrong with a file that was delivered is news again."""
        with self._guard:
            self._told = {(told, cause) for told, cause in self._told if told != path}
