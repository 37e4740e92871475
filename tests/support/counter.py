"""Footage whose every frame carries its own number, as a row of black and white fields that a program can read.

An independent judge of time: whatever is made of a recording, the number that is seen at a moment must be the number that
the original shows at that moment.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support import footage

BITS = 12
FIELD = 20
WIDTH, HEIGHT = BITS * FIELD + 80, 240


def picture(*, fps: str = "25", seconds: float = 4, more: str = "") -> str:
    """Return a lavfi source of numbered frames: bit k of the number is the k-th field of the top row, white for one."""
    fields = ",".join(
        f"drawbox=x={bit * FIELD}:y=0:w={FIELD}:h={FIELD}:t=fill:color=white:enable='gte(mod(n,{2 << bit}),{1 << bit})'"
        for bit in range(BITS)
    )
    blank = f"drawbox=x=0:y=0:w={BITS * FIELD}:h={FIELD}:t=fill:color=black"
    return f"testsrc2=size={WIDTH}x{HEIGHT}:rate={fps}:duration={seconds},{blank},{fields}{more}"


def make_counted(
    path: Path,
    *,
    fps: str = "25",
    seconds: float = 4,
    video: Sequence[str] = footage.H264,
    audio: Sequence[str] = footage.AAC,
    more: str = "",
    extra: Sequence[str] = (),
) -> Path:
    """Make numbered footage with a tone; `more` are filters after the numbers, such as a selection of frames."""
    arguments: list[str | Path] = ["-f", "lavfi", "-i", picture(fps=fps, seconds=seconds, more=more)]
    if audio:
        arguments += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"]
    footage.ffmpeg(*arguments, *video, *audio, "-threads", "2", *extra, path)
    return path


def numbers(path: Path) -> list[tuple[int, int]]:
    """Return every frame of a file or playlist in the order shown: (milliseconds since the first frame, its number)."""
    crop = f"crop=iw*{BITS * FIELD}/{WIDTH}:ih*{FIELD}/{HEIGHT}:0:0,scale={BITS}:1:flags=area,format=gray"
    shown = subprocess.run(
        [
            *(
                footage.ffmpeg_program(),
                "-hide_banner",
                "-loglevel",
                "error",
                "-nostdin",
                "-noautorotate",
                "-i",
                str(path),
            ),
            *("-map", "0:v:0", "-vf", crop, "-fps_mode", "passthrough", "-f", "rawvideo", "-"),
        ],
        capture_output=True,
        check=True,
    ).stdout
    found = [
        sum(1 << bit for bit in range(BITS) if row[bit] > 127)
        for row in (shown[at : at + BITS] for at in range(0, len(shown), BITS))
    ]
    times = _times_ms(path)
    if len(times) != len(found):
        raise ValueError(f"{path.name}: {len(found)} frames are shown and {len(times)} have a time")
    return list(zip(times, found, strict=True))


def _times_ms(path: Path) -> list[int]:
    probed = subprocess.run(
        [
            *("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_frames"),
            *("-show_entries", "frame=best_effort_timestamp_time", "-of", "json", str(path)),
        ],
        capture_output=True,
        check=True,
    ).stdout
    stamps = [float(frame["best_effort_timestamp_time"]) for frame in json.loads(probed)["frames"]]
    return [round((stamp - stamps[0]) * 1000) for stamp in stamps]
