"""The shift change: cameras come to their docks, docks send, the archive takes in and answers, workers make playable.

A dock sends one recording after the other (or some at once) and goes on when it has the receipt. A camera is free when
all its recordings have receipts and are deleted from it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from archive.simulation.fair_shares import Line, Shares, Work
from archive.simulation.parameters import Parameters

_CORES: Final = "cores"
_NETWORK: Final = "shared network"
_STORE: Final = "store"
_LEAST_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Moment:
    """How long the queues are at a moment. Units: seconds since the first camera came."""

    at_s: float
    not_sent: int
    sending: int
    taking: int
    prompt: int
    long: int


@dataclass(slots=True)
class Outcome:
    """What came of it. Units: seconds since the first camera came; `waits_s` from the last byte to the receipt."""

    recordings: int
    recording_mb: float
    receipts_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    free_s: list[float] = field(default_factory=list)
    playable_s: list[float] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    last_byte_s: float = 0.0
    idle_s: float = 0.0
    load_to_receipts: dict[str, float] = field(default_factory=dict)
    """Share of the time to the last receipt in which each resource was used up."""
    load_to_idle: dict[str, float] = field(default_factory=dict)

    @property
    def mb_per_s(self) -> float:
        """Throughput from the start to the last receipt, in 10^6 bytes a second."""
        return self.recordings * self.recording_mb / max(self.receipts_s)


def simulate(given: Parameters, *, look_s: float = 10.0) -> Outcome:
    """Return what comes of these parameters; the queues are looked at each `look_s`. Always the same for the same."""
    change = _ShiftChange(given, look_s)
    change.run()
    return change.outcome


@dataclass(slots=True)
class _Camera:
    left: int
    to_wipe: int


class _ShiftChange:
    def __init__(self, given: Parameters, look_s: float) -> None:
        shift, network, hosts, costs = given.shift, given.network, given.hosts, given.costs
        self._given, self._look_s = given, look_s
        self._mb = mb = shift.recording_mb
        self.outcome = Outcome(shift.recordings, mb)
        self._shares = Shares(
            {
                _CORES: max(hosts.cores - hosts.busy_cores, _LEAST_S),
                _NETWORK: network.shared_mbit_per_s / 8,
                _STORE: hosts.store_mb_per_s,
            }
        )
        dock_cores = 1.0 if hosts.docks_on_host else 0.0
        hash_s = max(costs.hash_s_per_mb * mb, _LEAST_S)
        take_s = max(costs.take_s + costs.take_s_per_mb * mb, _LEAST_S)
        send_core_s = (
            costs.send_host_core_s_per_mb + dock_cores * costs.send_dock_core_s_per_mb + costs.send_core_s / mb
        )
        self._hash_s, self._take_s = hash_s, take_s
        self._hash = Work("hash", 1.0, {_CORES: dock_cores * costs.hash_core_s_per_mb * mb / hash_s})
        self._send = Work(
            "send", network.dock_mbit_per_s / 8 / network.at_once_per_dock, {_NETWORK: 1.0, _CORES: send_core_s}
        )
        take_core_s = costs.take_core_s + costs.take_core_s_per_mb * mb
        self._take = Work("take", 1.0, {_CORES: take_core_s / take_s, _STORE: costs.store_mb_per_mb * mb / take_s})
        self._job = Work("job", 1.0, {_CORES: costs.job_cores})
        self._looks = Work("look", 1.0, {_CORES: costs.job_cores}, hosts.background_weight)
        self._encode = Work("encode", 1.0, {_CORES: costs.encode_cores}, hosts.background_weight)
        self._hashing = Line(self._shares, None)
        self._sending = Line(self._shares, None)
        self._taking = Line(self._shares, hosts.taken_at_once or None)
        self._prompt = Line(self._shares, hosts.prompt_workers)
        self._long = Line(self._shares, hosts.long_workers)
        self._docks = [deque[_Camera]() for _ in range(shift.docks)]
        self._under_way = [0] * shift.docks
        self._begun = self._taken_in = self._footage = self._footage_done = self._to_encode = 0

    def run(self) -> None:
        shift, outcome = self._given.shift, self.outcome
        for dock in range(shift.docks):
            for number in range(shift.cameras_per_dock):
                # The docks' cameras come in turn, so that no two docks are alike.
                at_s = shift.arrival_s * (number * shift.docks + dock) / (shift.docks * shift.cameras_per_dock)
                self._shares.after(at_s, lambda dock=dock: self._comes(dock))  # type: ignore[misc]
        self._shares.run(self._look)
        outcome.idle_s = self._shares.now_s
        outcome.load_to_idle = self._loads()

    def _comes(self, dock: int) -> None:
        count = self._given.shift.recordings_per_camera
        self._docks[dock].append(_Camera(count, count))
        self._next(dock)

    def _next(self, dock: int) -> None:
        cameras = self._docks[dock]
        while cameras and self._under_way[dock] < self._given.network.at_once_per_dock:
            camera = cameras[0]
            camera.left -= 1
            if not camera.left:
                cameras.popleft()
            self._under_way[dock] += 1
            self._begun += 1
            self._hashing.put(self._hash, self._hash_s, lambda camera=camera: self._hashed(dock, camera))  # type: ignore[misc]

    def _hashed(self, dock: int, camera: _Camera) -> None:
        self._shares.after(
            self._given.costs.begin_s,
            lambda: self._sending.put(self._send, self._mb, lambda: self._sent(dock, camera)),
        )

    def _sent(self, dock: int, camera: _Camera) -> None:
        at_s = self.outcome.last_byte_s = self._shares.now_s
        self._taking.put(self._take, self._take_s, lambda: self._taken(dock, camera, at_s))

    def _taken(self, dock: int, camera: _Camera, sent_at_s: float) -> None:
        costs, recorded_s = self._given.costs, self._given.shift.recorded_s
        self._shares.after(costs.receipt_s, lambda: self._has_receipt(dock, camera, sent_at_s))
        self._taken_in += 1
        if int(self._taken_in * self._given.shift.footage_share) > self._footage:
            self._footage += 1
            playable_s = costs.playable_s + costs.playable_s_per_recorded_s * recorded_s
            self._prompt.put(self._job, max(playable_s, _LEAST_S), self._remuxed)
        else:  # a look finds that there is nothing to play
            self._prompt.put(self._job, max(costs.playable_s, _LEAST_S), lambda: None)

    def _has_receipt(self, dock: int, camera: _Camera, sent_at_s: float) -> None:
        now_s, costs = self._shares.now_s, self._given.costs
        self.outcome.receipts_s.append(now_s)
        self.outcome.waits_s.append(now_s - sent_at_s)
        if len(self.outcome.receipts_s) == self.outcome.recordings:
            self.outcome.load_to_receipts = self._loads()
        self._shares.after(costs.wipe_s + costs.wipe_s_per_mb * self._mb, lambda: self._wiped(dock, camera))

    def _wiped(self, dock: int, camera: _Camera) -> None:
        camera.to_wipe -= 1
        if not camera.to_wipe:
            self.outcome.free_s.append(self._shares.now_s)
        self._under_way[dock] -= 1
        self._next(dock)

    def _remuxed(self) -> None:
        self._footage_done += 1
        costs, recorded_s = self._given.costs, self._given.shift.recorded_s
        rest_s = costs.prompt_s + costs.prompt_s_per_recorded_s * recorded_s
        looks_s = costs.long_s + costs.long_s_per_recorded_s * recorded_s
        self._prompt.put(self._job, max(rest_s, _LEAST_S), lambda: None)
        if int(self._footage_done * self._given.shift.encoded_share) > self._to_encode:
            self._to_encode += 1
            encode_s = costs.encode_s_per_recorded_s * recorded_s
            self._long.put(self._encode, max(encode_s, _LEAST_S), self._plays)
        else:
            self._plays()
        self._long.put(self._looks, max(looks_s, _LEAST_S), lambda: None)

    def _plays(self) -> None:
        self.outcome.playable_s.append(self._shares.now_s)

    def _loads(self) -> dict[str, float]:
        now_s = self._shares.now_s
        loads = {name: self._shares.full_s[name] / now_s for name in self._shares.capacities}
        for name, line in (("prompt workers", self._prompt), ("long workers", self._long), ("taking", self._taking)):
            if line.workers is not None:
                loads[name] = line.full_s(now_s) / now_s
        return loads

    def _look(self) -> None:
        moments, now_s = self.outcome.moments, self._shares.now_s
        if moments and now_s < moments[-1].at_s + self._look_s:
            return
        sending = self._shares.count("hash") + self._shares.count("send")
        moments.append(
            Moment(
                now_s,
                self.outcome.recordings - self._begun,
                sending,
                self._taking.length,
                self._prompt.length,
                self._long.length,
            )
        )
