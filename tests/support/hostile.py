"""Files that are broken, or that try to do harm: made byte by byte, so that each says what is wrong with it."""

import random
import struct
import zlib
from pathlib import Path

TS_PACKET_BYTES = 188


def truncated(source: Path, path: Path, *, keep: float = 0.5) -> Path:
    """Cut a file: what a battery that died or a card that was pulled leaves behind."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def flipped(source: Path, path: Path, *, bits: int = 40, after: float = 0.5, seed: int = 7) -> Path:
    """Flip single bits in the later part of a file."""
    data = bytearray(source.read_bytes())
    chance = random.Random(seed)
    for _ in range(bits):
        data[chance.randrange(int(len(data) * after), len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return path


def with_hole(source: Path, path: Path, *, start: float = 0.4, end: float = 0.7) -> Path:
    """Take packets out of the middle of a transport stream."""
    data = source.read_bytes()
    count = len(data) // TS_PACKET_BYTES
    first, last = int(count * start) * TS_PACKET_BYTES, int(count * end) * TS_PACKET_BYTES
    path.write_bytes(data[:first] + data[last:])
    return path


def without_index(source: Path, path: Path) -> Path:
    """Remove the index (moov) of an MP4: a recording that was never finished."""
    path.write_bytes(b"".join(body for name, body in boxes(source.read_bytes()) if name != b"moov"))
    return path


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the top boxes of an MP4 with their whole bytes (32-bit sizes only)."""
    found = []
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        size = size or len(data) - at
        found.append((name, data[at : at + size]))
        at += size
    return found


def many_tracks(source: Path, path: Path, *, count: int = 10_000) -> Path:
    """Repeat the first track of an MP4 until it declares `count` of them."""
    out = bytearray()
    for name, body in boxes(source.read_bytes()):
        if name != b"moov":
            out += body
            continue
        inner = boxes(body[8:])
        track = next(whole for kind, whole in inner if kind == b"trak")
        movie = b"".join(whole for kind, whole in inner if kind != b"trak") + track * count
        out += struct.pack(">I4s", 8 + len(movie), b"moov") + movie
    path.write_bytes(out)
    return path


def endless(source: Path, path: Path) -> Path:
    """Let an MP4 declare a duration of years: every sample lasts as long as the table allows."""
    data = bytearray(source.read_bytes())
    at = data.find(b"stts")
    while at != -1:
        count = struct.unpack_from(">I", data, at + 8)[0]
        for number in range(count):
            struct.pack_into(">I", data, at + 16 + 8 * number, 0x7FFFFFFF)
        at = data.find(b"stts", at + 4)
    for name, place in ((b"mvhd", 20), (b"mdhd", 20)):
        at = data.find(name)
        while at != -1:
            struct.pack_into(">I", data, at + place, 0xFFFFFFF0)
            at = data.find(name, at + 4)
    path.write_bytes(data)
    return path


def text_as_mp4(path: Path) -> Path:
    """Write plain text under the name of a video."""
    path.write_text("Notes of the inspection: nothing was filmed.\n" * 40, encoding="utf-8")
    return path


def nothing_as_mp4(path: Path) -> Path:
    """Write bytes that no program of ours knows under the name of a video."""
    path.write_bytes(b"\x02\x01LHEN" + bytes(range(256)) * 16)
    return path


def playlist(path: Path, *, target: str) -> Path:
    """Write an HLS playlist that points to `target` (an address, or a local file)."""
    lines = ("#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:10", "#EXTINF:10.0,", target, "#EXT-X-ENDLIST", "")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def concat_script(path: Path, *, target: str) -> Path:
    """Write an ffconcat script that names `target`."""
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n", encoding="utf-8")
    return path


def rotated(source: Path, path: Path) -> Path:
    """Give the first track of an MP4 the display matrix that phones write: turn by 90 degrees clockwise."""
    data = bytearray(source.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", data, matrix, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def png(width: int, height: int, *, rows: int = 1) -> bytes:
    """Return a grey PNG that declares a size and holds `rows` rows."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(width)) * rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_bomb(path: Path, *, side: int = 100_000) -> Path:
    """Write a tiny PNG that declares `side` x `side` pixels."""
    path.write_bytes(png(side, side))
    return path


def jpeg_bomb(path: Path) -> Path:
    """Write the head of a JPEG of 65,535 x 65,535 pixels, the most that it can declare."""
    path.write_bytes(jpeg_head(65535, 65535) + b"\xff\xda\0\2\xff\xd9")
    return path


def tiff_bomb(path: Path, *, side: int = 100_000) -> Path:
    """Write a TIFF that declares `side` x `side` pixels and holds none."""
    tags = ((256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (278, side), (279, 0))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4))
    return path


def gif_bomb(path: Path) -> Path:
    """Write a GIF of 65,535 x 65,535 pixels."""
    path.write_bytes(b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(3) + b";")
    return path


def bmp_bomb(path: Path, *, side: int = 100_000) -> Path:
    """Write a BMP that declares `side` x `side` pixels, stored from the top, as a negative height says."""
    info = struct.pack("<IiiHHIIiiII", 40, side, -side, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info)
    return path


def webp_bomb(path: Path) -> Path:
    """Write a WebP of 16,777,216 x 16,777,216 pixels."""
    path.write_bytes(b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + b"\xff" * 6)
    return path


def heif_bomb(path: Path, *, side: int = 100_000) -> Path:
    """Write a HEIC whose one picture declares `side` x `side` pixels."""
    size = box(b"ispe", struct.pack(">III", 0, side, side))
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", size)))
    path.write_bytes(box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta + box(b"mdat", bytes(64)))
    return path


def box(name: bytes, body: bytes) -> bytes:
    """Return a box of MP4 or HEIF."""
    return struct.pack(">I4s", 8 + len(body), name) + body


def jpeg_head(width: int, height: int) -> bytes:
    """Return the head of a grey JPEG that declares a size: everything up to its pixels."""
    frame = struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)
    table = b"\xff\xdb\0\x43\0" + bytes([1] * 64)
    return b"\xff\xd8" + table + b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame


def exif_segment(*, orientation: int, taken: str = "2026:03:02 09:30:00", offset: str = "+08:00") -> bytes:
    """Return the EXIF segment of a JPEG with an orientation and the time at which it was taken."""
    taken_raw, offset_raw = taken.encode() + b"\0", offset.encode() + b"\0"
    first = 8
    inner = first + 2 + 2 * 12 + 4
    texts = inner + 2 + 2 * 12 + 4
    tiff = struct.pack("<2sHI", b"II", 42, first)
    tiff += struct.pack("<H", 2)
    tiff += struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff += struct.pack("<HHII", 0x8769, 4, 1, inner)
    tiff += struct.pack("<I", 0)
    tiff += struct.pack("<H", 2)
    tiff += struct.pack("<HHII", 0x9003, 2, len(taken_raw), texts)
    tiff += struct.pack("<HHII", 0x9011, 2, len(offset_raw), texts + len(taken_raw))
    tiff += struct.pack("<I", 0) + taken_raw + offset_raw
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
