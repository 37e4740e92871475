"""Seals, strokes and lines as drawings, and what parties wrote as records."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from archive.documents.faces import SONG
from archive.kernel.canonical import canonical_json
from signing.appearances import Line, PictureRefused, lines_appearance, picture_appearance
from signing.document_fields import FieldsRefused, seam_boxes
from signing.hand_signatures import (
    HandRecordUnreadable,
    HandSignature,
    HandSignatureRefused,
    Point,
    Refusal,
    deflate,
    inflate,
    read_record,
)
from signing.seals import LEAST_SLICE_MM, SEAL_MM, SEAL_POINTS, SealNameRefused, pages_per_seal, round_seal, slices_of
from signing.typefaces import Typeface, TypefaceRefused

FACE = Typeface(SONG)


@given(some.integers(min_value=0, max_value=6000))
def test_seals_across_pages_go_over_all_pages_with_slices_that_can_be_told(pages: int) -> None:
    parts = pages_per_seal(pages)
    assert sum(parts) == (pages if pages > 1 else 0)
    assert all(each >= 2 and SEAL_MM / each >= LEAST_SLICE_MM for each in parts)


def test_slices_together_are_the_seal() -> None:
    seal = round_seal(FACE, name="昆明市市场监督管理局")
    slices = slices_of(seal, 5)
    assert sum(each.width for each in slices) == pytest.approx(SEAL_POINTS)
    assert all(each.parts["Seal"] is seal for each in slices)


@pytest.mark.parametrize(("name", "line"), [("", ""), ("局" * 41, ""), ("局", "章" * 13)])
def test_a_seal_without_a_name_or_with_too_long_a_one_is_refused(name: str, line: str) -> None:
    with pytest.raises(SealNameRefused):
        round_seal(FACE, name=name, line=line)


def test_a_character_that_the_face_lacks_is_told() -> None:
    with pytest.raises(TypefaceRefused):
        round_seal(FACE, name="𠮷局")
    assert FACE.shownable("𠮷野") == "〔U+20BB7〕野"


def test_a_face_that_is_none_is_refused(tmp_path: object) -> None:
    with pytest.raises(TypefaceRefused):
        Typeface(SONG.parent / "OFL.txt").subset("a")


def test_lines_are_made_smaller_where_they_do_not_fit() -> None:
    wide = lines_appearance(FACE, [Line("昆明市市场监督管理局" * 4, 16)], width=100, height=40)
    assert b"/Text 2.4" in wide.content


def test_the_same_text_gives_the_same_font() -> None:
    assert FACE.subset("局长") is FACE.subset("长局局")


def png(mode: str, size: tuple[int, int] = (3, 2)) -> bytes:
    out = BytesIO()
    Image.new(mode, size).save(out, "PNG")
    return out.getvalue()


def test_a_picture_keeps_its_transparency() -> None:
    [clear] = picture_appearance(png("RGBA"), width=10, height=10).pictures.values()
    [opaque] = picture_appearance(png("RGB"), width=10, height=10).pictures.values()
    assert clear.opacity == bytes(6)
    assert opaque.opacity is None
    assert len(clear.samples) == len(opaque.samples) == 18


@pytest.mark.parametrize("made", [b"", b"GIF89a", png("RGB")[:40], png("L", (4001, 1))])
def test_what_is_no_picture_is_refused(made: bytes) -> None:
    with pytest.raises(PictureRefused):
        picture_appearance(made, width=10, height=10)


POINTS = some.builds(Point, some.integers(0, 200_000), some.integers(0, 100_000), some.just(0), some.integers(0, 1000))
SIGNATURES = some.builds(
    HandSignature,
    some.text(min_size=1, max_size=9).filter(str.isprintable),
    some.lists(some.lists(POINTS, min_size=1), min_size=1),
)


@given(SIGNATURES)
def test_what_a_hand_wrote_is_read_back_as_it_was(signature: HandSignature) -> None:
    assert read_record(inflate(deflate(signature.record()))) == signature
    assert signature.appearance(width=100, height=40).content


@given(*[some.text(min_size=1, max_size=50).filter(str.isprintable)] * 3)
def test_a_refusal_is_read_back_as_it_was(party: str, reason: str, witness: str) -> None:
    refusal = Refusal(party, reason, witness, "recording 7")
    assert read_record(inflate(deflate(refusal.record()))) == refusal


@pytest.mark.parametrize(
    "strokes",
    [
        [],
        [[]],
        [[Point(0, 0, 5, 0)], [Point(0, 0, 4, 0)]],
        [[Point(-1, 0, 0, 0)]],
        [[Point(0, 0, 0, 1001)]],
        [[Point(0, 0, 0, 0)] * 50_001],
    ],
)
def test_strokes_that_no_hand_made_are_refused(strokes: list[list[Point]]) -> None:
    with pytest.raises(HandSignatureRefused):
        HandSignature("李四", strokes)


def test_a_refusal_names_reason_and_witness() -> None:
    with pytest.raises(HandSignatureRefused):
        Refusal("李四", "", "王五")


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{}",
        canonical_json({"kind": "signature", "party": "a", "points": [[[0, 0, 0]]], "unit": "um", "v": 1}),
        canonical_json({"kind": "signature", "party": "a", "points": [[[0, 0, 0, 0]]], "unit": "mm", "v": 1}),
        canonical_json({"kind": "refusal", "party": "a", "reason": "b", "recording": "", "witness": "c", "v": 2}),
        canonical_json([1]),
    ],
)
def test_other_records_are_not_read(record: bytes) -> None:
    with pytest.raises(HandRecordUnreadable):
        read_record(record)


@pytest.mark.parametrize(
    "sealed", [b"", b"x", b"no stream at all", deflate(b"{}") + b"x", deflate(bytes(5 * 1024 * 1024))]
)
def test_what_does_not_inflate_is_not_read(sealed: bytes) -> None:
    with pytest.raises(HandRecordUnreadable):
        inflate(sealed)


def test_seals_go_over_exactly_the_pages() -> None:
    with pytest.raises(FieldsRefused):
        seam_boxes([(595, 842)] * 3, slices=[2], seal_height=SEAL_POINTS)
