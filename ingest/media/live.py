"""Encoding in segments that play as soon as each is finished, the sought one first; then one MP4 of them all.

ffmpeg runs through the recording and starts anew where somebody wants to look; what is left out is filled in later.
Segments of separate runs must fit together to the picture, so that none is missing and none comes twice:

1. A run that begins in the middle begins a little early, and its first segment is not kept: it may lack pictures that
   can only be decoded with what came before.
2. Where a run comes to a segment that is there already, it makes it once more, and the times of the pictures are
   compared. Where they differ, this recording cannot be sought in, and is encoded in one run (`LiveUnfit`).
3. The sound of the MP4 is made from the source in one go.

Only the source of the recording is read; where segments are kept is the caller's (`Shelf`).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.kernel.findings import Finding, invalid
from ingest.media.allowed import MAX_DURATION_MS
from ingest.media.arguments import convert_arguments, join_arguments
from ingest.media.encoding import joined_options, live_options
from ingest.media.errors import MediaError, MediaStopped, Unplayable
from ingest.media.facts import Probe
from ingest.media.limits import conversion_limits
from ingest.media.live_state import LiveState
from ingest.media.plan import RenditionPlan
from ingest.media.renditions import Rendition, judged, playable_arguments
from ingest.media.running import Observer, failure
from ingest.media.sandbox import Hooks
from ingest.media.segments import (
    INIT,
    SEGMENT_S,
    TICKS_PER_S,
    clip_last_picture,
    decoding_head,
    first_time_us,
    picture_times,
    read_picture_times,
    segment_at,
    segment_count,
    segment_name,
    segment_start,
)
from ingest.media.supervise import Ended, Ran
from ingest.media.tools import Toolbox

_ASK_EVERY_S: Final = 0.4
_NEAR: Final = 3
"""A segment that will come this soon anyway is not worth a new run."""
_SETTLED_SEGMENTS: Final = 2
_SETTLED_S: Final = 3.0
"""What a run is left alone for, so that two people who look at two places both get something."""
_EARLY_S: Final = (1, 5, 20)
"""How much earlier than what is wanted a run begins to give pictures, at the first try and the next ones."""
_BLIND_S: Final = (5, 20, 60)
"""How much earlier than that it begins to decode, in a container that does not tell where keyframes are."""
_SIGHTED: Final = frozenset(("mov", "matroska", "avi"))
_LATE_TICKS: Final = TICKS_PER_S // 4
_MOST_EDGES: Final = 1000
_MOST_RUNS: Final = 1000
_MOST_SEGMENTS: Final = MAX_DURATION_MS // (1000 * SEGMENT_S)
_MOST_PLACES: Final = 100


class LiveUnfit(MediaError):
    """This recording cannot be encoded in segments that fit together; encode it in one run."""

    code = "live.unfit"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where finished segments are kept, and what is wanted of them.

    `put` makes a file readable under a name at once and may move it; what has that name already stays. `wanted` returns
    the number of the segment that somebody waits for. `note` keeps the state. `report` is told progress in permille.
    """

    put: Callable[[str, Path], None]
    open: Callable[[str], BinaryIO]
    wanted: Callable[[], int | None]
    note: Callable[[LiveState], None]
    report: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a run begins: the segment from whose start it counts (None: at the beginning of the recording), the first
    moment of which it gives pictures, and the one from which it decodes. Units: ticks."""

    anchor: int | None = None
    shown: int = 0
    read: int = 0


@dataclass(slots=True)
class _Run:
    """One run of ffmpeg.

    `skips`: how many segments are still not to be kept. `is_sure`: what is between two of its segments is not there.
    `is_closed`: it has come to what is there already; `is_called_away`: somebody wants to look elsewhere.
    """

    goal: int
    start: _Start
    folder: Path
    began: float
    seen: Observer
    files: int = 0
    kept: int = 0
    skips: int = 0
    last: int | None = None
    is_sure: bool = False
    is_closed: bool = False
    is_called_away: bool = False
    bytes: int = 0


class LiveEncode:
    """The encode of one recording. `done` holds the numbers of the segments that are on the shelf already."""

    def __init__(
        self,
        source: Path,
        *,
        toolbox: Toolbox,
        out: Path,
        probe: Probe,
        chosen: RenditionPlan,
        shelf: Shelf,
        state: LiveState,
        done: set[int],
    ) -> None:
        """Prepare to go on from `state`."""
        self._source, self._toolbox, self._out = source, toolbox, out
        self._probe, self._chosen, self._shelf = probe, chosen, shelf
        self._limits = conversion_limits(probe, chosen)
        self.state, self.done = state, done
        self._tries: dict[int, int] = {}
        self._asked = 0.0
        rate = probe.video.rate if probe.video is not None else Fraction(0)
        self._usual_ticks = max(_LATE_TICKS, int(2 * TICKS_PER_S / rate) if rate else 0)

    def encode(self) -> None:
        """Make every segment.

        Raises: LiveUnfit, Unplayable (too costly, too large), MediaTimeout, MediaKilled, StorageFull, ToolMissing,
            SandboxUnavailable, and what the shelf raises.
        """
        goal: int | None = 0
        while (goal := self._next_goal()) is not None:
            if self.state.runs >= _MOST_RUNS:
                raise LiveUnfit("Too many runs")
            self._run(goal)
        self._shelf.note(self.state)

    def join(self) -> Rendition:
        """Return one MP4 of all segments, with the sound of the source. Raises: as `encode`."""
        chosen, path = self._chosen, self._out / "playable.mp4"
        arguments = join_arguments(
            self._probe.format_name,
            audio=[track.index for track in chosen.audio],
            output=path.name,
            options=joined_options(chosen),
            from_us=self._first_time_us(),
        )
        ran = self._toolbox.sandbox.run(
            self._toolbox.ffmpeg.path,
            arguments,
            limits=self._limits,
            source=self._source,
            out=self._out,
            hooks=Hooks(feed=self._segments(), on_error_line=None, should_stop=self._beat),
            is_background=True,
        )
        if ran.returncode != 0:
            raise LiveUnfit("The segments cannot be joined", told=ran.stderr_tail[-300:])
        return self._judged(path, ran)

    def _first_time_us(self) -> int:
        with self._shelf.open(INIT) as head, self._shelf.open(segment_name(min(self.done))) as segment:
            return first_time_us(head.read(), segment.read())

    def _segments(self) -> Iterator[BinaryIO]:
        yield self._shelf.open(INIT)
        for number in sorted(self.done):
            yield self._shelf.open(segment_name(number))

    def _judged(self, path: Path, ran: Ran) -> Rendition:
        state = self.state
        seen = Observer(self._probe.duration_ms, self._probe.size_bytes)
        seen.complaints, seen.places_ms = state.complaints, sorted(state.places_ms)
        if state.is_cut_off:
            ran = Ran(1, Ended.EXIT, b"", ran.stderr_tail, ran.stderr_lines, ran.wall_ms)
        made = judged(
            path,
            ran,
            toolbox=self._toolbox,
            probe=self._probe,
            chosen=self._chosen,
            seen=seen,
            arguments=playable_arguments(self._probe, self._chosen),
        )
        if isinstance(made, Finding):
            raise LiveUnfit(made.message)
        made.recipe["live"] = {"segment_s": SEGMENT_S, "segments": len(self.done), "runs": state.runs}
        return made

    # ---- where to go on ------------------------------------------------------------------------------------------

    def _next_goal(self) -> int | None:
        """Return the first segment of the next run: the wanted one, else the first that is missing; None when done."""
        wished = self._wish()
        if wished is not None and self.state.origin is not None:
            return wished
        number = 0
        while number in self.done or number in self.state.empty:
            number += 1
        return None if self.state.end is not None and number >= self.state.end else number

    def _wish(self) -> int | None:
        """Return the wanted segment where a run of its own can bring it."""
        number = self._shelf.wanted()
        if number is None or number in self.done or self.state.is_empty(number):
            return None
        listed = self.state.listed
        if listed is None or number >= listed or self._tries.get(number, 0) >= len(_EARLY_S):
            return None
        return number

    def _start(self, goal: int) -> _Start:
        tries = self._tries.get(goal, 0)
        origin = self.state.origin
        if origin is None or goal == 0 or tries >= len(_EARLY_S):
            return _Start()
        # Three pictures are the least that makes sure that there is one to throw away.
        rate = self._probe.video.rate if self._probe.video is not None else Fraction(0)
        early = max(Fraction(_EARLY_S[tries]), 3 / rate if rate else Fraction(0))
        at = segment_start(goal, origin=origin) - int(early * TICKS_PER_S)
        if at <= origin:
            return _Start()
        blind_s = 0 if self._probe.format_name in _SIGHTED else _BLIND_S[tries]
        return _Start(segment_at(at, origin=origin), at, max(0, at - blind_s * TICKS_PER_S))

    # ---- one run -------------------------------------------------------------------------------------------------

    def _run(self, goal: int) -> None:
        self.state.runs += 1
        self._shelf.note(self.state)
        start, folder = self._start(goal), self._out / f"run-{self.state.runs}"
        folder.mkdir()
        seen = Observer(None, self._probe.size_bytes, from_ms=start.read * 1000 // TICKS_PER_S)
        run = _Run(goal, start, folder, time.monotonic(), seen)
        ran = self._ran(run)
        self._collect(run)
        self._listen(run)
        if ran is not None and not run.is_closed:
            self._came_to_end(run, ran)
        if goal not in self.done and (not run.is_called_away or (run.last is not None and run.last >= goal)):
            self._tries[goal] = self._tries.get(goal, 0) + 1
        self._shelf.note(self.state)

    def _ran(self, run: _Run) -> Ran | None:
        """Run ffmpeg; return how it ended, None where it was stopped because there is something better to do."""
        chosen, start = self._chosen, run.start
        before: dict[str, Any] = {"copyts": None, "start_at_zero": None}
        anchor = None
        if start.anchor is not None:
            at_us = start.read * 1_000_000 // TICKS_PER_S
            before |= {"ss": f"{at_us // 1_000_000}.{at_us % 1_000_000:06d}", "noaccurate_seek": None}
            anchor = segment_start(start.anchor, origin=self.state.origin or 0)
        arguments = convert_arguments(
            self._probe.format_name,
            streams=[stream.index for stream in (chosen.video, *chosen.audio[:1]) if stream is not None],
            output="index.m3u8",
            options=live_options(chosen, anchor=anchor, from_ticks=start.shown),
            before=before,
            has_progress=True,
        )
        heard = run.seen.hooks()
        hooks = Hooks(on_line=heard.on_line, on_error_line=heard.on_error_line, should_stop=lambda: self._turn(run))
        try:
            ran = self._toolbox.sandbox.run(
                self._toolbox.ffmpeg.path,
                arguments,
                limits=self._limits,
                source=self._source,
                out=run.folder,
                hooks=hooks,
                is_background=True,
            )
        except MediaStopped:
            if run.is_closed or run.is_called_away:
                return None
            raise
        if ran.ended is not Ended.EXIT:
            reason = failure(ran)
            raise Unplayable(reason.message, reason=reason.code)
        return ran

    def _turn(self, run: _Run) -> bool:
        """Take what is finished; return whether the run is to be stopped. Called ten times a second."""
        self._collect(run)
        if run.start.anchor is not None and run.seen.complaints and not run.seen.has_begun:
            # It has put nothing out yet: what it complains of may lie before what it was asked for.
            self.state.is_doubtful = True
            run.seen.complaints = 0
        now = time.monotonic()
        if not run.is_closed and now - self._asked >= _ASK_EVERY_S:
            self._asked = now
            self._beat()
            run.is_called_away = self._is_better_elsewhere(run, now)
        return run.is_closed or run.is_called_away

    def _beat(self) -> bool:
        total = self.state.listed or len(self.done) + 1
        self._shelf.report(min(990, len(self.done) * 990 // max(total, 1)))
        return False

    def _is_better_elsewhere(self, run: _Run, now: float) -> bool:
        wished = self._wish()
        if wished is None or self.state.origin is None:
            return False
        if run.kept < _SETTLED_SEGMENTS and now - run.began < _SETTLED_S:
            return False
        here = run.goal if run.last is None else max(run.last + 1, run.goal)
        return not here <= wished <= here + _NEAR

    def _collect(self, run: _Run) -> None:
        """Take the finished segments of a run, in their order."""
        while not run.is_closed and (path := run.folder / segment_name(run.files)).is_file():
            if path.is_symlink():
                raise LiveUnfit("A segment is no plain file")
            run.files += 1
            run.bytes += path.stat().st_size
            if run.bytes > self._limits.file_bytes:
                raise Unplayable(
                    "The result grows beyond what a recording of this length needs", reason="media.output_too_large"
                )
            self._take(run, path)
            path.unlink(missing_ok=True)

    def _take(self, run: _Run, path: Path) -> None:
        times = picture_times(path)
        if not times:
            return
        if self.state.origin is None:
            self._begin(run, times)
        origin = self.state.origin or 0
        number = segment_at(times[0], origin=origin)
        if number > _MOST_SEGMENTS:
            raise LiveUnfit("The times of the pictures go beyond what a recording may last")
        if run.last is None:
            # The first picture of a run in the middle was given another time: what is in that segment is not whole,
            # and where it is alone in it, it is missing in the next.
            run.skips = 0 if run.start.anchor is None else 1 if len(times) > 1 else 2
            self._compare_heads(run)
        if (run.last is not None and number <= run.last) or segment_at(times[-1], origin=origin) != number:
            raise LiveUnfit("Segments do not begin where they must", segment=number)
        if run.last is not None and run.is_sure:
            self.state.empty |= {between for between in range(run.last + 1, number) if between not in self.done}
        run.last = number
        if run.skips:
            run.skips -= 1
            run.is_sure = len(times) > 1
            return
        run.is_sure = True
        self._keep(run, number, times, path)

    def _begin(self, run: _Run, times: tuple[int, ...]) -> None:
        """The first picture of all is where segments are counted from."""
        if run.start.anchor is not None:
            raise LiveUnfit("The first run must begin at the start")
        self.state.origin = times[0]
        self.state.count = segment_count(self._probe, origin=times[0])

    def _compare_heads(self, run: _Run) -> None:
        """Every run must write the same head: it tells a player how to decode all segments."""
        head = run.folder / INIT
        if not self.done:
            self._shelf.put(INIT, head)
            return
        with self._shelf.open(INIT) as kept:
            if decoding_head(kept.read()) != decoding_head(head.read_bytes()):
                raise LiveUnfit("Two runs give segments with different heads")

    def _keep(self, run: _Run, number: int, times: tuple[int, ...], path: Path) -> None:
        if number in self.done:
            with self._shelf.open(segment_name(number)) as kept:
                size_bytes = kept.seek(0, 2)
                kept.seek(0)
                if read_picture_times(kept, size_bytes) != times:
                    raise LiveUnfit("A segment that was made twice has other pictures", segment=number)
            # A run that had to come from far away passes by what is there; any other has closed its gap.
            run.is_closed = number >= run.goal
            return
        self._listen(run)
        self._note_edges(number, times, path)
        self._shelf.put(segment_name(number), path)
        self.done.add(number)
        run.kept += 1
        if len(self.done) == 1:
            self._shelf.note(self.state)

    def _note_edges(self, number: int, times: tuple[int, ...], path: Path) -> None:
        """Keep where a segment begins late or ends early, for beside it is a hole in the recording."""
        state, start = self.state, segment_start(number, origin=self.state.origin or 0)
        usual, before = self._usual_ticks, len(state.late) + len(state.short)
        if before >= _MOST_EDGES:
            return
        if times[0] - start > usual:
            state.late[number] = times[0] - start
        if clip_last_picture(path, longest=2 * usual, usual=usual // 2):
            state.short[number] = times[-1] + usual // 2 - start
        if len(state.late) + len(state.short) > before:
            self._shelf.note(state)

    def _listen(self, run: _Run) -> None:
        """Keep what the run complained of before the segment that it is about can be seen to be there."""
        seen, state = run.seen, self.state
        if seen.complaints:
            state.complaints += seen.complaints
            state.places_ms = sorted({*state.places_ms, *seen.places_ms})[:_MOST_PLACES]
            seen.complaints = 0
            seen.places_ms.clear()
            self._shelf.note(state)

    def _came_to_end(self, run: _Run, ran: Ran) -> None:
        """A run that was not stopped has come to the end of the source, or of what can be read of it."""
        if self.state.origin is None:
            told = invalid("media.unreadable", "Nothing that plays could be made of the content")
            raise LiveUnfit(told.message)
        if run.last is not None and run.is_sure:
            self.state.end = run.last + 1
            self.state.is_cut_off = self.state.is_cut_off or ran.returncode != 0
        elif run.start.anchor is None:
            self.state.end = max(self.done, default=-1) + 1
