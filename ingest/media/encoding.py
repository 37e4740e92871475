"""The output options of each rendition, as data for `arguments.convert_arguments`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ingest.media.limits import VIDEO_BITS_PER_S
from ingest.media.plan import PlanKind, RenditionPlan, StreamPlan, fitted
from ingest.media.sandbox import OUT
from ingest.media.segments import INIT, SEGMENT_S, TICKS_PER_S

# No tags of the source and no encoder's name: a copy depends on the source's essence and on the plan only, and can be
# made again byte for byte. An encode on several threads is the same in content, but not always in bits (tried).
_PLAIN: Final[Mapping[str, Any]] = {"map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact"}
_PLAYABLE_RATE: Final = (23, VIDEO_BITS_PER_S)
# Whatever the rate, keyframes come where segments begin and nowhere else.
_MOST_GROUP: Final = 600
# A picture begins a segment when it is the first in its two seconds. A tick is 11 microseconds, so that half of it
# takes nothing from its neighbour, and gives what is exactly on time its place whatever a float makes of it.
_SEGMENT: Final = f"floor(({{}}+0.000005)/{SEGMENT_S})"
_KEYFRAMES: Final = f"expr:if(isnan(prev_forced_t),1,gt({_SEGMENT.format('t')},{_SEGMENT.format('prev_forced_t')}))"
POSTER_SIDE: Final = 640

# Source: EXIF 2.32, tag 274: how the stored picture has to be turned to stand upright.
_UPRIGHT: Final[Mapping[int, str]] = {
    2: "hflip,",
    3: "hflip,vflip,",
    4: "vflip,",
    5: "transpose=cclock_flip,",
    6: "transpose=clock,",
    7: "transpose=clock_flip,",
    8: "transpose=cclock,",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """A version for slow links. Units: `lines` of the shorter side, bits per second of the picture at most."""

    lines: int
    crf: int
    bits_per_s: int

    @property
    def kind(self) -> str:
        """The kind of the rendition."""
        return f"proxy-{self.lines}"

    def size(self, chosen: RenditionPlan) -> tuple[int, int]:
        """Return the size of the pictures, never larger than they are."""
        return fitted(chosen.width, chosen.height, long_side=self.lines * 16 // 9, short_side=self.lines)


RUNGS: Final = (Rung(720, 24, 1_700_000), Rung(540, 25, 900_000))


def playable_options(chosen: RenditionPlan) -> dict[str, Any]:
    """Return the options of the playable MP4 or M4A."""
    options: dict[str, Any] = {**_PLAIN, "f": "mp4", "movflags": "+faststart", "write_tmcd": 0}
    if chosen.video is not None:
        chain = picture_chain(chosen, chosen.width, chosen.height)
        options |= _copied_video() if chosen.kind is PlanKind.REMUX else _encoded_video(chain, _PLAYABLE_RATE)
    for number, track in enumerate(chosen.audio):
        options |= _sound(number, track)
    return options


def view_options(chosen: RenditionPlan) -> dict[str, Any]:
    """Return the options of the JPEG view of a photo, upright."""
    return _still(f"{_UPRIGHT.get(chosen.orientation, '')}scale={chosen.width}:{chosen.height}", quality=3)


def poster_options(chosen: RenditionPlan) -> dict[str, Any]:
    """Return the options of the poster: a JPEG within 640 pixels a side."""
    longer = max(chosen.width, chosen.height, 1)
    shrunk = [max(2, side * min(POSTER_SIDE, longer) // longer // 2 * 2) for side in (chosen.width, chosen.height)]
    return _still(f"scale={shrunk[0]}:{shrunk[1]},setsar=1", quality=4)


def portrait_options(orientation: int, *, width: int, height: int) -> dict[str, Any]:
    """Return the options of a JPEG that is the upright middle of a photo, in just this size, on white."""
    on_white = ":".join(f"{plane}='255+({plane}(X,Y)-255)*alpha(X,Y)/255'" for plane in "rgb")
    size = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},setsar=1"
    chain = f"{_UPRIGHT.get(orientation, '')}{size},format=gbrap,geq={on_white}:a=255"
    return {**_still(chain, quality=3), "flags:v": "+bitexact"}  # or the encoder names itself in it


def _still(chain: str, *, quality: int) -> dict[str, Any]:
    return {
        **_PLAIN,
        "frames:v": 1,
        "filter:v": chain,
        "c:v": "mjpeg",
        "pix_fmt": "yuvj420p",
        "q:v": quality,
        "f": "mjpeg",
    }


def _copied_video() -> dict[str, Any]:
    return {"c:v": "copy"}


def live_options(chosen: RenditionPlan, *, anchor: int | None, from_ticks: int = 0) -> dict[str, Any]:
    """Return the options of segments that play as soon as each is finished, with one sound track at most.

    A run that begins in the middle gives pictures from `from_ticks` on, once the decoder has met a keyframe, and has an
    `anchor`: the start of a segment, which its first picture gets for its time. The encoder counts its time from the
    first picture, and so counts the same segments as every other run. Times in the segments are those of the recording,
    whichever run made them, and the head is the same.
    """
    chain = picture_chain(chosen, chosen.width, chosen.height)
    return {
        **_encoded_video(chain, _PLAYABLE_RATE, anchor=anchor, from_ticks=from_ticks),
        **_segmented(chosen),
        "hls_list_size": 2,
        "hls_flags": "temp_file",
        "hls_fmp4_init_filename": INIT,
        "hls_segment_filename": f"{OUT}/%d.m4s",
    }


def proxy_options(chosen: RenditionPlan, rung: Rung, *, name: str) -> dict[str, Any]:
    """Return the options of a version for slow links: one file of segments, beside a playlist of their bytes."""
    width, height = rung.size(chosen)
    return {
        **_encoded_video(picture_chain(chosen, width, height), (rung.crf, rung.bits_per_s)),
        **_segmented(chosen),
        "hls_playlist_type": "vod",
        "hls_flags": "single_file",
        "hls_segment_filename": f"{OUT}/{name}",
    }


def _segmented(chosen: RenditionPlan) -> dict[str, Any]:
    """Return the options of fragments whose times are those of the recording, with its first sound track."""
    options: dict[str, Any] = {
        **_PLAIN,
        # Else the first picture of a segment would come where the usual duration of the last one ends.
        "bsf:v": r"setts=duration=if(eq(NEXT_PTS\,NOPTS)\,DURATION\,NEXT_PTS-PTS)",
        "avoid_negative_ts": "disabled",
        "f": "hls",
        "hls_segment_type": "fmp4",
        # Less than any segment: each keyframe begins a new one.
        "hls_time": "0.1",
        "hls_segment_options": "movflags=+frag_discont:use_editlist=0:avoid_negative_ts=disabled",
    }
    for track in chosen.audio[:1]:
        # What an encoder of sound puts before the start has no place in a segment, nor has the head of each ADTS frame.
        options |= {**_sound(0, track), "bsf:a": r"aac_adtstoasc,noise=drop=lt(pts\,0)"}
    return options


def joined_options(chosen: RenditionPlan) -> dict[str, Any]:
    """Return the options of the playable MP4 whose video was encoded in segments; sound is made as planned."""
    options: dict[str, Any] = {**_PLAIN, **_copied_video(), "f": "mp4", "movflags": "+faststart", "write_tmcd": 0}
    for number, track in enumerate(chosen.audio):
        options |= _sound(number, track)
    return options


def _encoded_video(
    chain: Sequence[str], rate: tuple[int, int], *, anchor: int | None = None, from_ticks: int = 0
) -> dict[str, Any]:
    """A keyframe every two seconds makes seeking quick; the rate ceiling keeps a playback within a slow link.

    No picture is stored before one that is shown earlier: times need no correction where segments meet, and the encode
    takes a sixth less time for a tenth more bytes (tried). `rate` is quality and ceiling.
    """
    crf, bits_per_s = rate
    whole = [*chain, f"settb=1/{TICKS_PER_S}"]
    if anchor is not None:
        first = f"select='if(key,st(0,1));ld(0)*gte(t,{from_ticks / TICKS_PER_S:.6f})'"
        whole = [first, *whole, f"setpts='if(N,PTS,{anchor})'"]
    return {
        "c:v": "libx264",
        "preset": "veryfast",
        "crf": crf,
        "maxrate": bits_per_s,
        "bufsize": 2 * bits_per_s,
        "pix_fmt": "yuv420p",
        "bf": 0,
        "g": _MOST_GROUP,
        "sc_threshold": 0,
        "force_key_frames": _KEYFRAMES,
        "filter:v": ",".join(whole),
        "fps_mode": "vfr",
        "enc_time_base:v": f"1/{TICKS_PER_S}",
    }


def picture_chain(chosen: RenditionPlan, width: int, height: int) -> list[str]:
    """Return the filters that make pictures of this size for a browser, at most 60 a second."""
    return [
        *(["yadif=deint=interlaced"] if chosen.is_deinterlaced else []),
        *(["fps=60"] if chosen.is_slowed else []),
        f"scale={width}:{height}",
        "setsar=1",
    ]


def _sound(number: int, track: StreamPlan) -> dict[str, Any]:
    at = f"a:{number}"
    options: dict[str, Any] = {f"c:{at}": "copy"}
    if track.action == "encode":
        options = {
            f"c:{at}": "aac",
            f"b:{at}": f"{64 * track.channels}k",
            f"ar:{at}": track.sample_rate,
            f"ac:{at}": track.channels,
            # Silence takes the place of missing sound, so that sound and picture stay together.
            f"filter:{at}": "aresample=async=1",
        }
    if track.language:
        options[f"metadata:s:{at}"] = f"language={track.language}"
    return options
