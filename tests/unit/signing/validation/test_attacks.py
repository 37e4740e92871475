"""Known attacks on PDF signatures, each made byte by byte; none is ever valid, each is named.

Source: Mladenov, Mainka and others, "1 Trillion Dollar Refund" (CCS 2019): universal forgery, incremental saving,
wrapping; Mainka and others, "Shadow Attacks" (NDSS 2021); Rohlmann and others, "Breaking the Specification" (S&P 2021):
evil annotation, sneaky signature.
"""

import re
from collections.abc import Callable

import pytest
from pyhanko.sign.fields import MDPPerm, SigFieldSpec

from archive.kernel.findings import Outcome
from tests.support import pdf_bytes
from tests.support.pdf_bytes import append, byte_range, object_text, plain, stream
from tests.support.signed_pdfs import CHECKED_AT, World
from tests.unit.signing.validation.test_documents import bad

FORGED = stream(b"BT /F1 18 Tf 72 720 Td (Fine: 0 yuan) Tj ET")
COVER = stream(b"1 g 60 700 300 60 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 595 842]")


def page_with(pdf: bytes, more: bytes) -> bytes:
    return object_text(pdf, 3).rstrip(b">").rstrip() + b" " + more + b" >>"


# ---- incremental saving ---------------------------------------------------------------------------------------------


def other_content(pdf: bytes) -> bytes:
    return append(pdf, {4: FORGED})


def copied_page(pdf: bytes) -> bytes:
    new = pdf_bytes.free_number(pdf)
    page = object_text(pdf, 3).replace(b"/Contents 4 0 R", b"/Contents %d 0 R" % new)
    return append(pdf, {3: page, new: FORGED})


def another_page_tree(pdf: bytes) -> bytes:
    new = pdf_bytes.free_number(pdf)
    catalog = object_text(pdf, 1).replace(b"/Pages 2 0 R", b"/Pages %d 0 R" % new)
    page = b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R >>" % (new, new + 2)
    pages = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (new + 1)
    return append(pdf, {1: catalog, new: pages, new + 1: page, new + 2: FORGED})


def another_catalog(pdf: bytes) -> bytes:
    new = pdf_bytes.free_number(pdf)
    catalog = object_text(pdf, 1).replace(b"/Pages 2 0 R", b"/Pages %d 0 R" % (new + 1))
    pages = b"<< /Type /Pages /Kids [] /Count 0 >>"
    out = append(pdf, {new: catalog, new + 1: pages})
    head, _, tail = out.rpartition(b"/Root 1 0 R")
    return head + b"/Root %d 0 R" % new + tail


def other_font(pdf: bytes) -> bytes:
    return append(pdf, {5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Symbol >>"})


def one_more_page(pdf: bytes) -> bytes:
    new = pdf_bytes.free_number(pdf)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>"
    return append(pdf, {2: b"<< /Type /Pages /Kids [3 0 R %d 0 R] /Count 2 >>" % new, new: page})


def without_table(pdf: bytes) -> bytes:
    return pdf + b"4 0 obj\n" + FORGED + b"\nendobj\n"


def with_a_tail_only(pdf: bytes) -> bytes:
    return pdf + b"4 0 obj\n" + FORGED + b"\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


def with_a_wrong_trailer(pdf: bytes) -> bytes:
    return pdf + b"4 0 obj\n" + FORGED + b"\nendobj\nxref\n0 0\ntrailer\n<< /Root 1 0 R >>\nstartxref\n9\n%%EOF\n"


def without_previous(pdf: bytes) -> bytes:
    return re.sub(rb"/Prev \d+ /ID", b"/ID", other_content(pdf))


def object_freed(pdf: bytes) -> bytes:
    return pdf_bytes.free(pdf, 4)


def compressed_away(pdf: bytes) -> bytes:
    return append(pdf, {4: b"null"})


def new_metadata_and_content(pdf: bytes) -> bytes:
    new = pdf_bytes.free_number(pdf)
    xmp = stream(b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", b"/Type /Metadata /Subtype /XML")
    catalog = re.sub(rb"/Metadata \d+ 0 R", b"", object_text(pdf, 1)).rstrip(b">").rstrip()
    catalog += b" /Metadata %d 0 R >>" % new
    return append(pdf, {1: catalog, new: xmp, 4: FORGED})


def script_added(pdf: bytes) -> bytes:
    catalog = object_text(pdf, 1).rstrip(b">").rstrip() + b" /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> >>"
    return append(pdf, {1: catalog})


CHANGED = {"signature.changed_after"}


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (other_content, CHANGED),
        (copied_page, CHANGED),
        (another_page_tree, CHANGED),
        (another_catalog, CHANGED),
        (other_font, CHANGED),
        (one_more_page, CHANGED),
        (object_freed, CHANGED),
        (compressed_away, CHANGED),
        (new_metadata_and_content, CHANGED),
        (script_added, CHANGED | {"document.active_content"}),
        (without_table, {"document.trailing_bytes", "document.hidden_objects"}),
        (with_a_tail_only, {"document.trailing_bytes", "document.odd_end"}),
        (with_a_wrong_trailer, {"document.unreadable"}),
        (without_previous, {"document.revisions_broken"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_incremental_saving(world: World, signed: bytes, attack: Callable[[bytes], bytes], named: set[str]) -> None:
    forged = attack(signed)
    assert forged != signed
    verdict = world.judge(forged)
    assert verdict.outcome is not Outcome.VALID
    assert named <= verdict.codes
    if named == CHANGED:
        assert verdict.outcome is Outcome.INVALID


def test_an_attack_after_a_second_signature(world: World, signed: bytes) -> None:
    both = world.sign(signed, by=world.second, field="Sig2")
    verdict = world.judge(other_content(both))
    assert all("signature.changed_after" in {found.code for found in each.findings} for each in verdict.signatures)
    assert verdict.outcome is Outcome.INVALID


def test_content_changed_between_two_signatures(world: World, signed: bytes) -> None:
    verdict = world.judge(world.sign(other_content(signed), by=world.second, field="Sig2"))
    first, second = verdict.signatures
    assert (first.outcome, second.outcome, verdict.outcome) == (Outcome.INVALID, Outcome.VALID, Outcome.INVALID)


# ---- universal signature forgery ------------------------------------------------------------------------------------


def _replaced(pdf: bytes, pattern: bytes, by: bytes) -> bytes:
    found = re.search(pattern, pdf, re.DOTALL)
    assert found is not None
    return pdf[: found.start()] + by.ljust(found.end() - found.start()) + pdf[found.end() :]


_CONTENTS = rb"/Contents <[0-9a-fA-F]+>"
_RANGE = rb"/ByteRange \[[^\]]*\]"
FORGERIES: dict[str, tuple[bytes, bytes]] = {
    "contents missing": (_CONTENTS, b""),
    "contents empty": (_CONTENTS, b"/Contents <>"),
    "contents null": (_CONTENTS, b"/Contents null"),
    "contents zero": (_CONTENTS, b"/Contents <00>"),
    "contents a number": (_CONTENTS, b"/Contents 0"),
    "contents a dictionary": (_CONTENTS, b"/Contents << >>"),
    "contents a name": (_CONTENTS, b"/Contents /None"),
    "contents missing its end": (_CONTENTS, b"/Contents <3080"),
    "range missing": (_RANGE, b""),
    "range null": (_RANGE, b"/ByteRange null"),
    "range empty": (_RANGE, b"/ByteRange []"),
    "range of one": (_RANGE, b"/ByteRange [0]"),
    "range of nulls": (_RANGE, b"/ByteRange [null null null null]"),
    "range negative": (_RANGE, b"/ByteRange [0 -1 -1 -1]"),
    "range of nothing": (_RANGE, b"/ByteRange [0 0 0 0]"),
    "range of zeros": (_RANGE, b"/ByteRange [0 1 0 1]"),
    "range beyond the end": (_RANGE, b"/ByteRange [0 9 99999999 9]"),
    "range of three parts": (_RANGE, b"/ByteRange [0 9 20 9 40 9]"),
    "range of reals": (_RANGE, b"/ByteRange [0 9.5 20 9]"),
    "range of strings": (_RANGE, b"/ByteRange [(0) (9) (20) (9)]"),
    "range not at the beginning": (_RANGE, b"/ByteRange [1 9 20 9]"),
    "form missing": (rb"/SubFilter /[A-Za-z.]+", b""),
    "form unknown": (rb"/SubFilter /[A-Za-z.]+", b"/SubFilter /ABC"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_universal_forgery(world: World, signed: bytes, name: str) -> None:
    pattern, by = FORGERIES[name]
    verdict = world.judge(_replaced(signed, pattern, by))
    assert verdict.outcome is not Outcome.VALID
    assert bad(verdict) & {
        "signature.malformed", "signature.byte_range", "signature.gap", "signature.form_refused", "document.unreadable",
    }  # fmt: skip
    assert not any(each.outcome is Outcome.VALID for each in verdict.signatures)


def test_the_value_of_the_field_is_taken_away(world: World, signed: bytes) -> None:
    number = int(re.findall(rb"(\d+) 0 obj\s<<\s*/FT /Sig", signed)[-1]) if re.search(rb"/FT /Sig", signed) else 0
    without = re.sub(rb"/V \d+ 0 R", b"", object_text(signed, number))
    verdict = world.judge(append(signed, {number: without}))
    assert verdict.outcome is not Outcome.VALID
    assert "document.stray_signature" in verdict.codes


# ---- wrapping -------------------------------------------------------------------------------------------------------


def wrapped(pdf: bytes, inserted: bytes, *, new_range: bool) -> bytes:
    """Move the second signed range to the end of what is inserted; the new ranges point at it."""
    _, first, start, length = byte_range(pdf)
    moved = pdf[:start] + inserted + pdf[start : start + length]
    if not new_range:
        return moved
    ranges = b"/ByteRange [0 %d %d %d]" % (first, start + len(inserted), length)
    found = re.search(_RANGE, moved)
    assert found is not None
    return moved[: found.start()] + ranges.ljust(len(found[0])) + moved[found.end() :]


@pytest.mark.parametrize("new_range", [True, False])
@pytest.mark.parametrize(
    "inserted",
    [
        b" " * 8,
        b"<00>",
        b"\n/Reason (another)\n",
        b"\n>>\nendobj\n4 0 obj\n" + FORGED + b"\nendobj\n",
        b"\n>>\nendobj\n4 0 obj\n" + FORGED + b"\nendobj\nxref\n0 0\ntrailer\n<< /Root 1 0 R >>\nstartxref\n5\n%%EOF\n",
    ],
    ids=["blanks", "a second string", "an entry", "an object", "a whole revision"],
)
def test_wrapping(world: World, signed: bytes, inserted: bytes, new_range: bool) -> None:
    verdict = world.judge(wrapped(signed, inserted, new_range=new_range))
    assert verdict.outcome is not Outcome.VALID
    assert bad(verdict) & {
        "signature.gap", "signature.byte_range", "signature.malformed", "document.unreadable", "document.revisions_broken",
    }  # fmt: skip
    assert not any(each.outcome is Outcome.VALID for each in verdict.signatures)


def test_another_object_claims_the_signature(world: World, signed: bytes) -> None:
    """The signed ranges and the container are copied into a new object, to which the field now points."""
    number, reference = re.findall(
        rb"(\d+) 0 obj\s(?:(?!endobj).)*?/FT /Sig(?:(?!endobj).)*?/V (\d+) 0 R", signed, re.DOTALL
    )[-1]
    body = object_text(signed, int(reference))
    new = pdf_bytes.free_number(signed)
    field = object_text(signed, int(number)).replace(b"/V %b 0 R" % reference, b"/V %d 0 R" % new)
    verdict = world.judge(append(signed, {int(number): field, new: body, 4: FORGED}))
    assert verdict.outcome is Outcome.INVALID
    assert "signature.gap" in verdict.codes


@pytest.mark.parametrize("tail", [b"00" * 4 + b"41", b"DEADBEEF"])
def test_something_hides_behind_the_signature(world: World, signed: bytes, tail: bytes) -> None:
    _, _, start, _ = byte_range(signed)
    verdict = world.judge(signed[: start - 1 - len(tail)] + tail + signed[start - 1 :])
    assert (verdict.outcome, bad(verdict)) == (Outcome.INVALID, {"signature.padding"})


# ---- shadow attacks -------------------------------------------------------------------------------------------------


def test_shadow_hide(world: World) -> None:
    """What the signer saw lay over the real content; after signing the attacker takes it away."""
    prepared = plain({4: stream(pdf_bytes.CONTENT + b" /Over Do"), 6: COVER}).replace(
        b"/Font << /F1 5 0 R >>", b"/Font << /F1 5 0 R >> /XObject << /Over 6 0 R >>"
    )
    prepared = _again(prepared)
    signed = world.sign(prepared)
    assert world.judge(signed).outcome is Outcome.VALID
    for attacked in (
        append(signed, {6: stream(b"", b"/Type /XObject /Subtype /Form /BBox [0 0 1 1]")}),
        append(signed, {6: b"null"}),
        pdf_bytes.free(signed, 6),
    ):
        verdict = world.judge(attacked)
        assert (verdict.outcome, "signature.changed_after" in verdict.codes) == (Outcome.INVALID, True)


def test_shadow_replace(world: World) -> None:
    """A field of the form shows another value than it holds, or gets one after signing; so may a font."""
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (amount) /V (200) /Rect [72 690 300 715] /P 3 0 R /F 4 "
        b"/DA (/F1 12 Tf) /AP << /N 7 0 R >> >>"
    )
    looks = stream(b"BT /F1 12 Tf (200) Tj ET", b"/Type /XObject /Subtype /Form /BBox [0 0 228 25]")
    prepared = plain({6: field, 7: looks}, catalog=b"/AcroForm << /Fields [6 0 R] >>", page=b"/Annots [6 0 R]")
    signed = world.sign(prepared)
    assert world.judge(signed).outcome is Outcome.VALID
    forged = stream(b"BT /F1 12 Tf (0) Tj ET", b"/Type /XObject /Subtype /Form /BBox [0 0 228 25]")
    over_all = stream(b"1 g 0 0 595 842 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 595 842]")
    new = pdf_bytes.free_number(signed)
    for attacked in (
        append(signed, {7: forged}),
        append(signed, {7: over_all}),
        append(signed, {6: field.replace(b"/V (200)", b"/V (0)").replace(b"7 0 R", b"%d 0 R" % new), new: forged}),
        append(
            signed,
            {6: field.replace(b"/V (200)", b"/V (0)"), 5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Symbol >>"},
        ),
        append(signed, {6: field.replace(b"72 690 300 715", b"0 0 595 842")}),
    ):
        verdict = world.judge(attacked)
        assert verdict.outcome is not Outcome.VALID
        assert {"signature.filled_after", "signature.changed_after"} & verdict.codes


def test_shadow_hide_and_replace(world: World) -> None:
    """A second content of the same number is hidden in what is signed; a new table makes it the one that counts."""
    hidden = b"4 0 obj\n" + FORGED + b"\nendobj\n"
    prepared = plain(tail=hidden)
    signed = world.sign(prepared)
    before = world.judge(signed)
    assert (before.outcome, bad(before)) == (Outcome.INDETERMINATE, {"document.hidden_objects"})
    verdict = world.judge(pdf_bytes.point_to(signed, {4: signed.index(hidden)}))
    assert verdict.outcome is Outcome.INVALID
    assert {"signature.changed_after", "document.hidden_objects", "document.objects_unearthed"} <= verdict.codes


def _again(pdf: bytes) -> bytes:
    """Lay the table of a plain document anew, after a replacement that moved its objects."""
    body = pdf[: pdf.rindex(b"xref\n0 1")]
    offsets = {int(found[1]): found.start() for found in re.finditer(rb"(?<![0-9])(\d+) 0 obj", body)}
    size = max(offsets) + 1
    return bytes(
        pdf_bytes._table(offsets, b"/Root 1 0 R /Size %d /ID [<00112233> <00112233>]" % size, len(body)).join(
            [body, b""]
        )
    )


def test_the_look_of_a_signature_is_changed(world: World, plain: bytes) -> None:
    signed = world.sign(plain, box=(50, 50, 250, 120))
    assert world.judge(signed).outcome is Outcome.VALID
    looks = {int(each) for each in re.findall(rb"/AP\s*<<\s*/N (\d+) 0 R", signed)}
    assert looks
    for number in looks:
        verdict = world.judge(append(signed, {number: COVER}))
        assert verdict.outcome is Outcome.INVALID
        assert "signature.changed_after" in verdict.codes


@pytest.mark.parametrize(
    "objects", [{99: b"(nothing refers to it)"}, {99: COVER, 98: b"<< /Over 99 0 R >>"}], ids=["a text", "a picture"]
)
def test_a_revision_for_no_reason(world: World, signed: bytes, objects: dict[int, bytes]) -> None:
    verdict = world.judge(append(signed, objects))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"signature.described_after"})


# ---- certified documents --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("permission", [None, *MDPPerm], ids=str)
def test_evil_annotation(world: World, plain: bytes, permission: MDPPerm | None) -> None:
    signed = world.sign(plain, certify=permission)
    new = pdf_bytes.free_number(signed)
    note = (
        b"<< /Type /Annot /Subtype /FreeText /Rect [60 700 400 760] /Contents (Fine: 0) /P 3 0 R /AP << /N %d 0 R >> >>"
    )
    pages = re.sub(rb"/Annots \[[^\]]*\]", b"", object_text(signed, 3))
    page = pages.rstrip(b">").rstrip() + b" /Annots [%d 0 R] >>" % new
    verdict = world.judge(append(signed, {3: page, new: note % (new + 1), new + 1: COVER}))
    assert verdict.outcome is Outcome.INVALID
    assert "signature.annotated_after" in verdict.codes


@pytest.mark.parametrize("permission", [MDPPerm.FILL_FORMS, MDPPerm.ANNOTATE], ids=str)
def test_sneaky_signature(world: World, plain: bytes, permission: MDPPerm) -> None:
    """A stranger signs over the content, with a picture as large as the page."""
    certified = world.sign(plain, certify=permission)
    stranger = World()
    attacked = stranger.sign(certified, field="Sneaky", box=(0, 0, 595, 842))
    verdict = world.judge(attacked)
    assert verdict.outcome is not Outcome.VALID
    assert {"signature.certificate_forged", "signature.untrusted"} & verdict.codes
    assert verdict.signatures[1].outcome is not Outcome.VALID


def test_sneaky_field_without_signature(world: World, plain: bytes) -> None:
    from io import BytesIO

    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import append_signature_field

    certified = world.sign(plain, certify=MDPPerm.FILL_FORMS)
    writer = IncrementalPdfFileWriter(BytesIO(certified))
    append_signature_field(writer, SigFieldSpec("Sneaky", box=(0, 0, 595, 842)))
    out = BytesIO()
    writer.write(out)
    verdict = world.judge(out.getvalue())
    assert verdict.outcome is not Outcome.VALID
    assert {"signature.visible_field_added", "signature.changed_after", "signature.limits_broken"} & verdict.codes


def test_script_before_signing(world: World) -> None:
    for catalog in (
        b"/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>",
        b"/OpenAction << /S /J#61vaScript /#4aS (app.alert\\(1\\)) >>",
        b"/Names << /JavaScript << /Names [(a) << /S /JavaScript /JS (1) >>] >> >>",
        b"/AA << /WC << /S /Launch /F (calc) >> >>",
    ):
        verdict = world.judge(world.sign(pdf_bytes.plain(catalog=catalog)))
        assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"document.active_content"})


# ---- every byte -----------------------------------------------------------------------------------------------------


def test_no_byte_can_be_changed(world: World, signed: bytes) -> None:
    """Sampled over the file, densely where the container lies, since nothing but our own checks guards its padding."""
    _, first, start, _ = byte_range(signed)
    places = {*range(0, first, 53), *range(first, first + 6000, 113), *range(first + 6000, start + 1, 997)}
    places |= {first - 1, first, start - 1, start, *range(start, len(signed), 41)}
    survivors = []
    for place in sorted(places):
        for bit in (1, 0x20):
            changed = bytearray(signed)
            changed[place] ^= bit
            if world.judge(bytes(changed)).outcome is Outcome.VALID:
                survivors.append((place, bit))
    assert survivors == []


def test_no_cut_is_valid(world: World, signed: bytes) -> None:
    for size in (0, 1, 5, 100, 700, len(signed) // 2, len(signed) - 300, len(signed) - 8, len(signed) - 2):
        assert world.judge(signed[:size]).outcome is not Outcome.VALID
    for more in (b"\0", b"x", b"%%EOF", signed):
        assert (
            world.judge(signed + more).outcome is (Outcome.VALID if more == b"\0" else Outcome.INVALID)
            or more == signed
        )


def test_no_byte_of_what_is_archived_can_be_changed(world: World, signed: bytes) -> None:
    archived = world.archive(signed, at=CHECKED_AT)
    assert world.judge(archived).outcome is Outcome.VALID
    survivors = []
    for place in (*range(0, len(signed), 701), *range(len(signed), len(archived), 401)):
        changed = bytearray(archived)
        changed[place] ^= 1
        if world.judge(bytes(changed)).outcome is Outcome.VALID:
            survivors.append(place)
    assert survivors == []
