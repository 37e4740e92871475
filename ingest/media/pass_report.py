"""What ffmpeg says on standard error while it passes over a recording: a line for each packet, and what filters find.

The lines are those of framecrc, blackdetect, freezedetect, silencedetect, ebur128 and showinfo. Memory is bounded
whatever the file makes them say. Units: milliseconds of the recording, unless named otherwise.
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ingest.media.boxes import GAP_MS

MOST_PLACES: Final = 1000
"""More places of one kind are not kept: nobody looks at them one by one."""
_MOST_STEPS: Final = 4096
_MOST_MS: Final = 1 << 50
_WORK_PERMILLE: Final = 990

_PACKET: Final = re.compile(r"(\d{1,3}), +(-?\d{1,18}), +(?:(-?\d{1,18})|NOPTS|-\d{19}), +(\d{1,18}), +\d+, 0x")
_CLOCK: Final = re.compile(r"#tb (\d{1,3}): (\d{1,9})/(\d{1,9})$")
_FILTER: Final = re.compile(r"\[(?:Parsed_)?([a-z0-9]+)(?:_\d+)? @ 0x[0-9a-f]+\] \[info\] +(.*)")
_BLACK: Final = re.compile(r"black_start:(\S+) black_end:(\S+) ")
_EDGE: Final = re.compile(r"(?:lavfi\.freezedetect\.)?(?:freeze|silence)_(start|end): (\S+)")
_PICTURE: Final = re.compile(r"n: *\d+ pts: *(-?\d{1,18}) ")
_PICTURE_CLOCK: Final = re.compile(r"config in time_base: (\d{1,9})/(\d{1,9}),")
_LOUDNESS: Final = re.compile(r" +(I|LRA|Peak): +(-?[0-9.]+|-?inf|nan) (?:LUFS|LU|dBFS)$")


@dataclass(slots=True)
class Track:
    """The timeline of one stream, from its packets in the order in which they are stored."""

    kind: str
    packets: int = 0
    start_ms: int = 0
    end_ms: int = 0
    _clock: tuple[int, int] = (0, 1)
    _steps: Counter[int] = field(default_factory=Counter)
    _wide: list[tuple[int, int, int]] = field(default_factory=list)
    _last_dts: int = 0
    _last_pts: int = 0

    def set_clock(self, numerator: int, denominator: int) -> None:
        """Take the length of a tick, as a fraction of a second."""
        self._clock = (1000 * numerator, max(1, denominator))

    def take(self, dts: int, pts: int, duration: int) -> None:
        """Take the next packet. Units: ticks."""
        self.packets += 1
        if self.packets == 1:
            self._last_pts, self.start_ms = pts, self._ms(pts)
        else:
            step = dts - self._last_dts
            if step in self._steps or len(self._steps) < _MOST_STEPS:
                self._steps[step] += 1
            if self._ms(step) > GAP_MS and len(self._wide) < MOST_PLACES:
                self._wide.append((step, self._last_pts, pts))
        self._last_dts, self._last_pts = dts, max(pts, self._last_pts)
        self.start_ms = min(self.start_ms, self._ms(pts))
        self.end_ms = max(self.end_ms, self._ms(pts + duration))

    def gaps(self) -> list[list[int]]:
        """Return where nothing was recorded: for over half a second, and over three times the usual step."""
        usual = self._steps.most_common(1)[0][0] if self._steps else 0
        return [
            [self._ms(before + usual), self._ms(after)]
            for step, before, after in self._wide
            if step > 3 * usual and after > before + usual
        ]

    def _ms(self, ticks: int) -> int:
        return max(-_MOST_MS, min(ticks * self._clock[0] // self._clock[1], _MOST_MS))


@dataclass(slots=True)
class PassReport:
    """Listens to one pass. `tracks` are the streams whose packets are told, in their order.

    `pictures_ms`: when each still stands. `loudness` in hundredths: LUFS, LU, dB of full scale.
    """

    tracks: tuple[Track, ...]
    duration_ms: int | None = None
    on_progress: Callable[[int], None] | None = None
    pictures_ms: list[int] = field(default_factory=list)
    black: list[list[int]] = field(default_factory=list)
    freeze: list[list[int]] = field(default_factory=list)
    silence: list[list[int]] = field(default_factory=list)
    loudness: dict[str, int] = field(default_factory=dict)
    most_pictures: int = MOST_PLACES
    _picture_clock: tuple[int, int] = (0, 1)
    _open: dict[str, int] = field(default_factory=dict)
    _said: int = -1

    def take(self, line: str) -> None:
        """Take one line."""
        packet = _PACKET.match(line)
        if packet is not None:
            number = int(packet[1])
            if number < len(self.tracks):
                # Some containers store no presentation times; the order of storing is the best there is.
                self.tracks[number].take(int(packet[2]), int(packet[3] or packet[2]), int(packet[4]))
                self._tell_progress(self.tracks[number].end_ms)
            return
        told = _FILTER.match(line)
        if told is not None:
            self._take_filter(told[1], told[2])
        elif line.startswith("#tb "):
            clock = _CLOCK.match(line)
            if clock is not None and int(clock[1]) < len(self.tracks):
                self.tracks[int(clock[1])].set_clock(int(clock[2]), int(clock[3]))
        elif line.startswith("    "):
            self._take_loudness(line)

    def close(self) -> None:
        """Let what has begun and not ended go on to the end of its track."""
        for name, kind, places in (("freezedetect", "video", self.freeze), ("silencedetect", "audio", self.silence)):
            begun = self._open.pop(name, None)
            end_ms = max((track.end_ms for track in self.tracks if track.kind == kind), default=0)
            if begun is not None and end_ms > begun:
                _add(places, begun, end_ms)

    def _take_filter(self, name: str, said: str) -> None:
        if name == "showinfo":
            self._take_picture(said)
        elif name == "blackdetect":
            black = _BLACK.match(said)
            if black is not None:
                _add(self.black, _ms(black[1]), _ms(black[2]))
        elif name in {"freezedetect", "silencedetect"}:
            edge = _EDGE.match(said)
            if edge is None:
                return
            at_ms = _ms(edge[2])
            if edge[1] == "start":
                self._open[name] = at_ms
            elif name in self._open:
                _add(self.freeze if name == "freezedetect" else self.silence, self._open.pop(name), at_ms)
        elif name == "ebur128" and said.startswith("Summary:"):
            self._open["ebur128"] = 0

    def _take_picture(self, said: str) -> None:
        picture = _PICTURE.match(said)
        if picture is not None and len(self.pictures_ms) < self.most_pictures:
            at_ms = int(picture[1]) * self._picture_clock[0] // self._picture_clock[1]
            self.pictures_ms.append(max(0, min(at_ms, _MOST_MS)))
        clock = _PICTURE_CLOCK.match(said)
        if clock is not None:
            self._picture_clock = (1000 * int(clock[1]), max(1, int(clock[2])))

    def _take_loudness(self, line: str) -> None:
        told = _LOUDNESS.match(line) if "ebur128" in self._open else None
        if told is None or not math.isfinite(float(told[2])):
            return
        name = {"I": "integrated_clufs", "LRA": "range_clu", "Peak": "true_peak_cdb"}[told[1]]
        self.loudness[name] = round(float(told[2]) * 100)

    def _tell_progress(self, at_ms: int) -> None:
        if self.on_progress is None or not self.duration_ms:
            return
        permille = min(_WORK_PERMILLE, max(0, at_ms) * _WORK_PERMILLE // self.duration_ms)
        if permille > self._said:
            self._said = permille
            self.on_progress(permille)


def _add(places: list[list[int]], from_ms: int, to_ms: int) -> None:
    if len(places) < MOST_PLACES and to_ms > from_ms:
        places.append([from_ms, to_ms])


def _ms(seconds: str) -> int:
    """Return seconds as milliseconds from the start; nothing before it, nothing absurd, whatever was said."""
    try:
        value = float(seconds)
    except ValueError:
        return 0
    return max(0, min(round(value * 1000), _MOST_MS)) if math.isfinite(value) else 0
