"""What a simulation says: a few lines, and the queues over time."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from archive.simulation.parameters import Parameters
from archive.simulation.shift import Outcome

_ROWS: Final = 20
_NOTED: Final = 0.05


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; the nearest of them."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)]


def requests(given: Parameters) -> dict[str, float]:
    """Return what is asked of S3 in all, and what it costs where prices are given."""
    asked, count = given.requests, given.shift.recordings
    writes = count * (asked.writes + asked.writes_per_mb * given.shift.recording_mb)
    reads = count * asked.reads
    cost = (writes * asked.price_per_million_writes + reads * asked.price_per_million_reads) / 1e6
    return {"writes": writes, "reads": reads, "cost": cost}


def figures(given: Parameters, outcome: Outcome) -> dict[str, Any]:
    """Return what came of it, by name. Units: seconds, megabytes (10^6 bytes) a second."""
    shares = {"p50": 0.5, "p95": 0.95, "last": 1.0}
    return {
        "recordings": outcome.recordings,
        "recording_mb": outcome.recording_mb,
        "mb_per_s": outcome.mb_per_s,
        "last_byte_s": outcome.last_byte_s,
        "receipt_s": {name: percentile(outcome.receipts_s, share) for name, share in shares.items()},
        "byte_to_receipt_s": {name: percentile(outcome.waits_s, share) for name, share in shares.items()},
        "camera_free_s": {name: percentile(outcome.free_s, share) for name, share in shares.items()},
        "playable_s": {name: percentile(outcome.playable_s, share) for name, share in shares.items()}
        if outcome.playable_s
        else {},
        "idle_s": outcome.idle_s,
        "requests": requests(given),
        "used_up_to_last_receipt": outcome.load_to_receipts,
        "used_up_to_idle": outcome.load_to_idle,
    }


def lines(given: Parameters, outcome: Outcome) -> Iterator[str]:
    """Yield it in words."""
    told = figures(given, outcome)
    yield (
        f"{given.shift.docks} docks, {given.shift.docks * given.shift.cameras_per_dock} cameras, {outcome.recordings} "
        f"recordings of {outcome.recording_mb:.0f} MB: {outcome.recordings * outcome.recording_mb / 1e6:.3f} TB"
    )
    yield f"Taken in: {outcome.mb_per_s:.1f} MB/s from the first camera to the last receipt"
    for name, what in (
        ("receipt_s", "Receipts"),
        ("byte_to_receipt_s", "Last byte to receipt"),
        ("camera_free_s", "Cameras free (every recording has its receipt and is deleted)"),
        ("playable_s", "Recordings play"),
    ):
        if told[name]:
            yield f"{what}: " + ", ".join(f"{share} {shown(value)}" for share, value in told[name].items())
    yield f"All queues empty: {shown(outcome.idle_s)}"
    asked = told["requests"]
    cost = f", which cost {asked['cost']:.2f}" if asked["cost"] else ""
    yield f"Requests to S3: {asked['writes']:,.0f} that write or list, {asked['reads']:,.0f} that read{cost}"
    yield f"Limit until the last receipt: {_limits(outcome.load_to_receipts, 'the links of the docks')}"
    yield f"Limit until all queues are empty: {_limits(outcome.load_to_idle, 'the links of the docks')}"
    yield ""
    yield f"{'time':>10} {'not sent':>9} {'sending':>8} {'taking':>7} {'prompt':>7} {'long':>7}"
    step = max(1, -(-len(outcome.moments) // _ROWS))
    for moment in outcome.moments[::step]:
        yield (
            f"{shown(moment.at_s):>10} {moment.not_sent:>9} {moment.sending:>8} {moment.taking:>7} "
            f"{moment.prompt:>7} {moment.long:>7}"
        )


def _limits(loads: dict[str, float], otherwise: str) -> str:
    noted = sorted(((share, name) for name, share in loads.items() if share >= _NOTED), reverse=True)
    told = ", ".join(f"{name} (used up {share:.0%} of the time)" for share, name in noted)
    return told or f"{otherwise}; nothing else was used up"


def shown(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
