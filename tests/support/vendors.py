"""Recordings as single makers write them, where no muxer of ffmpeg does: made byte by byte around coded pictures."""

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import footage

_START: Final = b"\0\0\0\1"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One way to record. `who` writes such files; `format_name` is what they are told to be; `kind` what they become."""

    name: str
    who: str
    format_name: str
    kind: str


def amr(path: Path, *, seconds: int = 3, is_wide: bool = False) -> Path:
    """Make AMR of random frames: a decoder makes noise of any bits. Source: RFC 4867 section 5."""
    chance = random.Random(4867)
    head, mode, size = (b"#!AMR-WB\n", 0x44, 60) if is_wide else (b"#!AMR\n", 0x3C, 31)
    frames = b"".join(bytes([mode]) + chance.randbytes(size) for _ in range(seconds * 50))
    path.write_bytes(head + frames)
    return path


def hikvision(path: Path) -> Path:
    """Make a program stream behind the 40 bytes that recorders of Hikvision put before it."""
    plain = footage.make_clip(
        path.with_suffix(".plain.mpg"), audio=("-c:a", "mp2"), video=(*footage.H264, "-bf", "0"), extra=("-f", "vob")
    )
    head = b"IMKH\x01\x01\0\0\x02\0\x01\0\x11\x71\x01\0".ljust(40, b"\0")
    path.write_bytes(head + plain.read_bytes())
    plain.unlink()
    return path


def dahua(path: Path, *, fps: int = 25) -> Path:
    """Make a DHAV file as recorders of Dahua write: each picture between a head with its time and a tail."""
    plain = footage.make_clip(
        path.with_suffix(".plain.h264"),
        seconds=3,
        video=(*footage.H264, "-bf", "0", "-x264-params", "aud=1:slices=1"),
        audio=(),
        extra=("-f", "h264"),
    )
    units = list(_access_units(plain.read_bytes()))
    plain.unlink()
    path.write_bytes(b"".join(_dahua_packet(number, unit, fps=fps) for number, unit in enumerate(units)))
    return path


def _dahua_packet(number: int, unit: bytes, *, fps: int) -> bytes:
    is_key = b"\x67" in {unit[at + 4 : at + 5] for at in range(len(unit)) if unit.startswith(_START, at)}
    extra = struct.pack("<BBBB", 0x81, 0, 0x02, fps) + struct.pack("<BBBBHH", 0x82, 0, 0, 0, 320, 240)
    length = 24 + len(extra) + len(unit) + 8
    day = (26 << 26) | (3 << 22) | (2 << 17) | (9 << 12) | (30 << 6) | number // fps
    head = struct.pack("<4sBBBBIII", b"DHAV", 0xFD if is_key else 0xFC, 0, 0, 0, number, length, day)
    head += struct.pack("<HBB", number * 1000 // fps & 0xFFFF, len(extra), 0)
    return head + extra + unit + struct.pack("<4sI", b"dhav", length)


def _access_units(data: bytes) -> Iterator[bytes]:
    """Yield the pictures of an H.264 stream that begins each with a delimiter."""
    mark = _START + b"\x09"
    at = data.find(mark)
    while at != -1:
        following = data.find(mark, at + 1)
        yield data[at : following if following != -1 else len(data)]
        at = following


def raw_mjpeg(path: Path) -> Path:
    """Make JPEGs that follow each other without container."""
    return footage.make_clip(path, seconds=2, video=("-c:v", "mjpeg", "-q:v", "5"), audio=(), extra=("-f", "mjpeg"))


_CLIPS: Final[Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[str]]]] = {
    "ivf.ivf": (("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"), (), ()),
    "xdcam.mxf": (
        ("-c:v", "mpeg2video", "-q:v", "5", "-g", "12", "-pix_fmt", "yuv420p"),
        ("-c:a", "pcm_s16le", "-ar", "48000"),
        (),
    ),
    "tape.dv": (
        ("-c:v", "dvvideo", "-s", "720x576", "-pix_fmt", "yuv420p"),
        ("-c:a", "pcm_s16le", "-ar", "48000", "-ac", "2"),
        (),
    ),
    "raw.m4v": (("-c:v", "mpeg4", "-q:v", "5"), (), ("-f", "m4v")),
    "raw.m2v": (("-c:v", "mpeg2video", "-q:v", "5"), (), ("-f", "mpeg2video")),
    "raw.m1v": (("-c:v", "mpeg1video", "-q:v", "5"), (), ("-f", "mpeg1video")),
    "raw.h263": (("-c:v", "h263", "-s", "352x288"), (), ("-f", "h263")),
    "phone.caf": ((), ("-c:a", "alac"), ()),
    "voice.aiff": ((), ("-c:a", "pcm_s16be"), ()),
    "voice.au": ((), ("-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"), ()),
    "room.ac3": ((), ("-c:a", "ac3"), ()),
    "room.eac3": ((), ("-c:a", "eac3"), ()),
    "g723.wav": ((), ("-c:a", "g723_1", "-ar", "8000", "-ac", "1", "-b:a", "6300"), ()),
}

VENDORS: Final = (
    Vendor("phone.amr", "phones of the 2000s", "amr", "audio"),
    Vendor("phone-wide.amr", "phones of the 2000s", "amr", "audio"),
    Vendor("hikvision.mp4", "recorders of Hikvision", "mpeg", "remux"),
    Vendor("dahua.dav", "recorders of Dahua", "dhav", "remux"),
    Vendor("raw.mjpeg", "network cameras", "mjpeg", "encode"),
    Vendor("ivf.ivf", "conference systems", "ivf", "encode"),
    Vendor("xdcam.mxf", "broadcast camcorders", "mxf", "encode"),
    Vendor("tape.dv", "tapes of DV camcorders", "dv", "encode"),
    Vendor("raw.m4v", "DVR dumps", "m4v", "encode"),
    Vendor("raw.m2v", "DVD tools", "mpegvideo", "encode"),
    Vendor("raw.m1v", "video CDs", "mpegvideo", "encode"),
    Vendor("raw.h263", "video telephones", "h263", "encode"),
    Vendor("phone.caf", "iPhones", "caf", "audio"),
    Vendor("voice.aiff", "old Macs", "aiff", "audio"),
    Vendor("voice.au", "telephone servers", "au", "audio"),
    Vendor("room.ac3", "hearing rooms", "ac3", "audio"),
    Vendor("room.eac3", "hearing rooms", "eac3", "audio"),
    Vendor("g723.wav", "telephone exchanges", "wav", "audio"),
)


def make(vendor: Vendor, folder: Path) -> Path:
    """Make the file of one vendor."""
    path = folder / vendor.name
    by_hand = {"hikvision.mp4": hikvision, "dahua.dav": dahua, "raw.mjpeg": raw_mjpeg, "phone.amr": amr}
    if vendor.name in by_hand:
        return by_hand[vendor.name](path)
    if vendor.name == "phone-wide.amr":
        return amr(path, is_wide=True)
    video, audio, extra = _CLIPS[vendor.name]
    return footage.make_clip(path, seconds=2, video=video, audio=audio, extra=extra)
