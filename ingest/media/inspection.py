"""The keyframe pass: stills for the time line, loudness and peaks of the sound, black and frozen stretches, gaps.

One run over the original, which decodes keyframes only; a second one over its pictures where keyframes show nothing.
Times are those of the playable rendition, which begins with the first packet. Formats: docs/formats/looks.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from ingest.media.arguments import pass_arguments, sheet_arguments
from ingest.media.errors import Unplayable
from ingest.media.facts import Probe
from ingest.media.jumps import REJOINED, find_jumps
from ingest.media.limits import reading_limits, still_limits
from ingest.media.pass_report import PassReport, Track
from ingest.media.peaks import SAMPLE_RATE, Peaks
from ingest.media.plan import RenditionPlan, plan
from ingest.media.running import failure
from ingest.media.sandbox import OUT, Hooks
from ingest.media.supervise import Ended, Ran
from ingest.media.tools import Toolbox

Depth = Literal["keyframes", "whole"]

BLACK_MS: Final = 1000
FREEZE_MS: Final = 4000
SILENCE_MS: Final = 3000
"""From which length on a stretch is told."""
MOST_STILLS: Final = 600
LONG_SIDE: Final = 160
SHORT_SIDE: Final = 90
_LEAST_STEP_MS: Final = 1000
_UNKNOWN_STEP_MS: Final = 5000
# Enough to see that a picture stands still or is black, and no more work than that where every frame is a keyframe.
_LOOK_EVERY_S: Final = "0.5"
_SPARSE_MS: Final = 60_000
_SHORT_MS: Final = 5000
_UNEQUAL_MS: Final = 1000
# Elementary streams, and a container that stores no presentation times.
_TIMELESS: Final = frozenset(("h264", "hevc", "h263", "m4v", "mpegvideo", "mjpeg"))
_ORDERLESS: Final = frozenset(("avi",))
_FEW_COLUMNS: Final = 10
_MANY_COLUMNS: Final = 20
_SHEET: Final = "sprite.jpg"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Stills laid out in rows, all of one size. Units: pixels, milliseconds."""

    path: Path
    columns: int
    width: int
    height: int
    at_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a pass found, as JSON without floats, and the files that it made. `recipe` is enough to make them again."""

    found: dict[str, Any]
    sheet: Sheet | None
    peaks: Path | None
    recipe: dict[str, Any]


@dataclass(slots=True)
class _Pass:
    """One run: what it was asked for, what it said, how it ended; `stills` pictures lie in `raw`."""

    arguments: list[str]
    report: PassReport
    peaks: Peaks
    ran: Ran
    raw: Path
    stills: int

    @property
    def is_whole(self) -> bool:
        return self.ran.ended is Ended.EXIT and self.ran.returncode == 0


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is inspected, and with what."""

    source: Path
    toolbox: Toolbox
    out: Path
    probe: Probe
    chosen: RenditionPlan
    duration_ms: int | None
    on_progress: Callable[[int], None] | None
    should_stop: Callable[[], bool] | None


def inspect(
    source: Path,
    *,
    toolbox: Toolbox,
    out: Path,
    probe: Probe,
    duration_ms: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Inspection:
    """Look through a recording, and leave sprite sheet and peaks in the folder `out`.

    Reads the file at most twice. `duration_ms` is that of the playable rendition, where it is known better than from
    the probe.
    Raises: Unplayable when nothing could be read, MediaTimeout, MediaStopped, MediaKilled, StorageFull, ToolMissing,
        SandboxUnavailable.
    """
    chosen = plan(probe)
    if chosen.video is None and not chosen.audio:
        raise Unplayable("The file has no picture or sound to inspect", reason="media.no_streams")
    length_ms = duration_ms or probe.duration_ms
    subject = _Subject(source, toolbox, out, probe, chosen, length_ms, on_progress, should_stop)
    depth: Depth = "whole" if _is_timeless(probe) else "keyframes"
    seen = first = _run(subject, depth=depth, has_sound=bool(chosen.audio), stills="stills.yuv")
    runs = [first]
    closer: Depth = "whole" if chosen.video is not None and _is_sparse(subject, first) else depth
    if closer != depth or (chosen.video is not None and chosen.audio and not first.is_whole):
        # More of the pictures; without the sound, which may be what stopped the first run.
        second = _run(subject, depth=closer, has_sound=False, stills="stills-again.yuv")
        runs.append(second)
        if second.stills > first.stills or (second.is_whole and not first.is_whole):
            seen, depth = second, closer
    if not seen.stills and not any(track.packets for track in seen.report.tracks) and not first.peaks.duration_ms:
        reason = failure(first.ran)
        raise Unplayable(reason.message, reason=reason.code)
    sheet, sheet_recipe = _sheet(subject, seen)
    for each in runs:
        each.raw.unlink(missing_ok=True)
    peaks = _peaks(out, first)
    jumps = _jumps(subject, seen) if len(runs) == 1 else []
    found = _found(seen, sound=first, sheet=sheet, depth=depth, jumps=jumps) | {"has_peaks": peaks is not None}
    arguments = [["ffmpeg", *each.arguments] for each in runs] + sheet_recipe
    return Inspection(found, sheet, peaks, {"tool": toolbox.ffmpeg.version, "arguments": arguments})


def still_size(chosen: RenditionPlan) -> tuple[int, int]:
    """Return width and height of a still: of the picture's shape, about 160 x 90, even."""
    longer, shorter = max(chosen.width, chosen.height, 1), max(min(chosen.width, chosen.height), 1)
    scale = min(LONG_SIDE / longer, SHORT_SIDE / shorter, 1.0)
    width, height = (max(2, int(side * scale) // 2 * 2) for side in (chosen.width, chosen.height))
    return width, height


def _run(subject: _Subject, *, depth: Depth, has_sound: bool, stills: str) -> _Pass:
    chosen = subject.chosen
    video = None if chosen.video is None else chosen.video.index
    audio = chosen.audio[0].index if chosen.audio else None
    packets = [("video", video), ("audio", audio if has_sound else None)]
    report = PassReport(
        tuple(Track(kind) for kind, index in packets if index is not None),
        duration_ms=subject.duration_ms,
        on_progress=subject.on_progress if has_sound or not chosen.audio else None,
        most_pictures=MOST_STILLS,
    )
    outputs: list[tuple[int, str, dict[str, Any]]] = []
    if video is not None:
        outputs.append((video, f"{OUT}/{stills}", _picture_options(subject)))
    if audio is not None and has_sound:
        outputs.append((audio, "pipe:1", _sound_options()))
    arguments = pass_arguments(
        subject.probe.format_name,
        packets=[index for _, index in packets if index is not None],
        before={"skip_frame": "nokey"} if depth == "keyframes" else {},
        outputs=outputs,
    )
    raw = subject.out / stills
    raw.unlink(missing_ok=True)
    size_bytes = _still_bytes(subject.chosen)
    peaks = Peaks()
    ran = subject.toolbox.sandbox.run(
        subject.toolbox.ffmpeg.path,
        arguments,
        limits=replace(reading_limits(subject.probe, is_decoded=True), file_bytes=size_bytes * (MOST_STILLS + 1)),
        source=subject.source,
        out=subject.out,
        hooks=Hooks(on_block=peaks.feed, on_error_line=report.take, should_stop=subject.should_stop),
        is_background=True,
    )
    report.close()
    count = raw.stat().st_size // size_bytes if raw.is_file() and not raw.is_symlink() else 0
    return _Pass(arguments, report, peaks, ran, raw, min(count, len(report.pictures_ms)))


def _picture_options(subject: _Subject) -> dict[str, Any]:
    """Look at a picture every half second, and keep one for each place on the sheet, evenly by time."""
    width, height = still_size(subject.chosen)
    step_ms = max(_LEAST_STEP_MS, -(-subject.duration_ms // MOST_STILLS)) if subject.duration_ms else _UNKNOWN_STEP_MS
    chain = (
        _every(_LOOK_EVERY_S),
        f"blackdetect=d={BLACK_MS // 1000}:pix_th=0.1",
        f"freezedetect=n=0.002:d={FREEZE_MS // 1000}",
        _every(f"{step_ms // 1000}.{step_ms % 1000:03d}"),
        f"scale={width}:{height}",
        "setsar=1",
        "showinfo=checksum=0",
    )
    return {
        "filter:v": ",".join(chain),
        "fps_mode": "passthrough",
        "frames:v": MOST_STILLS,
        "f": "rawvideo",
        "pix_fmt": "yuv420p",
    }


def _every(seconds: str) -> str:
    return f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,{seconds})'"


def _sound_options() -> dict[str, Any]:
    chain = (
        "aresample=async=1",  # silence takes the place of missing sound, as in the playable rendition
        "ebur128=framelog=verbose:peak=true",
        f"aformat=sample_fmts=s16:sample_rates={SAMPLE_RATE}:channel_layouts=mono",
        f"silencedetect=n=-50dB:d={SILENCE_MS // 1000}",
    )
    return {"filter:a": ",".join(chain), "f": "s16le"}


def _still_bytes(chosen: RenditionPlan) -> int:
    width, height = still_size(chosen)
    return width * height * 3 // 2


def _span_ms(subject: _Subject, seen: _Pass) -> int:
    return max((track.end_ms for track in seen.report.tracks), default=0) or subject.duration_ms or 0


def _is_timeless(probe: Probe) -> bool:
    """Whether pictures have no times of their own: they follow from their number, so that none may be left out."""
    video = probe.video
    is_reordered = video is not None and video.is_reordered
    return probe.format_name in _TIMELESS or (probe.format_name in _ORDERLESS and is_reordered)


def _is_sparse(subject: _Subject, seen: _Pass) -> bool:
    """Whether keyframes show too little: none, one for a whole recording, or less than one a minute."""
    span_ms = _span_ms(subject, seen)
    return seen.stills == 0 or (seen.stills == 1 and span_ms > _SHORT_MS) or span_ms > seen.stills * _SPARSE_MS


def _sheet(subject: _Subject, seen: _Pass) -> tuple[Sheet | None, list[list[str]]]:
    if not seen.stills:
        return None, []
    width, height = still_size(subject.chosen)
    columns = min(seen.stills, _FEW_COLUMNS if seen.stills <= _FEW_COLUMNS**2 else _MANY_COLUMNS)
    arguments = sheet_arguments(
        width=width, height=height, columns=columns, rows=-(-seen.stills // columns), output=_SHEET
    )
    path = subject.out / _SHEET
    path.unlink(missing_ok=True)
    subject.toolbox.sandbox.run(
        subject.toolbox.ffmpeg.path,
        arguments,
        limits=still_limits(),
        source=seen.raw,
        out=subject.out,
        hooks=Hooks(should_stop=subject.should_stop),
    )
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        return None, []
    sheet = Sheet(path, columns, width, height, tuple(seen.report.pictures_ms[: seen.stills]))
    return sheet, [["ffmpeg", *arguments]]


def _peaks(out: Path, sound: _Pass) -> Path | None:
    if not sound.peaks.duration_ms:
        return None
    path = out / "peaks.dat"
    start_ms = next((track.start_ms for track in sound.report.tracks if track.kind == "audio"), 0)
    path.write_bytes(sound.peaks.finish(start_ms=start_ms))
    return path


def _jumps(subject: _Subject, seen: _Pass) -> list[list[int]]:
    """Return where the recorder's clock jumped; only asked where what was read is not as long as what is declared."""
    declared_ms = subject.probe.duration_ms or 0
    if subject.probe.format_name not in REJOINED or abs(declared_ms - _span_ms(subject, seen)) < _UNEQUAL_MS:
        return []
    return find_jumps(
        subject.source,
        toolbox=subject.toolbox,
        probe=subject.probe,
        stream=subject.chosen.streams[0].index,
        should_stop=subject.should_stop,
    )


def _found(seen: _Pass, *, sound: _Pass, sheet: Sheet | None, depth: str, jumps: list[list[int]]) -> dict[str, Any]:
    tracks = {track.kind: track for report in (sound.report, seen.report) for track in report.tracks}
    sprite: dict[str, Any] | None = None
    if sheet is not None:
        sprite = {
            "columns": sheet.columns,
            "width": sheet.width,
            "height": sheet.height,
            "at_ms": list(sheet.at_ms),
        }
    gaps = tracks["video"].gaps() if "video" in tracks else []
    sound_gaps = tracks["audio"].gaps() if "audio" in tracks else []
    black = without(seen.report.black, gaps, least_ms=BLACK_MS)
    return {
        "depth": depth,
        "is_whole": seen.is_whole,
        "spans": {kind: [max(0, track.start_ms), track.end_ms] for kind, track in tracks.items() if track.packets},
        "sprite": sprite,
        "black": black,
        "freeze": without(seen.report.freeze, [*gaps, *black], least_ms=FREEZE_MS),
        "silence": without(sound.report.silence, sound_gaps, least_ms=SILENCE_MS),
        "gaps": gaps,
        "sound_gaps": sound_gaps,
        "jumps": jumps,
        "loudness": sound.report.loudness or None,
    }


def without(places: list[list[int]], holes: list[list[int]], *, least_ms: int) -> list[list[int]]:
    """Return what is left of stretches when others are cut out of them; what is shorter than `least_ms` is dropped."""
    left = places
    for begin, end in holes:
        left = [
            part
            for from_ms, to_ms in left
            for part in ([from_ms, min(to_ms, begin)], [max(from_ms, end), to_ms])
            if part[1] > part[0]
        ]
    return [part for part in left if part[1] - part[0] >= least_ms]
