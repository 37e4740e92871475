"""What a file is follows from its bytes, never from its name."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.media.allowed import FORMATS, Kind, input_options
from ingest.media.papers import PAPERS
from ingest.media.sniff import sniff
from tests.support import hostile

TS = (b"\x47" + bytes(187)) * 6
M2TS = (bytes(4) + b"\x47" + bytes(187)) * 6
TS204 = (b"\x47" + bytes(203)) * 6
RAW_TIFF = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0xC612, 1, 4, 0x401) + bytes(4)
TIFF = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x100, 4, 1, 640) + bytes(4)
JPEG = hostile.jpeg_head(64, 48) + b"\xff\xda\0\2pixels\xff\xd9"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x20ftypisom" + bytes(20), "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov"),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "matroska"),
        (TS, "mpegts"),
        (bytes(37) + TS, "mpegts"),
        (M2TS, "mpegts"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"RF64\0\0\0\0WAVEds64", "wav"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp_pipe"),
        (b"\0\0\1\xba" + bytes(20), "mpeg"),
        (b"DHAV" + bytes(20), "dhav"),
        (b"DAHUA" + bytes(20), "dhav"),
        (b"IMKH" + bytes(36) + b"\0\0\1\xba", "mpeg"),
        (TS204, "mpegts"),
        (b"FLV\1\5" + bytes(20), "flv"),
        (b"OggS" + bytes(20), "ogg"),
        (b"fLaC" + bytes(20), "flac"),
        (b"#!AMR\n" + bytes(20), "amr"),
        (b"#!AMR-WB\n" + bytes(20), "amr"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "jpeg_pipe"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "png_pipe"),
        (b"GIF89a" + bytes(20), "gif"),
        (b"BM" + bytes(4) + bytes(4) + b"\x36\0\0\0\x28\0\0\0" + bytes(20), "bmp_pipe"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "heic"),
        (b"\0\0\0\x18ftypmif1" + bytes(20), "heic"),
        (b"\0\0\0\x18ftypavif" + bytes(20), "avif"),
        (b"\0\0\0\x18ftypcrx " + bytes(20), "raw"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(20), "raw"),
        (RAW_TIFF, "raw"),
        (TIFF, "tiff_pipe"),
        (b"MM\0*" + bytes(40), "tiff_pipe"),
        (JPEG * 2, "jpeg_pipe"),
        (JPEG * 3, "mjpeg"),
        (JPEG + JPEG + hostile.jpeg_head(32, 48) + b"\xff\xda\0\2\xff\xd9", "jpeg_pipe"),
        (b"\x1f\x07\0\x3f" + bytes(20), "dv"),
        (b"caff\0\1\0\0" + bytes(20), "caf"),
        (b"FORM\0\0\0\0AIFFCOMM", "aiff"),
        (b".snd\0\0\0\x18" + bytes(20), "au"),
        (b"DKIF\0\0\x20\0VP80" + bytes(20), "ivf"),
        (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01" + bytes(20), "mxf"),
        (b"\x0b\x77\x12\x34\x40\x40" + bytes(20), "ac3"),
        (b"\x0b\x77\x01\xff\x04\x80" + bytes(20), "eac3"),
        (b"\0\0\x80\x02\x08" + bytes(20), "h263"),
        (b"\0\0\1\xb0\x01\0\0\1\xb5" + bytes(20), "m4v"),
        (b"\0\0\1\0\0\0\1\x20\0" + bytes(20), "m4v"),
        (b"\0\0\1\xb3\x16\0\xf0" + bytes(20), "mpegvideo"),
        (b"\0\0\0\1\x67\x42" + bytes(20), "h264"),
        (b"\0\0\1\x09\x10" + bytes(20), "h264"),
        (b"\0\0\0\1\x40\x01" + bytes(20), "hevc"),
        (b"\xff\xf1\x50\x80" + bytes(20), "aac"),
        (b"\xff\xfb\x90\x44" + bytes(20), "mp3"),
        (b"ID3\4\0\0\0\0\0\5" + bytes(5) + b"\xff\xfb\x90\0", "mp3"),
        (b"ID3\4\0\0\0\0\0\5" + bytes(5) + b"\xff\xf1\x90\0", "aac"),
    ],
)
def test_known_starts(data: bytes, name: str) -> None:
    found = sniff(io.BytesIO(data))
    assert found.format_name == name
    assert found.format is FORMATS[name]
    assert found.kind is FORMATS[name].kind


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"", Kind.OTHER, "media.not_media"),
        (b"#EXTM3U\nfile:///etc/shadow\n", Kind.OTHER, "media.not_media"),
        (b"\xef\xbb\xbf#EXTM3U\n", Kind.OTHER, "media.not_media"),
        (b"ffconcat version 1.0\nfile x.mp4\n", Kind.OTHER, "media.not_media"),
        (b"file 'x.mp4'\n", Kind.OTHER, "media.not_media"),
        (b"<?xml version='1.0'?><MPD/>", Kind.OTHER, "media.not_media"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", Kind.OTHER, "media.not_media"),
        (b"MZ" + bytes(62), Kind.OTHER, "media.not_media"),
        (bytes(64), Kind.OTHER, "media.not_media"),
    ],
)
def test_what_nothing_may_touch(data: bytes, kind: Kind, code: str) -> None:
    found = sniff(io.BytesIO(data))
    assert (found.format_name, found.kind, found.code) == ("", kind, code)
    assert found.message


@given(st.binary(max_size=2048))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    found = sniff(io.BytesIO(data))
    assert (found.format_name in FORMATS) + (found.media_type in PAPERS) + bool(found.code) == 1


def test_lists_that_point_elsewhere_have_no_demuxer() -> None:
    pointing = {"hls", "dash", "concat", "sdp", "image2", "rtsp", "applehttp", "tee", "imf", "lavfi"}
    assert not pointing & {row.demuxer for row in FORMATS.values()}


def test_what_goes_through_another_program_never_reaches_ffmpeg() -> None:
    through = {name for name, row in FORMATS.items() if row.through}
    assert through == {"heic", "avif", "raw"}
    for name in through:
        with pytest.raises(KeyError):
            input_options(name)


@pytest.mark.parametrize("name", sorted(name for name, row in FORMATS.items() if row.demuxer))
def test_the_forced_demuxer_is_the_only_one_allowed(name: str) -> None:
    options = input_options(name)
    assert options["f"] == options["format_whitelist"] == FORMATS[name].demuxer
    assert options["protocol_whitelist"] == "file,pipe"
    assert "magicyuv" not in str(options["codec_whitelist"])


def test_the_bomb_is_a_png_by_its_bytes() -> None:
    assert sniff(io.BytesIO(hostile.png(9, 9))).format_name == "png_pipe"
