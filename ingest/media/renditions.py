"""Make what plays: a remux or encode as MP4, sound as M4A, a view of a photo, a poster.

The exit code is not trusted: the result is looked at again, and its timeline held against what the source declares.
Originals are only read. The caller stores the result and computes its digests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from archive.kernel.findings import Finding, invalid
from ingest.media.allowed import FORMATS
from ingest.media.arguments import convert_arguments
from ingest.media.boxes import Track, tracks
from ingest.media.encoding import playable_options, poster_options, view_options
from ingest.media.errors import Unplayable
from ingest.media.facts import Probe
from ingest.media.limits import conversion_limits, still_limits
from ingest.media.photos import develop
from ingest.media.plan import PlanKind, RenditionPlan, plan
from ingest.media.probe import probe as look_at
from ingest.media.running import Observer, complaint_findings, failure, seconds
from ingest.media.sandbox import Limits
from ingest.media.supervise import Ended, Ran
from ingest.media.tools import Toolbox

_SHORTFALL_MS: Final = 700
_MOST_GAP_FINDINGS: Final = 20


class RenditionKind(StrEnum):
    """What a rendition is for."""

    PLAYABLE = "playable"
    VIEW = "view"
    POSTER = "poster"


@dataclass(frozen=True, slots=True)
class Rendition:
    """A file that was made. Units: bytes, milliseconds, pixels. `findings` tell damage of the source, with its place.

    `probe` is what the result was found to be; `plan` how it was made; `recipe` is enough to make it again.
    """

    kind: RenditionKind
    path: Path
    media_type: str
    probe: Probe
    plan: RenditionPlan | None
    complaints: int
    findings: tuple[Finding, ...]
    recipe: dict[str, Any]

    @property
    def size_bytes(self) -> int:
        """The size of the file."""
        return self.probe.size_bytes

    @property
    def is_damaged(self) -> bool:
        """Whether anything is missing or broken in the source."""
        return bool(self.findings)


def make_playable(
    source: Path,
    *,
    toolbox: Toolbox,
    out: Path,
    probe: Probe,
    on_progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Rendition:
    """Make the rendition that browsers play, in the folder `out`; copy what can be copied.

    A copy that does not play is followed by an encode, and an encode that fails on the sound by one without it.
    Raises: Unplayable (with `reason`), MediaTimeout, MediaStopped, MediaKilled, StorageFull, ToolMissing,
        SandboxUnavailable.
    Idempotent: yes; an older result in `out` is replaced.
    """
    seen = _observer(probe, on_progress=on_progress, should_stop=should_stop)
    first = plan(probe)
    if first.reason is not None:
        raise _unplayable(first.reason)
    reason = first.reason
    for chosen in _attempts(probe, first):
        seen.complaints, seen.first_complaint = 0, ""
        seen.places_ms.clear()
        made = _attempt(source, toolbox=toolbox, out=out, probe=probe, chosen=chosen, seen=seen)
        if isinstance(made, Rendition):
            seen.say(1000)
            return made
        reason = made
        if reason.code in {"media.too_costly", "media.output_too_large"}:
            break
    raise _unplayable(reason)


def make_poster(
    source: Path,
    *,
    toolbox: Toolbox,
    out: Path,
    probe: Probe,
    should_stop: Callable[[], bool] | None = None,
) -> Rendition | None:
    """Make a still of the recording in the folder `out`; None where it has no moving picture that can be read.

    A keyframe near the start, but not the first, which is often black; the first frame where that gives nothing.
    Raises: Unplayable when no frame can be decoded (a copy of the video then shows nothing either), and as
        `make_playable`.
    """
    chosen = plan(probe)
    if chosen.kind not in {PlanKind.REMUX, PlanKind.ENCODE} or probe.video is None:
        return None
    seen = _observer(probe, on_progress=None, should_stop=should_stop)
    streams = [probe.video.index]
    reason = invalid("media.unreadable", "No frame can be decoded")
    for before in _poster_places(probe):
        arguments = convert_arguments(
            probe.format_name, streams=streams, output="poster.jpg", options=poster_options(chosen), before=before
        )
        ran = _run(arguments, source, toolbox=toolbox, out=out, limits=still_limits(), seen=seen)
        found = _looked_at(out / "poster.jpg", toolbox=toolbox)
        if found is not None:
            recipe = recipe_of(toolbox, arguments, chosen)
            return Rendition(RenditionKind.POSTER, out / "poster.jpg", "image/jpeg", found, chosen, 0, (), recipe)
        reason = failure(ran)
    raise _unplayable(reason)


def _attempts(probe: Probe, first: RenditionPlan) -> list[RenditionPlan]:
    attempts = [first]
    if any(stream.action == "copy" for stream in first.streams):
        attempts.append(plan(probe, may_copy=False))
    if first.video is not None and first.audio:
        attempts.append(plan(probe, may_copy=False, has_audio=False))
    return attempts


def _attempt(
    source: Path, *, toolbox: Toolbox, out: Path, probe: Probe, chosen: RenditionPlan, seen: Observer
) -> Rendition | Finding:
    """Return the rendition, or why this plan gave none."""
    if chosen.kind is PlanKind.PHOTO:
        return _photo(source, toolbox=toolbox, out=out, probe=probe, chosen=chosen, seen=seen)
    name = "playable.m4a" if chosen.kind is PlanKind.AUDIO else "playable.mp4"
    arguments = playable_arguments(probe, chosen, name)
    limits = conversion_limits(probe, chosen)
    is_background = chosen.kind is PlanKind.ENCODE
    ran = _run(arguments, source, toolbox=toolbox, out=out, limits=limits, seen=seen, is_background=is_background)
    return judged(out / name, ran, toolbox=toolbox, probe=probe, chosen=chosen, seen=seen, arguments=arguments)


def playable_arguments(probe: Probe, chosen: RenditionPlan, name: str = "playable.mp4") -> list[str]:
    """Return the arguments that make what plays in one run."""
    return convert_arguments(
        probe.format_name,
        streams=[stream.index for stream in chosen.streams],
        output=name,
        options=playable_options(chosen),
        has_progress=True,
    )


def judged(
    path: Path,
    ran: Ran,
    *,
    toolbox: Toolbox,
    probe: Probe,
    chosen: RenditionPlan,
    seen: Observer,
    arguments: list[str],
) -> Rendition | Finding:
    """Return the file at `path` as the playable rendition that `ran` was to make, or why it is none.

    `seen` has heard what was complained of; `arguments` make it again, in one run.
    """
    found = _looked_at(path, toolbox=toolbox)
    timeline = tracks(path) if found is not None else ()
    if found is None or not timeline or not timeline[0].samples or ran.ended is not Ended.EXIT:
        return failure(ran)
    is_copied = chosen.kind is PlanKind.REMUX
    findings = [*_shortfalls(probe, chosen, timeline), *_gaps(timeline)]
    # A copy runs ahead of its own reports: only its result tells places.
    if not is_copied or not findings:
        doing = "copying" if is_copied else "decoding"
        findings += complaint_findings(seen, doing=doing, has_place=not is_copied)
    if ran.returncode != 0 and not findings:
        findings.append(invalid("media.damaged", "The source could not be read to its end"))
    return Rendition(
        kind=RenditionKind.PLAYABLE,
        path=path,
        media_type="audio/mp4" if chosen.kind is PlanKind.AUDIO else "video/mp4",
        probe=found,
        plan=chosen,
        complaints=seen.complaints,
        findings=tuple(findings),
        recipe=recipe_of(toolbox, arguments, chosen),
    )


def _photo(
    source: Path, *, toolbox: Toolbox, out: Path, probe: Probe, chosen: RenditionPlan, seen: Observer
) -> Rendition | Finding:
    if not FORMATS[probe.format_name].through:
        return _view(source, toolbox=toolbox, out=out, probe=probe, chosen=chosen, seen=seen)
    developed = develop(source, toolbox=toolbox, out=out, probe=probe)
    if isinstance(developed, Finding):
        return developed
    second = plan(developed.probe)
    made = _view(developed.path, toolbox=toolbox, out=out, probe=developed.probe, chosen=second, seen=seen)
    if isinstance(made, Rendition):
        made.recipe["before"] = [developed.step]
    return made


def _view(
    source: Path, *, toolbox: Toolbox, out: Path, probe: Probe, chosen: RenditionPlan, seen: Observer
) -> Rendition | Finding:
    arguments = convert_arguments(
        probe.format_name,
        streams=[0],
        output="view.jpg",
        options=view_options(chosen),
        before={"noautorotate": None},
    )
    ran = _run(arguments, source, toolbox=toolbox, out=out, limits=still_limits(), seen=seen)
    found = _looked_at(out / "view.jpg", toolbox=toolbox)
    if found is None:
        return failure(ran)
    return Rendition(
        kind=RenditionKind.VIEW,
        path=out / "view.jpg",
        media_type="image/jpeg",
        probe=found,
        plan=chosen,
        complaints=seen.complaints,
        findings=tuple(complaint_findings(seen, doing="decoding")),
        recipe=recipe_of(toolbox, arguments, chosen),
    )


def _run(
    arguments: list[str],
    source: Path,
    *,
    toolbox: Toolbox,
    out: Path,
    limits: Limits,
    seen: Observer,
    is_background: bool = False,
) -> Ran:
    for leftover in ("playable.mp4", "playable.m4a", "view.jpg", "poster.jpg"):
        if arguments[-1].endswith("/" + leftover):
            (out / leftover).unlink(missing_ok=True)
    return toolbox.sandbox.run(
        toolbox.ffmpeg.path,
        arguments,
        limits=limits,
        source=source,
        out=out,
        hooks=seen.hooks(),
        is_background=is_background,
    )


def _looked_at(path: Path, *, toolbox: Toolbox) -> Probe | None:
    """Return what the result really is, or None when it is nothing that plays."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size == 0:
        return None
    found = look_at(path, toolbox=toolbox)
    return found if found.streams and not found.findings else None


def _shortfalls(probe: Probe, chosen: RenditionPlan, timeline: tuple[Track, ...]) -> list[Finding]:
    """Return where a stream ends well before the end that its container declares."""
    if not probe.is_duration_stated:
        return []
    declared = {stream.index: stream.duration_ms for stream in probe.streams}
    longest_ms = max(track.end_ms for track in timeline)
    findings: list[Finding] = []
    for planned, track in zip(chosen.streams, timeline, strict=False):
        stated_ms, lasted_ms = declared.get(planned.index), track.end_ms - track.start_ms
        if stated_ms is None and track.end_ms == longest_ms:
            stated_ms, lasted_ms = probe.duration_ms, track.end_ms  # the container's begins with the first of anything
        if stated_ms is not None and stated_ms - lasted_ms > _SHORTFALL_MS:
            at = seconds(track.end_ms)
            message = f"The {planned.kind} ends at {at}, although {seconds(stated_ms)} are declared"
            findings.append(invalid("media.damaged", message, where=at))
    return findings


def _gaps(timeline: tuple[Track, ...]) -> list[Finding]:
    found = [
        invalid(
            "media.gap",
            f"Nothing was recorded from {seconds(gap.from_ms)} to {seconds(gap.to_ms)}",
            seconds(gap.from_ms),
        )
        for track in timeline[:1]
        for gap in track.gaps
    ]
    if len(found) > _MOST_GAP_FINDINGS:
        more = len(found) - _MOST_GAP_FINDINGS
        return [*found[:_MOST_GAP_FINDINGS], invalid("media.gap", f"{more} more gaps follow")]
    return found


def _poster_places(probe: Probe) -> list[dict[str, Any]]:
    at_ms = min((probe.duration_ms or 0) // 10, 5000)
    places: list[dict[str, Any]] = [{}]
    if at_ms:
        places.insert(0, {"ss": f"{at_ms // 1000}.{at_ms % 1000:03d}", "skip_frame": "nokey"})
    return places


def _observer(
    probe: Probe, *, on_progress: Callable[[int], None] | None, should_stop: Callable[[], bool] | None
) -> Observer:
    return Observer(probe.duration_ms, probe.size_bytes, on_progress=on_progress, should_stop=should_stop)


def recipe_of(toolbox: Toolbox, arguments: list[str], chosen: RenditionPlan) -> dict[str, Any]:
    """Return what is needed to make a rendition again: tool, arguments and plan."""
    return {"tool": toolbox.ffmpeg.version, "arguments": ["ffmpeg", *arguments], "plan": chosen.as_json()}


def _unplayable(reason: Finding | None) -> Unplayable:
    if reason is None:
        return Unplayable(reason="media.unreadable")
    return Unplayable(reason.message, reason=reason.code)
