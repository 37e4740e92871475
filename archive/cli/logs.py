"""What processes log: JSON lines on standard error. Never payloads, names of persons, tokens."""

import json
import logging
import os
import threading
from datetime import UTC, datetime
from typing import Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from archive.kernel.instants import format_instant

_STANDARD_ERROR: Final = 2


class StandardError:
    """Takes lines, and loses them where they cannot be written: a full disk under a log ends no process.

    What is lost is counted, and told with the next line that arrives. For several threads.
    """

    def __init__(self, fd: int = _STANDARD_ERROR) -> None:
        """Take the descriptor that is written to."""
        self._fd, self._lost, self._is_cut = fd, 0, False
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write a line with its end, or count it as lost."""
        with self._lock:
            try:
                if self._lost:
                    self._write(_lost(self._lost))
                    self._lost = 0
                self._write(line)
            except OSError:
                self._lost += 1

    def _write(self, line: str) -> None:
        data = line.encode("utf-8", "backslashreplace")
        if self._is_cut:
            data = b"\n" + data
        while data:
            written = os.write(self._fd, data)
            data, self._is_cut = data[written:], written < len(data)

    def flush(self) -> None:
        """Nothing is kept back."""


def _lost(lines: int) -> str:
    told = {
        "event": "log_lines_lost",
        "lines": lines,
        "level": "warning",
        "timestamp": format_instant(datetime.now(UTC)),
    }
    return json.dumps(told) + "\n"


def configure_logging() -> None:
    """Log from here on, whatever becomes of the lines."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the values of local variables: passwords, keys and names stand in them.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=StandardError()),  # type: ignore[arg-type]
    )
