"""The report of a run, as it is committed under docs/campaigns."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from archive.simulation.shift import simulate
from archive.simulation.telling import figures, percentile
from tests.bench import facts
from tests.campaign.load.watching import ALL, ROLES, growths

if TYPE_CHECKING:
    from tests.campaign.load.campaign import Result

REPORT: Final = Path(__file__).parents[3] / "docs" / "campaigns" / "load.md"
_WITHIN: Final = 0.2
_LOOKS: Final = 12
_LEAST_MINUTES: Final = 5.0
"""A shorter run says nothing of memory: everything is still warming up."""
_MB: Final = 1e6


def render(result: "Result", *, command: str) -> tuple[str, bool]:
    """Return the report, and whether everything held."""
    asked = result.asked
    lines = ["# Campaign: load", ""]
    if asked.calibrate:
        told = [f"Predicted, nothing was loaded: {figures(result.given, result.predicted)}", "", *_parameters(result)]
        return "\n".join([*lines, *told]) + "\n", True
    wrong = list(_wrong(result))
    rows = _compared(result)
    off = [name for name, predicted, measured in rows if not _near(predicted, measured)]
    memory, grown = _memory(result)
    held = not wrong and not off and not grown
    verdict = "Everything held" if held else "NOT everything held"
    lines += [
        f"**{verdict}**: {sum(map(len, result.sent))} recordings from {asked.docks} docks, {len(wrong)} errors; "
        f"the prediction was {'within' if not off else 'NOT within'} {_WITHIN:.0%}"
        + (f" ({', '.join(off)})" if off else "")
        + f"; memory {_memory_verdict(result, grown)}.",
        "",
        (
            f"{asked.docks} docks, each the real agent behind a link of {asked.mbit:g} Mbit/s, send recordings one after "
            f"the other ({'straight to the bucket' if asked.way == 'direct' else 'tus'}), for {asked.minutes:g} minutes "
            f"if nothing holds them up, while {asked.readers} people read pages and {asked.viewers} watch recordings. "
            "Docks, readers, services and workers share this machine. Before that, with one dock and one recording after "
            "the other, was measured what one costs, and the simulation (`liuhen simulate`) predicted the rest."
        ),
        "",
        "| | |",
        "|---|---|",
        f"| Command | `{command}` |",
        f"| Date | {facts.now()} |",
        f"| Commit | {facts.commit()} |",
        f"| Took part | {', '.join(result.parts)} |",
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
        f"| Python | {facts.versions()['Python']} |",
        (
            f"| Cores in use | {result.used_cores:.2f} by what is tried and {result.other_cores:.2f} by others, while "
            "docks sent |"
        ),
        "",
        "## Measured beside predicted",
        "",
        "| | predicted | measured | measured / predicted |",
        "|---|---|---|---|",
        *(
            f"| {name} | {predicted:.2f} | {measured:.2f} | {measured / predicted if predicted else float('inf'):.2f} |"
            for name, predicted, measured in [*rows, *_more(result)]
        ),
        "",
        f"The first {len(rows)} must be within {_WITHIN:.0%}. {_told_afterwards(result)}",
        "",
        "## Pages",
        "",
        "| Page | answers | p50 ms | p95 ms | p99 ms | longest ms |",
        "|---|---|---|---|---|---|",
        *_pages(result),
        "",
        "## Queues over time",
        "",
        "| s | " + " | ".join(_queue_names(result)) + " | not sequenced |",
        "|---|" + "---|" * (len(_queue_names(result)) + 1),
        *_queues(result),
        "",
        "## Memory (proportional set size)",
        "",
        *memory,
        "",
        "## Back-pressure and errors",
        "",
        *_refusals(result, wrong),
        "",
        *_parameters(result),
    ]
    return "\n".join(lines).rstrip() + "\n", held


def _parameters(result: "Result") -> list[str]:
    return ["## Parameters of the calibration", "", "```toml", result.given.as_toml().rstrip(), "```"]


def _told_afterwards(result: "Result") -> str:
    """Say what the simulation says when it is told how many cores others took meanwhile: no prediction, but a check."""
    hosts = result.given.hosts
    busy = min(result.other_cores + result.readers_cores, 0.95 * hosts.cores)
    again = simulate(result.given.model_copy(update={"hosts": hosts.model_copy(update={"busy_cores": busy})}))
    told = (again.mb_per_s, percentile(again.waits_s, 0.5), again.idle_s)
    return (
        f"The calibration found {hosts.busy_cores:.2f} cores busy with other things; while docks sent it were {busy:.2f}. "
        f"Told so, the simulation says {told[0]:.2f} MB/s, {told[1]:.2f} s and {told[2]:.2f} s."
    )


def _near(predicted: float, measured: float) -> bool:
    return abs(measured - predicted) <= _WITHIN * measured


def _waits(result: "Result") -> list[float]:
    return [each.ended_s - each.last_byte_s for dock in result.sent for each in dock if each.last_byte_s]


def _compared(result: "Result") -> list[tuple[str, float, float]]:
    ended = [each.ended_s - result.began_s for dock in result.sent for each in dock]
    size = sum(each.size_bytes for dock in result.sent for each in dock) / _MB
    predicted = result.predicted
    return [
        ("taken in, MB/s", predicted.mb_per_s, size / max(ended)),
        ("last byte to receipt, p50, s", percentile(predicted.waits_s, 0.5), percentile(_waits(result), 0.5)),
        ("every queue empty after, s", predicted.idle_s, result.idle_s),
    ]


def _more(result: "Result") -> list[tuple[str, float, float]]:
    ended = [each.ended_s - result.began_s for dock in result.sent for each in dock]
    predicted, waits = result.predicted, _waits(result)
    rows = [
        (f"last byte to receipt, p{share * 100:.0f}, s", percentile(predicted.waits_s, share), percentile(waits, share))
        for share in (0.95, 0.99)
    ]
    rows += [
        (f"receipts, {name}, s after the start", percentile(predicted.receipts_s, share), percentile(ended, share))
        for name, share in (("p50", 0.5), ("p95", 0.95), ("last", 1.0))
    ]
    looks = [] if result.watch is None else result.watch.looks
    for queue in ("prompt", "long"):
        most = max((getattr(moment, queue) for moment in predicted.moments), default=0)
        rows.append((f"longest queue, {queue}", most, max((look.queues.get(queue, 0) for look in looks), default=0)))
    return rows


def _pages(result: "Result") -> Iterator[str]:
    pages = {**result.seen.pages, "range of a recording, 2 MiB": result.seen.ranges_s}
    pages["all pages"] = [took for each in result.seen.pages.values() for took in each]
    for name, took in sorted(pages.items()):
        if took:
            shown = " | ".join(f"{percentile(took, share) * 1000:.0f}" for share in (0.5, 0.95, 0.99, 1.0))
            yield f"| `{name}` | {len(took)} | {shown} |"


def _queue_names(result: "Result") -> Sequence[str]:
    looks = [] if result.watch is None else result.watch.looks
    return sorted({name for look in looks for name in look.queues})


def _queues(result: "Result") -> Iterator[str]:
    looks = [] if result.watch is None else result.watch.looks
    names = _queue_names(result)
    for look in looks[:: max(1, len(looks) // _LOOKS)]:
        counts = " | ".join(str(look.queues.get(name, 0)) for name in names)
        yield f"| {look.at_s - result.began_s:.0f} | {counts} | {look.not_sequenced} |"


def _memory(result: "Result") -> tuple[list[str], list[str]]:
    looks = [] if result.watch is None else result.watch.looks
    while_sent = [look for look in looks if look.at_s <= max(each.ended_s for dock in result.sent for each in dock)]
    lines = [
        "| Process | second quarter MiB | last quarter MiB | most MiB | slope at the end MiB/min |",
        "|---|---|---|---|---|",
    ]
    grown = []
    for name, growth in growths(while_sent).items():
        shown = (growth.first, growth.last, growth.most, growth.slope_per_min)
        lines.append(f"| {name} | " + " | ".join(f"{value / 2**20:.1f}" for value in shown) + " |")
        if not growth.is_flat and name in {f"{ALL}{role}" for role in ROLES}:
            grown.append(name)
    if result.asked.minutes < _LEAST_MINUTES:
        return [*lines, "", f"Not judged: a run of less than {_LEAST_MINUTES:g} minutes."], []
    return lines, grown


def _memory_verdict(result: "Result", grown: Sequence[str]) -> str:
    if result.asked.minutes < _LEAST_MINUTES:
        return "was not judged in so short a run"
    return f"NOT flat: {', '.join(grown)}" if grown else "flat"


def _wrong(result: "Result") -> Iterator[str]:
    for dock in result.sent:
        for each in dock:
            yield from each.broken
            if each.result != "delivered":
                yield f"a recording ended as: {each.result or 'nothing'}"
    missing = result.given.shift.recordings - sum(map(len, result.sent))
    if missing:
        yield f"{missing} recordings were never begun"
    yield from result.seen.errors
    if result.dead_jobs:
        yield f"{result.dead_jobs} jobs failed for good"


def _refusals(result: "Result", wrong: Sequence[str]) -> Iterator[str]:
    pressed = Counter(code for dock in result.sent for each in dock for code in each.pressed)
    pressed += Counter(result.seen.pressed)
    yield "| What | times |"
    yield "|---|---|"
    for code, count in pressed.most_common():
        yield f"| asked to come later: {code} | {count} |"
    for what, count in Counter(wrong).most_common():
        yield f"| error: {what} | {count} |"
    yield f"| recordings that are in the archive now | {result.items} |"
    yield f"| bytes watched, MB | {result.seen.watched_bytes / _MB:.0f} |"
    waits = _waits(result)
    if waits:
        yield f"| mean from the last byte to the receipt, s | {statistics.fmean(waits):.2f} |"
