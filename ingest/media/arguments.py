"""The arguments of every ffmpeg and ffprobe call. ffmpeg-python compiles them; nothing is started here.

Paths are the sandbox's fixed ones, so the same plan always gives the same arguments.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import ffmpeg

from ingest.media.allowed import input_options
from ingest.media.sandbox import OUT, SOURCE

_LOG: Final = ("-hide_banner", "-loglevel", "repeat+level+warning")
_RUN: Final = (*_LOG, "-nostdin", "-nostats", "-y")
# Filters say what they find as information.
_PASS: Final = ("-hide_banner", "-loglevel", "repeat+level+info", "-nostdin", "-nostats", "-y")
_PROGRESS: Final = ("-stats_period", "0.2", "-progress", "pipe:1")


def probe_arguments(format_name: str) -> list[str]:
    """Return what ffprobe is asked: format and streams as JSON. The source follows."""
    options: list[str] = []
    for name, value in input_options(format_name).items():
        options += [f"-{name}", str(value)]
    return [*_LOG, *options, "-show_format", "-show_streams", "-of", "json"]


def convert_arguments(
    format_name: str,
    *,
    streams: Sequence[int],
    output: str,
    options: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
    has_progress: bool = False,
) -> list[str]:
    """Return the arguments that read `SOURCE` and write the streams with these indices to `output`.

    `before` adds options of the input, `options` are those of the output. `output` is a name in `OUT`, or a
    pipe: `pipe:1`, `pipe:2`.
    """
    source = ffmpeg.input(SOURCE, **(input_options(format_name) | dict(before or {})))
    target = output if output.startswith("pipe:") else f"{OUT}/{output}"
    graph = ffmpeg.output(*(source[str(index)] for index in streams), target, **options)
    return [*_RUN, *(_PROGRESS if has_progress else ()), *ffmpeg.get_args(graph)]


def join_arguments(
    format_name: str, *, audio: Sequence[int], output: str, options: Mapping[str, Any], from_us: int
) -> list[str]:
    """Return the arguments that put the video of fragments, read from standard input, beside sound of `SOURCE`.

    Units: `from_us` is when the video begins, in microseconds of the recording; each input's own start counts as zero.
    """
    begins = f"{from_us // 1_000_000}.{from_us % 1_000_000:06d}"
    video = ffmpeg.input("pipe:0", **input_options("mov"), itsoffset=begins)
    sound = ffmpeg.input(SOURCE, **input_options(format_name)) if audio else None
    streams = [video["0"], *(sound[str(index)] for index in audio if sound is not None)]
    return [*_RUN, *ffmpeg.get_args(ffmpeg.output(*streams, f"{OUT}/{output}", **options))]


def rung_arguments(
    format_name: str, *, streams: Sequence[int], outputs: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[str]:
    """Return the arguments that make several versions of the same streams in one run: playlist and options of each."""
    source = ffmpeg.input(SOURCE, **input_options(format_name))
    made = [
        ffmpeg.output(*(source[str(index)] for index in streams), f"{OUT}/{name}", **options)
        for name, options in outputs
    ]
    return [*_RUN, *_PROGRESS, *ffmpeg.get_args(made[0] if len(made) == 1 else ffmpeg.merge_outputs(*made))]


def pass_arguments(
    format_name: str,
    *,
    packets: Sequence[int],
    before: Mapping[str, Any],
    outputs: Sequence[tuple[int, str, Mapping[str, Any]]],
) -> list[str]:
    """Return the arguments of one pass that makes several things: `outputs` are stream, place and options of each.

    A line for each packet of the streams `packets` goes to standard error, among what the filters say there.
    """
    source = ffmpeg.input(SOURCE, **(input_options(format_name) | dict(before)))
    made = [ffmpeg.output(source[str(index)], place, **options) for index, place, options in outputs]
    lines = {"c": "copy", "f": "framecrc", "flush_packets": 1}
    told = ffmpeg.output(*(source[str(index)] for index in packets), "pipe:2", **lines)
    return [*_PASS, *ffmpeg.get_args(ffmpeg.merge_outputs(*made, told))]


def sheet_arguments(*, width: int, height: int, columns: int, rows: int, output: str) -> list[str]:
    """Return the arguments that lay raw pictures of one size, as a pass has left them, out on one sheet."""
    source = ffmpeg.input(SOURCE, f="rawvideo", pixel_format="yuv420p", video_size=(width, height), framerate=1)
    options = {"filter:v": f"tile={columns}x{rows}", "frames:v": 1, "c:v": "mjpeg", "pix_fmt": "yuvj420p", "q:v": 5}
    graph = ffmpeg.output(source["0"], f"{OUT}/{output}", **options, f="mjpeg", fflags="+bitexact", map_metadata=-1)
    return [*_RUN, *ffmpeg.get_args(graph)]


def packet_arguments(format_name: str, *, stream: int) -> list[str]:
    """Return what ffprobe is asked for when each packet of one stream is to be decoded: a line of seconds for each."""
    options: list[str] = []
    for name, value in input_options(format_name).items():
        options += [f"-{name}", str(value)]
    return [
        *_LOG,
        *options,
        "-select_streams",
        str(stream),
        "-show_entries",
        "packet=dts_time",
        "-of",
        "csv=p=0",
        SOURCE,
    ]
