"""How a push is shown: bars while it runs, on a terminal only; then a plain table, or one JSON object."""

import json
import sys
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.text import Text

from archive.kernel.errors import LiuhenError
from ingest.agent.delivery import Delivery, Result
from ingest.agent.files import Found
from ingest.agent.printable import printable
from ingest.agent.push import PushReport, QuietWatcher

_SHORT: Final = 40
_MOST_SKIPPED: Final = 20
_LEAST_TIMED_BYTES: Final = 1_000_000
_CLOCK_TOLD_MS: Final = 5_000
_UNITS: Final = ("kB", "MB", "GB", "TB")


class LineWatcher(QuietWatcher):
    """Says on standard error why something is tried again, once for each file and cause."""

    def __init__(self) -> None:
        """Have said nothing yet."""
        self._guard = threading.Lock()
        self._said: set[tuple[Path, str]] = set()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def waits(self, found: Found, failure: LiuhenError) -> None:
        """Say why a try failed that is made again."""
        with self._guard:
            if (found.path, failure.code) in self._said:
                return
            self._said.add((found.path, failure.code))
        self._say(f"{printable(found.path.name, most=_SHORT)}: {failure}; trying again")

    def _say(self, line: str) -> None:
        print(f"liuhen: {line}", file=sys.stderr)


class BarWatcher(LineWatcher):
    """Shows a bar for each file that is under way and keeps a line for each that has ended."""

    def __init__(self) -> None:
        """Prepare the bars."""
        super().__init__()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._tasks: dict[Path, TaskID] = {}

    def __enter__(self) -> Self:
        """Show the bars."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take them away."""
        self._bars.stop()

    def begun(self, found: Found) -> None:
        """Add a bar."""
        self._tasks[found.path] = self._bars.add_task(self._described("hashing", found), total=found.size_bytes)

    def hashed(self, found: Found, size_bytes: int) -> None:
        """Move it on."""
        self._bars.advance(self._tasks[found.path], size_bytes)

    def stands_at(self, found: Found, offset_bytes: int) -> None:
        """Set it to where the upload stands."""
        self._bars.update(
            self._tasks[found.path], description=self._described("sending", found), completed=offset_bytes
        )

    def sent(self, found: Found, size_bytes: int) -> None:
        """Move it on."""
        self._bars.advance(self._tasks[found.path], size_bytes)

    def ended(self, found: Found, result: str) -> None:
        """Replace it by a line."""
        self._bars.remove_task(self._tasks.pop(found.path))
        self._bars.console.print(Text(f"{result:17}  {printable(found.path.name)}"))

    def _described(self, doing: str, found: Found) -> str:
        return f"{doing} {printable(found.path.name, most=_SHORT)}"

    def _say(self, line: str) -> None:
        self._bars.console.print(Text(line))


def print_summary(report: PushReport) -> None:
    """Print what became of each file, what was left alone, and what must be known before a camera is wiped."""
    rows = [("result", "size", "speed", "log index", "file"), *(_row(delivery) for delivery in report.deliveries)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(4)]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in (1, 2, 3)), row[4]]
        print("  ".join(cells))
        if number:
            for remark in report.deliveries[number - 1].remarks:
                print(f"    {printable(remark)}")
    for path, reason in report.skipped[:_MOST_SKIPPED]:
        print(f"left alone: {printable(str(path))} ({reason})")
    if len(report.skipped) > _MOST_SKIPPED:
        print(f"left alone: {len(report.skipped) - _MOST_SKIPPED} more")
    print(_counted(report))
    if abs(report.clocks.dock_offset_ms) > _CLOCK_TOLD_MS:
        print(f"This dock's clock is {report.clocks.dock_offset_ms / 1000:+.1f} s off the archive's; set it.")


def print_json(report: PushReport) -> None:
    """Print the same as one JSON object on one line. Names that are no UTF-8 keep their bytes as lone surrogates."""
    print(
        json.dumps(
            {
                "server": str(report.identity.place),
                "dock_id": str(report.identity.dock_id),
                "files": [_as_json(delivery) for delivery in report.deliveries],
                "skipped": [{"path": str(path), "reason": reason} for path, reason in report.skipped],
                "wiped_sidecars": [str(path) for path in report.wiped_sidecars],
                "dock_clock_offset_ms": report.clocks.dock_offset_ms,
                "device_clock_offset_ms": report.clocks.device_offset_ms,
                "exit_code": report.exit_code,
            }
        )
    )


def _row(delivery: Delivery) -> tuple[str, str, str, str, str]:
    sent = delivery.sent
    return (
        delivery.result.value + (", wiped" if delivery.is_wiped else ""),
        size_text(delivery.size_bytes),
        _speed(sent.size_bytes, sent.lasted_s),
        "" if delivery.log_index is None else str(delivery.log_index),
        printable(str(delivery.path)),
    )


def _speed(size_bytes: int, lasted_s: float) -> str:
    return f"{size_text(size_bytes / lasted_s)}/s" if size_bytes >= _LEAST_TIMED_BYTES and lasted_s else ""


def _as_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "path": str(delivery.path),
        "result": delivery.result.value,
        "code": delivery.code,
        "message": delivery.message,
        "size_bytes": delivery.size_bytes,
        "sent_bytes": delivery.sent.size_bytes,
        "sending_s": round(delivery.sent.lasted_s, 3),
        "sha256": delivery.sha256,
        "receipt": None if delivery.receipt is None else str(delivery.receipt),
        "log_index": delivery.log_index,
        "wiped": delivery.is_wiped,
        "notes": [*delivery.sent.notes, *delivery.notes],
    }


def _counted(report: PushReport) -> str:
    if not report.deliveries:
        return "There is nothing to push."
    counts = Counter(delivery.result for delivery in report.deliveries)
    told = [f"{counts[result]} {result.value}" for result in Result if counts[result]]
    if report.wiping:
        told.append(f"{sum(delivery.is_wiped for delivery in report.deliveries)} wiped")
    return ", ".join(told) + "."


def size_text(size_bytes: float) -> str:
    """Return a size in decimal units, three digits at most before the unit's point."""
    shown, unit = float(size_bytes), "B"
    for larger in _UNITS:
        if shown < 1000:
            break
        shown, unit = shown / 1000, larger
    return f"{shown:.0f} {unit}" if unit in {"B", "kB"} or shown >= 100 else f"{shown:.1f} {unit}"
