"""The installed ffmpeg, made to read no faster than some times real time: an encode that one can come in the middle of."""

import shutil
from pathlib import Path


def slow_ffmpeg(folder: Path, *, times_real_time: float) -> Path:
    """Return a folder with `ffmpeg` and `ffprobe` in it, as the setting `ffmpeg` names one."""
    folder.mkdir(parents=True, exist_ok=True)
    ffmpeg = folder / "ffmpeg"
    ffmpeg.write_text(f'#!/bin/sh\nexec "{shutil.which("ffmpeg")}" -readrate {times_real_time} "$@"\n')
    ffmpeg.chmod(0o755)
    probe = folder / "ffprobe"
    probe.unlink(missing_ok=True)
    probe.write_text(f'#!/bin/sh\nexec "{shutil.which("ffprobe")}" "$@"\n')
    probe.chmod(0o755)
    return folder
