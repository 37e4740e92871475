"""What a file is follows from its bytes, never from its name."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.media.allowed import FORMATS, Kind, input_options
from ingest.media.sniff import sniff
from tests.support import hostile

TS = (b"\x47" + bytes(187)) * 6
M2TS = (bytes(4) + b"\x47" + bytes(187)) * 6


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
        (b"FLV\1\5" + bytes(20), "flv"),
        (b"OggS" + bytes(20), "ogg"),
        (b"fLaC" + bytes(20), "flac"),
        (b"#!AMR\n" + bytes(20), "amr"),
        (b"#!AMR-WB\n" + bytes(20), "amr"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "jpeg_pipe"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "png_pipe"),
        (b"GIF89a" + bytes(20), "gif"),
        (b"BM" + bytes(4) + bytes(4) + b"\x36\0\0\0\x28\0\0\0" + bytes(20), "bmp_pipe"),
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
        (b"Notes of the inspection\n", Kind.OTHER, "media.not_media"),
        ("检查笔录".encode(), Kind.OTHER, "media.not_media"),
        (b"%PDF-1.7\n", Kind.DOCUMENT, "media.not_media"),
        (b"#EXTM3U\nfile:///etc/shadow\n", Kind.OTHER, "media.not_media"),
        (b"\xef\xbb\xbf#EXTM3U\n", Kind.OTHER, "media.not_media"),
        (b"ffconcat version 1.0\nfile x.mp4\n", Kind.OTHER, "media.not_media"),
        (b"<?xml version='1.0'?><MPD/>", Kind.OTHER, "media.not_media"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", Kind.OTHER, "media.not_media"),
        (b"PK\3\4" + bytes(20), Kind.OTHER, "media.not_media"),
        (b"MZ" + bytes(62), Kind.OTHER, "media.not_media"),
        (b"\0\0\0\x18ftypheic" + bytes(20), Kind.PHOTO, "media.format_not_allowed"),
        (b"BM is how this text begins", Kind.OTHER, "media.not_media"),
    ],
)
def test_what_no_demuxer_may_touch(data: bytes, kind: Kind, code: str) -> None:
    found = sniff(io.BytesIO(data))
    assert (found.format_name, found.kind, found.code) == ("", kind, code)
    assert found.message


@given(st.binary(max_size=2048))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    found = sniff(io.BytesIO(data))
    assert (found.format_name in FORMATS) != bool(found.code)


def test_lists_that_point_elsewhere_have_no_demuxer() -> None:
    pointing = {"hls", "dash", "concat", "sdp", "image2", "rtsp", "applehttp", "tee", "imf", "lavfi"}
    assert not pointing & {row.demuxer for row in FORMATS.values()}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_forced_demuxer_is_the_only_one_allowed(name: str) -> None:
    options = input_options(name)
    assert options["f"] == options["format_whitelist"] == FORMATS[name].demuxer
    assert options["protocol_whitelist"] == "file,pipe"
    assert "magicyuv" not in str(options["codec_whitelist"])


def test_the_bomb_is_a_png_by_its_bytes() -> None:
    assert sniff(io.BytesIO(hostile.png(9, 9))).format_name == "png_pipe"
