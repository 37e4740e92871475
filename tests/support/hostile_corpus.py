"""The hostile corpus: files that are broken or mean harm, each with how it must end once it is in the archive.

Made in seconds out of a few clips. `address` is a server that nobody may reach, `secret` a file that nobody may read.
"""

import gzip
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import footage, hostile, papers

PLAYS: Final = frozenset(("playable",))
DAMAGED: Final = frozenset(("damaged",))
EITHER: Final = frozenset(("playable", "damaged"))
ANY: Final = frozenset(("playable", "damaged", "unplayable"))


@dataclass(frozen=True, slots=True)
class Scene:
    """What the corpus is made of: a folder, clips to break, a server and a file that must not be touched."""

    folder: Path
    address: str
    secret: Path

    def clip(self, name: str) -> Path:
        """Return a sample, made once."""
        return footage.make_sample(name, self.folder)


@dataclass(frozen=True, slots=True)
class Bad:
    """One file and its end: in one of `ends`, or unplayable for `reason`. `kind` is what it counts as."""

    make: Callable[[Scene, Path], object]
    ends: frozenset[str] = frozenset()
    reason: str = ""
    kind: str = ""


def _bytes(data: bytes) -> Callable[[Scene, Path], object]:
    return lambda _, path: path.write_bytes(data)


def _plain(make: Callable[[Path], object]) -> Callable[[Scene, Path], object]:
    return lambda _, path: make(path)


def _of(name: str, make: Callable[[Path, Path], object]) -> Callable[[Scene, Path], object]:
    return lambda scene, path: make(scene.clip(name), path)


def _copied(name: str) -> Callable[[Scene, Path], object]:
    return _of(name, lambda source, path: path.write_bytes(source.read_bytes()))


# ---- recordings -----------------------------------------------------------------------------------------------------


def hollow(source: Path, path: Path) -> None:
    """Keep the index of an MP4, and of its media data only the head: the index claims what is not there."""
    kept = [body if name != b"mdat" else body[:8] for name, body in hostile.boxes(source.read_bytes())]
    path.write_bytes(b"".join(kept))


def overflowing(source: Path, path: Path) -> None:
    """Let boxes claim 4 GiB and more: the media data by 64 bits, a box after it by 32."""
    out = b""
    for name, body in hostile.boxes(source.read_bytes()):
        out += struct.pack(">I4sQ", 1, name, (1 << 63) - 1) + body[8:] if name == b"mdat" else body
    path.write_bytes(out + struct.pack(">I4s", 0xFFFFFFFF, b"free"))


def deep(path: Path, *, levels: int = 20_000) -> None:
    """Put boxes into boxes into boxes, and a folder of tracks at the bottom."""
    inner = b""
    for _ in range(levels):
        inner = (
            struct.pack(">I4s", 8, b"udta")
            if len(inner) > 500_000
            else struct.pack(">I4s", 8 + len(inner), b"moov") + inner
        )
    path.write_bytes(hostile.box(b"ftyp", b"isom\0\0\0\0isom") + inner)


def deep_matroska(path: Path, *, levels: int = 5000) -> None:
    """Put tags of Matroska into each other."""
    inner = b""
    for _ in range(levels):
        inner = b"\x67\xc8" + struct.pack(">Q", (1 << 56) | len(inner)) + inner
    path.write_bytes(
        b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"\x12\x54\xc3\x67" + inner
    )


def lying_wav(path: Path) -> None:
    """Let a WAV of a second claim 4 GiB of sound."""
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    path.write_bytes(head + struct.pack("<4sI", b"data", 0xFFFFFFF0) + bytes(16000))


def external_data(source: Path, path: Path, secret: Path) -> None:
    """Let an MP4 say that its data lies in another file."""
    data = source.read_bytes()
    at = data.index(b"url \0\0\0\1")
    path.write_bytes(data[: at + 7] + b"\0" + data[at + 8 :] + hostile.box(b"free", str(secret).encode()))


RECORDINGS: Final[Mapping[str, Bad]] = {
    "truncated.mp4": Bad(_of("h264-aac.mp4", hostile.truncated), DAMAGED),
    "truncated.avi": Bad(_of("mpeg4-mp3.avi", hostile.truncated), EITHER),
    "truncated.mkv": Bad(_of("h264-opus.mkv", hostile.truncated), DAMAGED),
    "flipped.mp4": Bad(_of("h264-aac.mp4", hostile.flipped), EITHER),
    "flipped.mkv": Bad(_of("h264-opus.mkv", hostile.flipped), EITHER),
    "hole.ts": Bad(_of("h264-aac.ts", hostile.with_hole), DAMAGED),
    "no-index.mp4": Bad(_of("h264-aac.mp4", hostile.without_index), reason="media.no_index"),
    "hollow.mp4": Bad(_of("h264-aac.mp4", hollow), reason="media.unreadable"),
    "overflow.mp4": Bad(_of("h264-aac.mp4", overflowing), ANY),
    "streams.mp4": Bad(_of("silent.mp4", hostile.many_tracks), reason="media.too_many_streams"),
    "endless.mp4": Bad(_of("silent.mp4", hostile.endless), reason="media.too_long"),
    "deep.mp4": Bad(_plain(deep), reason="media.unreadable"),
    "deep.mkv": Bad(_plain(deep_matroska), reason="media.unreadable"),
    "lying.wav": Bad(_plain(lying_wav), EITHER),
    "elsewhere.mp4": Bad(lambda scene, path: external_data(scene.clip("silent.mp4"), path, scene.secret), ANY),
    "zeros.mp4": Bad(_bytes(bytes(100_000)), reason="media.not_media"),
}

# ---- what points elsewhere, and what is something else than its name says -------------------------------------------

DISGUISES: Final[Mapping[str, Bad]] = {
    "network-playlist.mp4": Bad(
        lambda scene, path: hostile.playlist(path, target=f"{scene.address}/x.ts"), reason="media.not_media"
    ),
    "local-playlist.mp4": Bad(
        lambda scene, path: hostile.playlist(path, target=str(scene.secret)), reason="media.not_media"
    ),
    "concat.mp4": Bad(
        lambda scene, path: hostile.concat_script(path, target=str(scene.secret)), reason="media.not_media"
    ),
    "session.mp4": Bad(
        lambda scene, path: path.write_text(f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nu={scene.address}\r\n"),
        reason="media.not_media",
    ),
    "manifest.mp4": Bad(
        lambda scene, path: path.write_text(f"<?xml version='1.0'?><MPD><BaseURL>{scene.address}/</BaseURL></MPD>"),
        reason="media.not_media",
    ),
    "frame%03d.jpg": Bad(_copied("photo.jpg"), PLAYS, kind="photo"),
    "-i.mp4": Bad(_copied("silent.mp4"), PLAYS, kind="footage"),
    "photo.mp4": Bad(_copied("photo.jpg"), PLAYS, kind="photo"),
    "recording.txt": Bad(_copied("h264-aac.mp4"), PLAYS, kind="footage"),
    "text.mp4": Bad(_plain(hostile.text_as_mp4), PLAYS, kind="document"),
    "nothing.mp4": Bad(_plain(hostile.nothing_as_mp4), reason="media.not_media"),
    "program.mp4": Bad(_bytes(b"\x7fELF\x02\x01\x01" + bytes(2000)), reason="media.not_media"),
    "pdf-and-zip.pdf": Bad(
        lambda _, path: path.write_bytes(
            papers.pdf_of(path.with_suffix(".a"), [papers.line("Both")]).read_bytes()
            + papers.zip_file(path.with_suffix(".b"), {"x": b"y"}).read_bytes()
        ),
        PLAYS,
        kind="document",
    ),
    "jpeg-and-zip.jpg": Bad(
        lambda scene, path: path.write_bytes(
            scene.clip("photo.jpg").read_bytes() + papers.zip_file(path.with_suffix(".b"), {"x": b"y"}).read_bytes()
        ),
        PLAYS,
        kind="photo",
    ),
    "gif-and-script.gif": Bad(_bytes(b"GIF89a/*\1\1\0\0\0*/=1;alert(1);//"), ANY, kind="photo"),
}

# ---- pictures -------------------------------------------------------------------------------------------------------

PICTURES: Final[Mapping[str, Bad]] = {
    f"bomb.{kind}": Bad(_plain(make), reason="media.picture_too_large", kind="photo")
    for kind, make in {
        "png": hostile.png_bomb,
        "jpg": hostile.jpeg_bomb,
        "tiff": hostile.tiff_bomb,
        "gif": hostile.gif_bomb,
        "bmp": hostile.bmp_bomb,
        "webp": hostile.webp_bomb,
        "heic": hostile.heif_bomb,
    }.items()
}

# ---- documents and archives -----------------------------------------------------------------------------------------


def entity_bomb(path: Path) -> None:
    """Write XML whose entities unfold a billionfold."""
    entities = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10))
    path.write_text(f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol">{entities}]><x>&e9;</x>', encoding="utf-8")


def foreign_entity(path: Path, secret: Path) -> None:
    """Write XML that wants a file of the machine put into it."""
    told = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY s SYSTEM "file://{secret}">]><x>&s;</x>'
    path.write_text(told, encoding="utf-8")


def docx_of_foreign_entities(path: Path, secret: Path) -> None:
    """Make a DOCX whose text wants a file of the machine, and whose entities unfold a millionfold."""
    entities = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 7))
    declared = f'<!DOCTYPE x [<!ENTITY e0 "lol">{entities}<!ENTITY s SYSTEM "file://{secret}">]>'
    made = papers.docx(path, ["x"])
    parts = papers.parts_of(made)
    name = "word/document.xml"
    parts[name] = parts[name].replace(b"?>", b"?>" + declared.encode(), 1).replace(b">x<", b">&s;&e6;<")
    papers.zip_file(path, parts)


def biting_pdf(path: Path) -> None:
    """Make a PDF whose tree of pages holds itself."""
    made = papers.pdf_of(path, [papers.line("x")]).read_bytes()
    path.write_bytes(made.replace(b"/Kids [10 0 R]", b"/Kids [2 0 R ]"))


DOCUMENTS: Final[Mapping[str, Bad]] = {
    "harm.pdf": Bad(lambda scene, path: papers.pdf_with_harm(path, scene.address), PLAYS),
    "bomb.pdf": Bad(_plain(lambda path: papers.pdf_bomb(path, megabytes=60)), PLAYS),
    "giant.pdf": Bad(_plain(papers.pdf_of_a_giant_page), PLAYS),
    "biting.pdf": Bad(_plain(biting_pdf), ANY),
    "encrypted.pdf": Bad(_plain(papers.encrypted_pdf), reason="media.encrypted"),
    "broken.pdf": Bad(_bytes(b"%PDF-1.7\n" + bytes(5000)), reason="media.unreadable"),
    "drawing.svg": Bad(
        lambda scene, path: path.write_text(f"<svg><script>fetch('{scene.address}')</script></svg>"), PLAYS
    ),
    "page.html": Bad(lambda scene, path: path.write_text(f"<html><img src='{scene.address}/x.png'></html>"), PLAYS),
    "bomb.xml": Bad(_plain(entity_bomb), PLAYS),
    "entity.xml": Bad(lambda scene, path: foreign_entity(path, scene.secret), PLAYS),
    "long-line.txt": Bad(_bytes(b"x" * 3_000_000), PLAYS),
    "formula.csv": Bad(_bytes(b'=HYPERLINK("http://x","y"),=1+1\n@SUM(A1)\n'), PLAYS),
}

OFFICE: Final[Mapping[str, Bad]] = {
    "harm.docx": Bad(lambda scene, path: papers.docx_with_harm(path, scene.address), PLAYS),
    "entities.docx": Bad(lambda scene, path: docx_of_foreign_entities(path, scene.secret), ANY),
    "broken.docx": Bad(
        lambda _, path: path.write_bytes(papers.docx(path, ["x"]).read_bytes()[:700]), reason="media.unreadable"
    ),
    "hollow.doc": Bad(_bytes(papers.compound("WordDocument")), ANY),
}

ARCHIVES: Final[Mapping[str, Bad]] = {
    "bomb.zip": Bad(_plain(lambda path: papers.zip_bomb(path, megabytes=20)), PLAYS),
    "bomb.tar.gz": Bad(_plain(lambda path: papers.tar_gz_bomb(path, megabytes=100)), PLAYS),
    "escape.zip": Bad(
        _plain(lambda path: papers.zip_file(path, {"../../../etc/cron.d/x": b"", "/root/x": b""})), PLAYS
    ),
    "escape.tar": Bad(_plain(lambda path: papers.tar_file(path, ["../../x", "/etc/x"], mode="w:")), PLAYS),
    "encrypted.zip": Bad(_plain(papers.encrypted_zip), PLAYS),
    "many.zip": Bad(
        _plain(lambda path: papers.zip_file(path, {f"{number}": b"" for number in range(10_050)}, compression=0)), PLAYS
    ),
    "names.zip": Bad(
        _plain(lambda path: papers.zip_file(path, {"\u202egpj.exe": b"", "a\nb": b"", "x" * 5000: b"", "=1+1": b""})),
        PLAYS,
    ),
    "cut.zip": Bad(lambda _, path: path.write_bytes(papers.zip_file(path, {"x": b"y" * 99}).read_bytes()[:60]), ANY),
    "cut.gz": Bad(_bytes(gzip.compress(b"x" * 1000)[:-20]), ANY),
    "broken.7z": Bad(_bytes(b"7z\xbc\xaf\x27\x1c\0\4" + b"\xff" * 200), reason="media.unreadable"),
    "broken.rar": Bad(_bytes(b"Rar!\x1a\x07\x01\0" + b"\xff" * 200), ANY),
    "broken.iso": Bad(_bytes(bytes(32768) + b"\x01CD001\x01" + b"\xff" * 40_000), ANY),
}

CORPUS: Final[Mapping[str, Bad]] = {
    **RECORDINGS,
    **DISGUISES,
    **PICTURES,
    **{name: Bad(bad.make, bad.ends, bad.reason, "document") for name, bad in {**DOCUMENTS, **OFFICE}.items()},
    **{name: Bad(bad.make, bad.ends, bad.reason, "archive") for name, bad in ARCHIVES.items()},
}


def make(scene: Scene, name: str) -> bytes:
    """Return the bytes of one file of the corpus."""
    folder = scene.folder / "corpus"
    folder.mkdir(exist_ok=True)
    CORPUS[name].make(scene, folder / name)
    return (folder / name).read_bytes()


def starts(*, seed: int = 20260302) -> dict[str, bytes]:
    """Return for each kind of file a beginning that is right, followed by 4 KiB of chance."""
    chance = random.Random(seed)
    heads = {
        "mp4": b"\0\0\0\x20ftypisom" + bytes(20),
        "moov": b"\0\0\x10\0moov\0\0\0\x6cmvhd",
        "moof": b"\0\0\x10\0moof\0\0\0\x6cmfhd",
        "mkv": b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska",
        "avi": b"RIFF\xff\xff\0\0AVI LIST\xff\xff\0\0hdrlavih",
        "wav": b"RIFF\xff\xff\0\0WAVEfmt \x10\0\0\0",
        "webp": b"RIFF\xff\xff\0\0WEBPVP8 \xff\x0f\0\0",
        "asf": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
        "flv": b"FLV\1\5\0\0\0\x09\0\0\0\0",
        "ps": b"\0\0\1\xba\x44",
        "imkh": b"IMKH" + bytes(36) + b"\0\0\1\xba\x44",
        "dhav": b"DHAV\xfd\0\0\0",
        "ogg": b"OggS\0\2",
        "flac": b"fLaC\0\0\0\x22",
        "amr": b"#!AMR\n",
        "mp3": b"\xff\xfb\x90\x44",
        "aac": b"\xff\xf1\x50\x80",
        "ac3": b"\x0b\x77\x12\x34\x40\x40",
        "caf": b"caff\0\1\0\0desc",
        "aiff": b"FORM\0\0\xff\xffAIFFCOMM",
        "au": b".snd\0\0\0\x18\0\0\xff\xff\0\0\0\1",
        "ivf": b"DKIF\0\0\x20\0VP80",
        "mxf": b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02\x04\0",
        "dv": b"\x1f\x07\0\x3f",
        "h264": b"\0\0\0\1\x67\x42",
        "hevc": b"\0\0\0\1\x40\x01",
        "h263": b"\0\0\x80\x02\x08",
        "m4v": b"\0\0\1\xb0\x01\0\0\1\xb5",
        "m2v": b"\0\0\1\xb3\x16\0\xf0",
        "jpeg": hostile.jpeg_head(64, 64) + b"\xff\xda\0\x08\1\1\0\0\x3f\0",
        "png": hostile.png(64, 64)[:41],
        "gif": b"GIF89a\x40\0\x40\0\xf7\0\0",
        "bmp": b"BM" + struct.pack("<IHHI", 9000, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 64, 64, 1, 24, *[0] * 6),
        "tiff": b"II*\0\x08\0\0\0\x08\0",
        "dng": struct.pack("<2sHIHHHII", b"II", 42, 8, 9, 0xC612, 1, 4, 0x401),
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\x10\0meta\0\0\0\0\0\0\0\x14ispe\0\0\0\0\0\0\0\x40\0\0\0\x40",
        "raf": b"FUJIFILMCCD-RAW 0201",
    }
    return {name: head + chance.randbytes(4096) for name, head in heads.items()}
