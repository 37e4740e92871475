"""Pushing many files: several at once, in the order of their names, until each is delivered or is given up for now."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from archive.kernel.clock import SystemClock
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from ingest.agent.announcing import Line, Wishing
from ingest.agent.camera import Clocks
from ingest.agent.delivery import Courier, Delivery, Result
from ingest.agent.errors import (
    BAD_FILE,
    NO_ACCESS,
    PARTIAL,
    ConnectionBroken,
    FileUnreadable,
    NotTheArchive,
    Refused,
    ServerUnreachable,
    Stopped,
)
from ingest.agent.files import Found, Selection, select_files
from ingest.agent.patience import Patience
from ingest.agent.sending import Errand, Watcher, Wishes
from ingest.agent.state import Identity, StateFolder
from ingest.agent.wiping import wipe_sidecar
from ingest.agent.wire import Wire, measure_clock, tls_context

MOST_JOBS: Final = 32
_MOST_CASE: Final = 100
_LOOK_S: Final = 0.2


class QuietWatcher:
    """Hears everything and says nothing. Satisfies `Watcher`; a base for those that say something."""

    def begun(self, found: Found) -> None:
        """Say nothing."""

    def hashed(self, found: Found, size_bytes: int) -> None:
        """Say nothing."""

    def stands_at(self, found: Found, offset_bytes: int) -> None:
        """Say nothing."""

    def sent(self, found: Found, size_bytes: int) -> None:
        """Say nothing."""

    def waits(self, found: Found, failure: LiuhenError) -> None:
        """Say nothing."""

    def ended(self, found: Found, result: str) -> None:
        """Say nothing."""


@dataclass(slots=True)
class PushReport:
    """What became of a push. Units: milliseconds; a positive offset is ahead of the archive's clock."""

    identity: Identity
    deliveries: list[Delivery]
    skipped: list[tuple[Path, str]]
    clocks: Clocks
    wiping: bool
    wiped_sidecars: list[Path] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0: all delivered (and deleted, if asked for); 77: no access; 65: something refused; 75: try again."""
        if any(delivery.is_access_refused for delivery in self.deliveries):
            return NO_ACCESS
        if any(delivery.result in {Result.REFUSED, Result.QUARANTINED} for delivery in self.deliveries):
            return BAD_FILE
        if any(not delivery.result.is_safe or (self.wiping and not delivery.is_wiped) for delivery in self.deliveries):
            return PARTIAL
        return 0


def push(
    state: StateFolder,
    paths: Iterable[Path],
    wishes: Wishes,
    *,
    jobs: int = 3,
    device_time: Instant | None = None,
    watcher: Watcher | None = None,
    clock: Clock | None = None,
) -> PushReport:
    """Deliver the files at these paths; `device_time` is what the camera's clock shows now.

    Guarantees: a file counts as delivered only with a receipt that was verified here and is durable in the state.
    Raises: NotEnrolled, StateBroken, PushRunning, PathMissing, ServerUnreachable, ServerUntrusted; Refused when the
        archive does not even tell its time. What concerns one file is told in its delivery.
    """
    clock = clock or SystemClock()
    _require_case(wishes)
    dock_at = clock.now()  # what the camera's clock shows was read now, and a card may take long to walk through
    state.identity()
    selection = select_files(paths, leave=state.path)
    return push_selection(
        state, selection, wishes, jobs=jobs, dock_at=dock_at, device_time=device_time, watcher=watcher, clock=clock
    )


def push_selection(
    state: StateFolder,
    selection: Selection,
    wishes: Wishes,
    *,
    jobs: int = 3,
    dock_at: Instant | None = None,
    device_time: Instant | None = None,
    watcher: Watcher | None = None,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
) -> PushReport:
    """Deliver files that were found already, as `push` does; `stop` ends it in order, from outside.

    `dock_at` is when the push began, by this dock's clock: now, unless it is given.
    Raises: as `push`, but for PathMissing; Stopped when it was stopped before the archive had answered.
    """
    clock, stop = clock or SystemClock(), stop or threading.Event()
    _require_case(wishes)
    dock_at = dock_at or clock.now()
    identity = state.identity()
    state.prepare()
    tls = tls_context(identity.place, ca_pem=identity.ca_pem)
    wires = [Wire(identity.place, tls=tls, api_key=identity.api_key) for _ in range(min(max(jobs, 1), MOST_JOBS) + 1)]
    with contextlib.ExitStack() as held, state.pushing() as journal:
        for wire in wires:
            held.enter_context(wire)
        patience = Patience(wishes.wait_s, stopping=stop)
        clocks = _compare_clocks(wires[0], patience, clock=clock, dock_at=dock_at, device_time=device_time)
        errand = Errand(
            state=state,
            identity=identity,
            journal=journal,
            wishes=wishes,
            clocks=clocks,
            clock=clock,
            watcher=watcher or QuietWatcher(),
            stopping=threading.Event(),
        )
        deliveries = _deliver_all(Courier(errand), wires, selection.files, stop)
        report = PushReport(identity, deliveries, selection.skipped, clocks, wishes.wipe)
        if wishes.wipe:
            report.wiped_sidecars = _wipe_sidecars(state, selection.files, deliveries)
    return report


def _require_case(wishes: Wishes) -> None:
    if wishes.case_number is not None and not 1 <= len(wishes.case_number) <= _MOST_CASE:
        raise InvalidInput(f"A case number has 1 to {_MOST_CASE} characters")


def _compare_clocks(
    wire: Wire, patience: Patience, *, clock: Clock, dock_at: Instant, device_time: Instant | None
) -> Clocks:
    offset_ms: int | None = None
    while offset_ms is None:
        try:
            offset_ms = measure_clock(wire, clock=clock)
        except (ServerUnreachable, ConnectionBroken, NotTheArchive, Refused) as exc:
            if isinstance(exc, Refused) and not exc.may_pass:
                raise
            patience.pause(
                exc if isinstance(exc, ServerUnreachable | NotTheArchive) else ServerUnreachable(cause=exc.code)
            )
    clocks = Clocks(dock_at, offset_ms, None)
    return clocks if device_time is None else Clocks(dock_at, offset_ms, clocks.offset_ms(device_time))


def _deliver_all(courier: Courier, wires: list[Wire], files: list[Found], stop: threading.Event) -> list[Delivery]:
    """Run the files through one thread for each wire but the last, which sends what the archive wants first.

    Returns their deliveries in the order of the files.
    """
    line = Line.of(files)
    done: dict[int, Delivery] = {}

    def deliver(wire: Wire, number: int, found: Found) -> None:
        done[number] = courier.deliver(wire, found)
        if done[number].is_access_refused:
            # The others would hear the same.
            courier.errand.stopping.set()

    def work(wire: Wire) -> None:
        while not courier.errand.stopping.is_set():
            following = line.take()
            if following is None:
                return
            deliver(wire, *following)

    *workers, last = wires
    wishing = Wishing(courier.errand, last, line, deliver)

    def look() -> None:
        if stop.is_set():
            _break_off(courier, wires)

    with ThreadPoolExecutor(len(wires), thread_name_prefix="push") as pool:
        try:
            running = {pool.submit(work, wire) for wire in workers} | {pool.submit(wishing.run)}
            _wait_for(running, wishing, look)
        except BaseException:  # the pool waits for its threads: whenever it is left, they must hear of it
            wishing.end()
            _break_off(courier, wires)
            raise
    safe = {number for number, delivery in done.items() if delivery.result.is_safe}
    wishing.settle([found for number, found in enumerate(files) if number not in safe])
    return [done.get(number) or _not_begun(found) for number, found in enumerate(files)]


def _wait_for(running: set[Future[None]], wishing: Wishing, look: Callable[[], None]) -> None:
    """Wait for threads, woken now and then, so that Ctrl-C is heard; a thread that failed ends the push."""
    while running:
        ended, running = wait(running, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        for task in ended:
            task.result()
        if wishing.line.is_empty:
            wishing.end()
        look()


def _break_off(courier: Courier, wires: list[Wire]) -> None:
    courier.errand.stopping.set()
    for wire in wires:
        wire.abort()


def _not_begun(found: Found) -> Delivery:
    return Delivery(found.path, found.size_bytes, code=Stopped.code, message=str(Stopped()))


def _wipe_sidecars(state: StateFolder, files: list[Found], deliveries: list[Delivery]) -> list[Path]:
    """Delete the sidecars whose recordings are all deleted and whose content stands in each one's manifest."""
    users: dict[Path, list[Delivery]] = {}
    for found, delivery in zip(files, deliveries, strict=True):
        if found.sidecar is not None:
            users.setdefault(found.sidecar, []).append(delivery)
    wiped = []
    for sidecar, owners in users.items():
        if not all(owner.is_wiped for owner in owners):
            continue
        stored = [state.stored_receipt(owner.sha256 or "") for owner in owners]
        manifests = [kept[1] for kept in stored if kept is not None]
        try:
            if len(manifests) == len(owners) and wipe_sidecar(sidecar, manifests=manifests):
                wiped.append(sidecar)
            else:
                owners[0].notes.append(f"sidecar {sidecar.name} stays: it is not in the archive whole")
        except FileUnreadable as exc:
            owners[0].notes.append(str(exc))
    return wiped
