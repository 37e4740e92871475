"""One ffmpeg run over one recording: progress, complaints with their place, and why it gave nothing."""

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from archive.kernel.findings import Finding, invalid
from ingest.media.sandbox import Hooks
from ingest.media.supervise import Ended, Ran

_WORK_PERMILLE: Final = 990
"""Progress stops here while the result is checked; 1000 is said when it is accepted."""
_MOST_PLACES: Final = 100
_COMPLAINTS: Final = re.compile(r"\[(error|fatal|panic)\]|Packet corrupt|corrupt decoded frame|corrupt input packet")
# What the frame checksum writer says of each frame, and of each stream's clock.
_FRAME: Final = re.compile(r"(\d{1,3}), +-?\d{1,18}, +(\d{1,18}), +\d+, +\d+, 0x")
_CLOCK: Final = re.compile(r"#tb (\d{1,3}): (\d{1,9})/(\d{1,9})$")
_MOST_MS: Final = 1 << 50
_TOO_LARGE: Final = frozenset((128 + signal.SIGXFSZ, -signal.SIGXFSZ))


@dataclass(slots=True)
class Observer:
    """Listens to a run. Progress only grows; places are seconds of the recording at which the program complained.

    Units: milliseconds; progress in permille. A place is the last that the program had reported when it complained,
    so that the damage follows it: by some frames in a pass that reports each frame, by more in an encode. `from_ms` is
    where in the recording the run begins.
    """

    duration_ms: int | None
    size_bytes: int
    from_ms: int = 0
    on_progress: Callable[[int], None] | None = None
    should_stop: Callable[[], bool] | None = None
    complaints: int = 0
    places_ms: list[int] = field(default_factory=list)
    first_complaint: str = ""
    has_begun: bool = False
    _at_ms: int = 0
    _tick_ms: dict[str, Fraction] = field(default_factory=dict)
    _said: int = -1

    def hooks(self) -> Hooks:
        """Return what the sandbox calls back."""
        return Hooks(on_line=self._take_progress, on_error_line=self._take_error, should_stop=self.should_stop)

    def say(self, permille: int) -> None:
        """Report progress where it has grown."""
        if permille > self._said:
            self._said = permille
            if self.on_progress is not None:
                self.on_progress(permille)

    def _take_progress(self, line: str) -> None:
        name, _, value = line.partition("=")
        number = int(value) if value.strip().isascii() and value.strip().isdigit() else None
        if number is None:
            return
        if name == "out_time_us":
            self.has_begun = self.has_begun or number > 0
            self._at_ms = max(self._at_ms, self.from_ms + number // 1000)
            if self.duration_ms:
                self.say(min(_WORK_PERMILLE, self._at_ms * _WORK_PERMILLE // self.duration_ms))
        elif name == "total_size" and not self.duration_ms and self.size_bytes:
            self.say(min(_WORK_PERMILLE, number * _WORK_PERMILLE // self.size_bytes))

    def _take_error(self, line: str) -> None:
        frame = _FRAME.match(line)
        if frame is not None:
            self._take_frame(frame)
            return
        clock = _CLOCK.match(line)
        if clock is not None and int(clock[3]):
            self._tick_ms[clock[1]] = Fraction(1000 * int(clock[2]), int(clock[3]))
            return
        if not _COMPLAINTS.search(line):
            return
        self.complaints += 1
        self.first_complaint = self.first_complaint or line[:200]
        # Before the first frame the program only looks around, and a complaint has no place yet.
        if self.has_begun and len(self.places_ms) < _MOST_PLACES and self._at_ms not in self.places_ms:
            self.places_ms.append(self._at_ms)

    def _take_frame(self, frame: re.Match[str]) -> None:
        self.has_begun = True
        at_ms = int(int(frame[2]) * self._tick_ms.get(frame[1], 0))
        self._at_ms = max(self._at_ms, min(at_ms, _MOST_MS))
        if self.duration_ms:
            self.say(min(_WORK_PERMILLE, self._at_ms * _WORK_PERMILLE // self.duration_ms))


def complaint_findings(seen: Observer, *, doing: str, has_place: bool = True) -> list[Finding]:
    """Return a finding when the program complained, with the first place where it is known."""
    if not seen.complaints:
        return []
    if not has_place or not seen.places_ms:
        return [invalid("media.damaged", f"{seen.complaints} errors while {doing}; what could be read is kept")]
    at = seconds(seen.places_ms[0])
    message = f"{seen.complaints} errors while {doing}, the first soon after {at}; what could be read is kept"
    return [invalid("media.damaged", message, where=at)]


def failure(ran: Ran) -> Finding:
    """Return why a run gave nothing that plays."""
    if ran.ended is Ended.CPU:
        return invalid("media.too_costly", "Decoding takes more time than any recording of this length needs")
    if ran.ended is Ended.OUTPUT or ran.returncode in _TOO_LARGE or "File too large" in ran.stderr_tail:
        return invalid("media.output_too_large", "The result grows beyond what a recording of this length needs")
    if "Cannot allocate memory" in ran.stderr_tail:
        return invalid("media.too_costly", "Decoding asks for more memory than any recording needs")
    return invalid("media.unreadable", "Nothing that plays could be made of the content")


def seconds(at_ms: int) -> str:
    """Render a place in a recording: `12.345 s`."""
    return f"{at_ms // 1000}.{at_ms % 1000:03d} s"
