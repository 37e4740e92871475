"""The installed ffmpeg, made to encode segments no faster than some times real time: one can come in the middle."""

import shutil
from pathlib import Path


def slow_ffmpeg(folder: Path, *, times_real_time: float) -> Path:
    """Return a folder with `ffmpeg` and `ffprobe` in it, as the setting `ffmpeg` names one."""
    folder.mkdir(parents=True, exist_ok=True)
    ffmpeg = folder / "ffmpeg"
    slowly = f'case "$*" in *index.m3u8*) set -- -readrate {times_real_time} "$@";; esac'
    ffmpeg.write_text(f'#!/bin/sh\n{slowly}\nexec "{shutil.which("ffmpeg")}" "$@"\n')
    ffmpeg.chmod(0o755)
    probe = folder / "ffprobe"
    probe.write_text(f'#!/bin/sh\nexec "{shutil.which("ffprobe")}" "$@"\n')
    probe.chmod(0o755)
    return folder
