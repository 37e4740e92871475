"""Recordings that say where they were made, as phones, drones, dash cameras and body-worn cameras write it.

Positions are around Kunming. exiftool writes the tags that it can write; the streams are made byte by byte.
"""

import struct
from pathlib import Path

from tests.support import footage
from tests.support.hostile import boxes

LATITUDE, LONGITUDE, ALTITUDE = 25.0389, 102.7183, 1891


def exiftool(path: Path, *tags: str) -> Path:
    """Write tags into a file: `Keys:Model=M1`. Numbers as numbers."""
    footage.run("exiftool", "-config", "", "-q", "-n", "-overwrite_original", *(f"-{tag}" for tag in tags), path)
    return path


def photo(path: Path, *, south_west: bool = False, serial: str = "SN-0815") -> Path:
    """Make a JPEG with position, speed and device."""
    return exiftool(
        footage.still(path, size=(64, 48)),
        f"GPSLatitude={LATITUDE}",
        f"GPSLatitudeRef={'S' if south_west else 'N'}",
        f"GPSLongitude={LONGITUDE}",
        f"GPSLongitudeRef={'W' if south_west else 'E'}",
        f"GPSAltitude={ALTITUDE}",
        "GPSAltitudeRef=0",
        "GPSSpeed=10",
        "GPSSpeedRef=N",
        "GPSDateStamp=2026:03:02",
        "GPSTimeStamp=01:30:00",
        "Make=Test Make",
        "Model=Model 1",
        f"SerialNumber={serial}",
        "Software=2.1.0",
    )


def phone(path: Path) -> Path:
    """Make a recording with one position for all of it, as phones write it (QuickTime keys)."""
    return exiftool(
        _clip(path),
        f"Keys:GPSCoordinates={LATITUDE} {LONGITUDE} {ALTITUDE}",
        "Keys:Make=Phone Maker",
        "Keys:Model=Phone 9",
        "Keys:Software=17.4",
    )


def drone(path: Path) -> Path:
    """Make a recording with a position in the text of each second, as Yuneec drones write it."""
    lines = [f"Lat:{LATITUDE + second / 1000:.4f} Lon:{LONGITUDE} Alt:{ALTITUDE} m" for second in range(3)]
    return _with_text(path, lines)


def body_camera(path: Path) -> Path:
    """Make a recording with an NMEA sentence in each second's text."""
    minutes = f"{int(LATITUDE)}{(LATITUDE % 1) * 60:07.4f},N,{int(LONGITUDE)}{(LONGITUDE % 1) * 60:07.4f},E"
    lines = [f"$GPRMC,01300{second}.000,A,{minutes},5.0,90.0,020326,,,A*6F" for second in range(3)]
    made = _with_text(path, lines)
    data = made.read_bytes()
    # exiftool reads sentences in a track of plain text; ffmpeg writes timed text only.
    made.write_bytes(data.replace(b"tx3g", b"text").replace(b"sbtl", b"text"))
    return made


def dash_camera(path: Path, *, seconds: int = 5) -> Path:
    """Make a recording with the blocks that dash cameras leave beside the pictures ("freeGPS", Viofo A119S)."""
    parts = boxes(_clip(path).read_bytes())
    before = b"".join(whole for name, whole in parts if name != b"moov")
    movie = next(whole for name, whole in parts if name == b"moov")
    blocks = [_block(second) for second in range(seconds)]
    first = len(before) + 8
    places = b"".join(struct.pack(">II", first + 0x8000 * number, 0x8000) for number in range(seconds))
    gps = struct.pack(">I4sII", 16 + len(places), b"gps ", 0x101, seconds) + places
    free = struct.pack(">I4s", 8 + 0x8000 * seconds, b"free") + b"".join(blocks)
    path.write_bytes(before + free + struct.pack(">I4s", len(movie) + len(gps), b"moov") + gps + movie[8:])
    return path


def _block(second: int) -> bytes:
    """Return one position. Degrees and minutes stand in one number: 2502.334."""
    latitude, longitude = (int(value) * 100 + value % 1 * 60 for value in (LATITUDE, LONGITUDE))
    body = struct.pack("<6I", 1, 30, second, 26, 3, 2) + b"ANE\0" + struct.pack("<4f", latitude, longitude, 20.0, 90.0)
    head = struct.pack(">I8s", 0x8000, b"freeGPS ") + struct.pack("<I", 0x4C)
    return (head.ljust(0x30, b"\0") + body).ljust(0x8000, b"\0")


def _clip(path: Path) -> Path:
    return footage.make_clip(path, seconds=3, size=(160, 120), audio=())


def _with_text(path: Path, lines: list[str]) -> Path:
    text, plain = path.with_suffix(".srt"), path.with_suffix(".plain.mp4")
    text.write_text(
        "".join(
            f"{number + 1}\n00:00:0{number},000 --> 00:00:0{number + 1},000\n{line}\n\n"
            for number, line in enumerate(lines)
        )
    )
    _clip(plain)
    footage.ffmpeg("-i", plain, "-i", text, "-map", "0:v", "-map", "1", "-c:v", "copy", "-c:s", "mov_text", path)
    for leftover in (text, plain):
        leftover.unlink()
    return path
