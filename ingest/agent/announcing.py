"""Telling the archive what waits here, and hearing what it wants first.

Wishes are a courtesy: whatever goes wrong with them, recordings are delivered in their order all the same.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import format_instant
from ingest.agent.camera import serial_of
from ingest.agent.files import Found, key_of
from ingest.agent.sending import Errand
from ingest.agent.wire import Wire

_AT_ONCE: Final = 1000
"""Recordings in one part of an announcement."""
_MOST_ANNOUNCED: Final = 20_000
_MOST_NAME: Final = 200
_ASK_S: Final = 10.0
_AGAIN_S: Final = 3.0
_LONGEST_AGAIN_S: Final = 60.0


@dataclass(slots=True)
class Line:
    """Files that wait for their turn, in order; several threads take from it."""

    _waiting: deque[tuple[int, Found]]
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, files: Iterable[Found]) -> "Line":
        """Return a line of files, numbered."""
        return cls(deque(enumerate(files)))

    def take(self) -> tuple[int, Found] | None:
        """Take the next; None when there is none."""
        with self._guard:
            return self._waiting.popleft() if self._waiting else None

    def take_one(self, keys: Sequence[str]) -> tuple[int, Found] | None:
        """Take the first of these that waits still; None when none does."""
        with self._guard:
            by_key = {key_of(found): (number, found) for number, found in self._waiting}
            for key in keys:
                if key in by_key:
                    self._waiting.remove(by_key[key])
                    return by_key[key]
            return None

    def files(self) -> list[Found]:
        """Return what waits now, in order."""
        with self._guard:
            return [found for _, found in self._waiting]

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits any more."""
        return not self._waiting


@dataclass(slots=True)
class Wishing:
    """Sends first what the archive asks for, on a wire of its own: beside the others, which go on."""

    errand: Errand
    wire: Wire
    line: Line
    deliver: Callable[[Wire, int, Found], None]
    _over: threading.Event = field(default_factory=threading.Event)
    _is_heard: bool = False

    def run(self) -> None:
        """Tell what waits, then ask again and again what is wanted and deliver it, until nothing waits or `end`."""
        self._is_heard = self._announce(self.line.files())
        pause_s = _AGAIN_S
        while self._is_heard and not self._over.is_set() and not self.errand.stopping.is_set():
            answer = self._asked("GET", None)
            wanted = None if answer is None else self.line.take_one(answer)
            if wanted is not None:
                self.deliver(self.wire, *wanted)
                continue
            pause_s = _AGAIN_S if answer is not None else min(pause_s * 2, _LONGEST_AGAIN_S)
            self._over.wait(pause_s)

    def settle(self, left: Sequence[Found]) -> None:
        """Tell what is left when the push has ended, if the archive heard what there was."""
        if self._is_heard and not self.errand.stopping.is_set():
            self._announce(left)

    def _announce(self, files: Sequence[Found]) -> bool:
        """Tell what waits; return whether it was heard. An archive that is older, or busy, does not hear it."""
        told = [_told(found, self.errand) for found in files[:_MOST_ANNOUNCED] if not self._is_delivered(found)]
        parts = [told[start : start + _AT_ONCE] for start in range(0, len(told), _AT_ONCE)] or [[]]
        return all(
            self._asked("POST", {"recordings": part, "is_first": number == 0}) is not None
            for number, part in enumerate(parts)
        )

    def end(self) -> None:
        """Ask no more."""
        self._over.set()

    def _asked(self, method: str, body: Any) -> Sequence[str] | None:
        try:
            answer = self.wire.request(
                method,
                "/api/v1/docks/waiting",
                headers=None if body is None else {"Content-Type": "application/json"},
                body=None if body is None else json.dumps(body).encode(),
                timeout_s=_ASK_S,
            )
            first = json.loads(answer.body)["first"]
        except (LiuhenError, ValueError, KeyError, TypeError):
            return None
        return [key for key in first if isinstance(key, str)] if isinstance(first, list) else None

    def _is_delivered(self, found: Found) -> bool:
        errand = self.errand
        if found.identity is None:
            return False
        known = errand.journal.digests_of(found.path, found.identity, algorithms=errand.identity.algorithms)
        return known is not None and errand.state.stored_receipt(known.sha256.hex) is not None


def _told(found: Found, errand: Errand) -> dict[str, Any]:
    name = found.path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:_MOST_NAME]
    told: dict[str, Any] = {"key": key_of(found), "name": name, "size_bytes": found.size_bytes}
    claims = errand.wishes.patterns.read(name, folder=found.folder)
    serial = serial_of(found, claims)
    if serial is not None:
        told["device_serial"] = serial
    if claims is not None and claims.recorded_at is not None and claims.recorded_at.tzinfo is not None:
        told["begins_at"] = format_instant(claims.recorded_at.astimezone(UTC))
    if found.identity is not None:
        changed_at = datetime.fromtimestamp(found.identity.modified_ns / 1e9, UTC)
        told["ends_at"] = format_instant(changed_at)
    return told
