"""The output options of each rendition, as data for `arguments.convert_arguments`."""

from collections.abc import Mapping
from typing import Any, Final

from ingest.media.facts import Probe
from ingest.media.limits import VIDEO_BITS_PER_S
from ingest.media.plan import PlanKind, RenditionPlan, StreamPlan

# No tags of the source and no encoder's name: a copy depends on the source's essence and on the plan only, and can be
# made again byte for byte. An encode on several threads is the same in content, but not always in bits (tried).
_PLAIN: Final[Mapping[str, Any]] = {"map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact"}
_CRF: Final = 23
_MOST_GROUP: Final = 250
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


def playable_options(probe: Probe, chosen: RenditionPlan) -> dict[str, Any]:
    """Return the options of the playable MP4 or M4A."""
    options: dict[str, Any] = {**_PLAIN, "f": "mp4", "movflags": "+faststart", "write_tmcd": 0}
    if chosen.video is not None:
        options |= _copied_video() if chosen.kind is PlanKind.REMUX else _encoded_video(probe, chosen)
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


def _encoded_video(probe: Probe, chosen: RenditionPlan) -> dict[str, Any]:
    """A keyframe every two seconds makes seeking quick; the rate ceiling keeps a playback within a slow link."""
    rate = probe.video.rate if probe.video is not None else 0
    group = min(max(round(2 * min(rate, 60)), 2), _MOST_GROUP) if rate else 50
    chain = [
        *(["yadif=deint=interlaced"] if chosen.is_deinterlaced else []),
        *(["fps=60"] if chosen.is_slowed else []),
        f"scale={chosen.width}:{chosen.height}",
        "setsar=1",
    ]
    return {
        "c:v": "libx264",
        "preset": "veryfast",
        "crf": _CRF,
        "maxrate": VIDEO_BITS_PER_S,
        "bufsize": 2 * VIDEO_BITS_PER_S,
        "pix_fmt": "yuv420p",
        "g": group,
        "filter:v": ",".join(chain),
        "fps_mode": "vfr",
    }


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
