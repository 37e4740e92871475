"""The boxes of an MP4: wholeness and gaps, from tables made by hand."""

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingest.media.boxes import Gap, layout, tracks


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def movie(runs: list[tuple[int, int]], *, scale: int = 1000, empty_ms: int = 0, count: int | None = None) -> bytes:
    table = b"".join(struct.pack(">II", amount, delta) for amount, delta in runs)
    stts = box(b"stts", bytes(4), struct.pack(">I", len(runs) if count is None else count), table)
    edits = b""
    if empty_ms:
        entries = struct.pack(">IiI", empty_ms, -1, 1 << 16) + struct.pack(">IiI", 1000, 0, 1 << 16)
        edits = box(b"edts", box(b"elst", bytes(4), struct.pack(">I", 2), entries))
    media = box(
        b"mdia",
        box(b"mdhd", bytes(12), struct.pack(">II", scale, 0), bytes(4)),
        box(b"hdlr", bytes(8), b"vide", bytes(12)),
        box(b"minf", box(b"stbl", stts)),
    )
    head = box(b"mvhd", bytes(12), struct.pack(">II", 1000, 0), bytes(80))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", head, box(b"trak", edits, media))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_an_even_track_has_no_gap(tmp_path: Path) -> None:
    (track,) = tracks(written(tmp_path / "x", movie([(250, 40)])))
    assert (track.handler, track.start_ms, track.end_ms, track.samples, track.gaps) == ("vide", 0, 10_000, 250, ())


def test_a_long_sample_is_a_gap(tmp_path: Path) -> None:
    (track,) = tracks(written(tmp_path / "x", movie([(100, 40), (1, 3040), (100, 40)])))
    assert track.gaps == (Gap(4040, 7040),)


def test_a_slow_recording_has_no_gaps(tmp_path: Path) -> None:
    """One picture a second is a way to record, not a recording with holes."""
    (track,) = tracks(written(tmp_path / "x", movie([(60, 1000)])))
    assert track.gaps == ()


def test_a_late_start_is_where_the_track_begins(tmp_path: Path) -> None:
    (track,) = tracks(written(tmp_path / "x", movie([(25, 40)], empty_ms=2500)))
    assert (track.start_ms, track.end_ms) == (2500, 3500)


def test_a_table_that_lies_about_its_length(tmp_path: Path) -> None:
    (track,) = tracks(written(tmp_path / "x", movie([(25, 40)], count=2**32 - 1)))
    assert track.samples == 25


def test_what_a_box_declares_beyond_the_end_is_missing(tmp_path: Path) -> None:
    whole = movie([(25, 40)]) + box(b"mdat", bytes(1000))
    assert layout(written(tmp_path / "whole", whole)).missing_bytes == 0
    assert layout(written(tmp_path / "cut", whole[:-400])).missing_bytes == 400
    assert layout(written(tmp_path / "cut", whole)).has_index
    assert not layout(written(tmp_path / "none", box(b"mdat", bytes(10)))).has_index


def test_large_boxes(tmp_path: Path) -> None:
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 5_000_000_000) + bytes(50)
    assert layout(written(tmp_path / "x", large)).missing_bytes == 5_000_000_000 - 50


@given(
    flips=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 500),
)
def test_broken_bytes_have_an_answer(tmp_path_factory: object, flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(movie([(100, 40), (1, 3040)], empty_ms=10))
    for at, value in flips:
        if at < len(data):
            data[at] = value
    path = tmp_path_factory.mktemp("boxes") / "x"  # type: ignore[attr-defined]
    path.write_bytes(bytes(data[: len(data) - cut]) if cut < len(data) else b"")
    layout(path)
    for track in tracks(path):
        assert len(track.gaps) <= 1000
