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
