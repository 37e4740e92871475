"""Decide how a recording is made playable. Pure: a probe in, a plan out.

Copy what browsers play (H.264 yuv420p at 1 to 60 frames a second and up to 25 Mbit/s, AAC), encode only what they do
not play, each stream by itself.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, Self

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, invalid
from ingest.media.allowed import MAX_AUDIO_TRACKS, MAX_DURATION_MS, MAX_PIXELS, Kind
from ingest.media.facts import Probe, Stream, checked_fields, finding_from_json, flat_json, parse_fraction

LONG_SIDE: Final = 1920
SHORT_SIDE: Final = 1080
VIEW_SIDE: Final = 2560
_MOST_BIT_RATE: Final = 25_000_000
_LEAST_RATE: Final = Fraction(1)
_MOST_RATE: Final = Fraction(60)
_COPIED_PROFILES: Final = frozenset(("", "Baseline", "Constrained Baseline", "Main", "High", "Progressive High"))
_COPIED_PIXELS: Final = frozenset(("yuv420p", "yuvj420p"))
_COPIED_AAC: Final = frozenset(("", "LC", "HE-AAC", "HE-AACv2"))
# Raw streams carry no times of their own, and a copy would have to invent them.
_TIMELESS: Final = frozenset(("h264", "hevc"))
# AVI stores no presentation times: a copy of reordered pictures would show them in the wrong order.
_ORDERLESS: Final = frozenset(("avi",))
_SAMPLE_RATES: Final = frozenset((16000, 22050, 24000, 32000, 44100, 48000))
_FATAL: Final = frozenset(
    (
        *("media.not_media", "media.format_not_allowed", "media.codec_not_allowed", "media.no_index"),
        *("media.too_many_streams", "media.too_costly", "media.unreadable", "media.picture_too_large"),
    )
)


class PlanKind(StrEnum):
    """What will be made. `REMUX` copies the video; `ENCODE` encodes it."""

    REMUX = "remux"
    ENCODE = "encode"
    AUDIO = "audio"
    PHOTO = "photo"
    UNPLAYABLE = "unplayable"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What happens to one stream: `copy` or `encode`, and why it is encoded. `sample_rate` and `channels` for sound."""

    index: int
    kind: str
    action: str
    why: str = ""
    language: str = ""
    sample_rate: int = 0
    channels: int = 0

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        return cls(**checked_fields(cls, value))


@dataclass(frozen=True, slots=True)
class RenditionPlan:
    """How a recording becomes playable. Units: pixels, as displayed. `reason` says why nothing can be made.

    `dropped`: sound tracks that are left out of the rendition, each with the reason.
    """

    kind: PlanKind
    streams: tuple[StreamPlan, ...] = ()
    width: int = 0
    height: int = 0
    is_deinterlaced: bool = False
    is_slowed: bool = False
    orientation: int = 1
    dropped: tuple[str, ...] = ()
    reason: Finding | None = field(default=None)

    @property
    def video(self) -> StreamPlan | None:
        """The plan of the moving picture, or None."""
        return next((stream for stream in self.streams if stream.kind == "video"), None)

    @property
    def audio(self) -> tuple[StreamPlan, ...]:
        """The plans of the sound tracks."""
        return tuple(stream for stream in self.streams if stream.kind == "audio")

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value without floats."""
        return {
            "kind": self.kind.value,
            "streams": [flat_json(stream) for stream in self.streams],
            "width": self.width,
            "height": self.height,
            "is_deinterlaced": self.is_deinterlaced,
            "is_slowed": self.is_slowed,
            "orientation": self.orientation,
            "dropped": list(self.dropped),
            "reason": None if self.reason is None else self.reason.as_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        try:
            return cls(
                kind=PlanKind(value["kind"]),
                streams=tuple(StreamPlan.from_json(part) for part in value["streams"]),
                width=int(value["width"]),
                height=int(value["height"]),
                is_deinterlaced=bool(value["is_deinterlaced"]),
                is_slowed=bool(value["is_slowed"]),
                orientation=int(value["orientation"]),
                dropped=tuple(str(part) for part in value["dropped"]),
                reason=None if value["reason"] is None else finding_from_json(value["reason"]),
            )
        except (KeyError, ValueError, TypeError) as exc:
            raise InvalidInput("Not the JSON form of a rendition plan") from exc


def plan(probe: Probe, *, may_copy: bool = True, has_audio: bool = True) -> RenditionPlan:
    """Return how `probe`'s file is made playable, or why it cannot be.

    `may_copy` is False after a copy turned out not to play, `has_audio` after the sound could not be encoded.
    """
    refused = _refused(probe)
    if refused is not None:
        return RenditionPlan(PlanKind.UNPLAYABLE, reason=refused)
    if probe.kind is Kind.PHOTO:
        picture = probe.streams[0]
        turned = probe.orientation >= 5
        width, height = (picture.height, picture.width) if turned else (picture.width, picture.height)
        width, height = fitted(width, height, long_side=VIEW_SIDE, short_side=VIEW_SIDE)
        still = StreamPlan(0, "picture", "encode", why="a view for browsers")
        return RenditionPlan(PlanKind.PHOTO, (still,), width, height, orientation=probe.orientation)
    audio, dropped = _audio(probe, may_copy=may_copy)
    if not has_audio:
        audio, dropped = (), (*dropped, "the sound cannot be decoded")
    video = probe.video
    if video is None:
        if not audio:
            return RenditionPlan(PlanKind.UNPLAYABLE, reason=_nothing_to_play(dropped), dropped=dropped)
        return RenditionPlan(PlanKind.AUDIO, audio, dropped=dropped)
    why = _why_not_copied(probe, video) if may_copy else "a copy of the video does not play"
    if not why:
        copied = StreamPlan(video.index, "video", "copy", language=video.language)
        width, height = _displayed(video)
        return RenditionPlan(PlanKind.REMUX, (copied, *audio), width, height, dropped=dropped)
    encoded = StreamPlan(video.index, "video", "encode", why=why, language=video.language)
    width, height = fitted(*_displayed(video), long_side=LONG_SIDE, short_side=SHORT_SIDE)
    return RenditionPlan(
        PlanKind.ENCODE,
        (encoded, *audio),
        width,
        height,
        is_deinterlaced=video.is_interlaced,
        is_slowed=video.rate > _MOST_RATE,
        dropped=dropped,
    )


def _refused(probe: Probe) -> Finding | None:
    if probe.kind in {Kind.DOCUMENT, Kind.ARCHIVE, Kind.OTHER} and not probe.findings:
        return invalid("media.not_media", "The file is a document or an archive, which is looked into and not played")
    for finding in probe.findings:
        if finding.code in _FATAL:
            return finding
    if (probe.duration_ms or 0) > MAX_DURATION_MS:
        return invalid("media.too_long", f"The file declares a duration of {(probe.duration_ms or 0) // 1000} seconds")
    if any(stream.width * stream.height > MAX_PIXELS for stream in probe.streams):
        return invalid("media.picture_too_large", "The file declares pictures larger than any camera makes")
    if probe.kind is Kind.PHOTO and not probe.streams:
        return invalid("media.unreadable", "The picture's header is broken")
    return None


def _nothing_to_play(dropped: tuple[str, ...]) -> Finding:
    told = "; ".join(dropped) or "it holds only data or text"
    return invalid("media.no_streams", f"The file has no picture or sound that can be played: {told}")


def _why_not_copied(probe: Probe, video: Stream) -> str:
    """Return the first reason against a copy, or nothing."""
    bit_rate = video.bit_rate or probe.bit_rate or 0
    reasons = (
        (video.codec != "h264", f"codec {video.codec or 'unknown'}"),
        (video.pix_fmt not in _COPIED_PIXELS, f"pixel format {video.pix_fmt or 'unknown'}"),
        (video.profile not in _COPIED_PROFILES, f"profile {video.profile}"),
        (not _LEAST_RATE <= video.rate <= _MOST_RATE, f"{video.fps} frames a second"),
        (bit_rate > _MOST_BIT_RATE, f"{bit_rate} bits a second"),
        (probe.format_name in _TIMELESS, "the stream carries no times"),
        (probe.format_name in _ORDERLESS and video.is_reordered, "the container does not tell the order of pictures"),
    )
    return next((told for is_so, told in reasons if is_so), "")


def _audio(probe: Probe, *, may_copy: bool) -> tuple[tuple[StreamPlan, ...], tuple[str, ...]]:
    kept: list[StreamPlan] = []
    dropped: list[str] = []
    for stream in probe.audio:
        if not stream.codec or stream.channels < 1 or stream.sample_rate < 1:
            dropped.append(f"sound track {stream.index} has no readable sound")
        elif len(kept) == MAX_AUDIO_TRACKS:
            dropped.append(f"sound track {stream.index} is beyond the first {MAX_AUDIO_TRACKS}")
        elif may_copy and stream.codec == "aac" and stream.profile in _COPIED_AAC:
            kept.append(StreamPlan(stream.index, "audio", "copy", language=stream.language))
        else:
            rate = stream.sample_rate if stream.sample_rate in _SAMPLE_RATES else 48000
            why = f"codec {stream.codec} {stream.profile}".strip()
            channels = min(stream.channels, 2)
            kept.append(StreamPlan(stream.index, "audio", "encode", why, stream.language, rate, channels))
    return tuple(kept), tuple(dropped)


def _displayed(video: Stream) -> tuple[int, int]:
    """Return width and height as a viewer sees them: square pixels, turned upright."""
    aspect = parse_fraction(video.sample_aspect) or Fraction(1)
    width = round(video.width * aspect) if Fraction(1, 8) <= aspect <= 8 else video.width
    return (video.height, width) if video.rotation in {90, 270} else (width, video.height)


def fitted(width: int, height: int, *, long_side: int, short_side: int) -> tuple[int, int]:
    """Return the largest even size within the sides that keeps the shape; never larger than given, at least 2."""
    longer, shorter = max(width, height, 1), max(min(width, height), 1)
    scale = min(Fraction(long_side, longer), Fraction(short_side, shorter), Fraction(1))
    return tuple(max(2, int(side * scale) // 2 * 2) for side in (width, height))  # type: ignore[return-value]
