"""Documents and authorities that are not as they should be: a clear error, or it works; never anything half-signed."""

import asyncio
import subprocess
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pyhanko.pdf_utils.reader import PdfFileReader

from archive.documents.faces import SONG
from archive.documents.typesetting import Typesetter
from archive.kernel.errors import LiuhenError
from signing.appearances import Line, lines_appearance
from signing.document_cms import SignatureFault
from signing.document_fields import Box, FieldsRefused, PageMarks, SignatureField, page_sizes, prepare, seam_boxes
from signing.document_keys import CertificateExpired, HeldKey
from signing.documents import DocumentEncrypted
from signing.pades import DocumentSigner, PadesSigner, Statement
from signing.seals import SEAL_POINTS, pages_per_seal, round_seal, slices_of
from signing.stamps import TokenRefused
from signing.timestamps import TsaUnreachable
from signing.typefaces import Typeface, TypefaceRefused
from tests.integration.signing.test_pades import case_data
from tests.support import document_judges as judges
from tests.support.document_pki import START, DocumentPki, MovedClock
from tests.support.pdfa_clauses import breaches
from tests.unit.signing import pki

PKI = DocumentPki(MovedClock())
KEY = PKI.signer("张三")
SIGNER = DocumentSigner(KEY, PKI.clock, PKI.token)
BLANK = Typesetter("list").set_pdf(case_data(), at=START)
PREPARED = prepare(BLANK, signatures=[SignatureField("officer", Box(0, 60, 60, 200, 100))])


def test_a_tsa_that_is_down_leaves_no_document_and_may_be_asked_again() -> None:
    def down(_: bytes) -> bytes:
        raise TsaUnreachable

    with pytest.raises(TsaUnreachable) as told:
        DocumentSigner(KEY, PKI.clock, down).sign(PREPARED, "officer")
    assert told.value.retryable
    assert judges.statuses(SIGNER.sign(PREPARED, "officer"), PKI.root_der, at=PKI.clock.at)["officer"].valid


@pytest.mark.parametrize("lie", [lambda _: b"", lambda _: PKI.token(bytes(32))], ids=["nothing", "over other bytes"])
def test_a_tsa_that_lies_is_not_believed(lie: object) -> None:
    with pytest.raises(TokenRefused) as told:
        DocumentSigner(KEY, PKI.clock, lie).sign(PREPARED, "officer")
    assert told.value.retryable


def test_a_key_that_signs_wrongly_is_not_believed() -> None:
    class Faulty(HeldKey):
        def sign(self, data: bytes, *, digest_algorithm: str) -> bytes:
            return super().sign(data + b"\x00", digest_algorithm=digest_algorithm)

    private = PKI.rsa_key
    own = HeldKey(private, PKI.issue("faulty", private))
    faulty = Faulty(private, PKI.issue("faulty", private))
    assert own.certificate != faulty.certificate
    with pytest.raises(SignatureFault):
        DocumentSigner(faulty, PKI.clock).sign(PREPARED, "officer")


def test_an_expired_certificate_signs_nothing() -> None:
    late = MovedClock(PKI.clock.at + timedelta(days=4000))
    with pytest.raises(CertificateExpired):
        DocumentSigner(KEY, late).sign(PREPARED, "officer")


def test_an_encrypted_document_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open.pdf").write_bytes(BLANK)
    subprocess.run(
        ["qpdf", "--encrypt", "", "owner", "256", "--", tmp_path / "open.pdf", tmp_path / "closed.pdf"], check=True
    )
    closed = (tmp_path / "closed.pdf").read_bytes()
    with pytest.raises(DocumentEncrypted):
        prepare(closed, signatures=[SignatureField("a")])
    with pytest.raises(DocumentEncrypted):
        SIGNER.sign(closed, "a")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.data())
def test_damage_is_an_error_of_ours_or_harmless(data: some.DataObject) -> None:
    broken = bytearray(PREPARED)
    for _ in range(data.draw(some.integers(1, 4))):
        # The ends hold what a reader looks at first.
        at = data.draw(some.integers(0, len(broken) - 1) | some.integers(len(broken) - 3000, len(broken) - 1))
        broken[at] = data.draw(some.integers(0, 255))
    cut = data.draw(some.none() | some.integers(0, len(broken)))
    try:
        made = SIGNER.sign(bytes(broken[:cut]), "officer")
    except LiuhenError as told:
        assert told.code in {"signing.document_unreadable", "signing.document_encrypted", "signing.field_missing"}
    else:
        assert made.startswith(bytes(broken[:cut]))


@pytest.mark.parametrize(
    "page_tree",
    [
        b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>",
        b"<< /Type /Pages /Kids [9 0 R] /Count 1 >>",
        b"<< /Type /Pages /Kids 3 /Count 1 >>",
        b"null",
    ],
)
def test_a_page_tree_that_is_none_is_an_error_of_ours(page_tree: bytes) -> None:
    with pytest.raises(LiuhenError) as told:
        prepare(made_of(b"<< /Type /Catalog /Pages 2 0 R >>", page_tree), signatures=[SignatureField("a")])
    assert told.value.code in {"signing.document_unreadable", "signing.fields_refused"}


def made_of(*objects: bytes) -> bytes:
    """Return a PDF of these objects, the first being the catalogue."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> %s >>"
TREE = b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
LINK = b"<< /Type /Annot /Subtype /Link /Rect [9 9 20 20] >>"


@pytest.mark.parametrize("annotations", [b"/Annots [%s]" % LINK, b"/Annots 4 0 R"], ids=["direct", "indirect"])
def test_other_annotations_stay_where_they_are(annotations: bytes, tmp_path: Path) -> None:
    blank = made_of(b"<< /Type /Catalog /Pages 2 0 R >>", TREE, PAGE % annotations, b"[%s]" % LINK)
    field = SignatureField("a", Box(0, 60, 60, 200, 100))
    signed = SIGNER.sign(prepare(blank, signatures=[field, SignatureField("b")]), "a")
    [page] = PdfFileReader(BytesIO(signed)).root["/Pages"]["/Kids"]
    assert [each.get_object()["/Subtype"] for each in page.get_object()["/Annots"]] == ["/Link", "/Widget", "/Widget"]
    assert "Signature is Valid" in judges.pdfsig(signed, tmp_path)


@pytest.mark.parametrize("form", [b"<< /XFA 4 0 R /Fields [] >>", b"<< >>"], ids=["XFA", "empty"])
def test_a_form_that_is_there_is_used_unless_it_is_xfa(form: bytes) -> None:
    blank = made_of(b"<< /Type /Catalog /Pages 2 0 R /AcroForm %s >>" % form, TREE, PAGE % b"", b"null")
    if b"XFA" in form:
        with pytest.raises(FieldsRefused):
            prepare(blank, signatures=[SignatureField("a")])
    else:
        assert SIGNER.sign(prepare(blank, signatures=[SignatureField("a")]), "a")


def truetype(path: Path) -> Path:
    """Write a face of TrueType with eleven characters, all the same to see."""
    names = {ord(char): f"glyph{number}" for number, char in enumerate("局0123456789")}
    order = [".notdef", *names.values()]
    builder = FontBuilder(1024, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, 700))
    pen.lineTo((700, 700))
    pen.closePath()
    builder.setupGlyf(dict.fromkeys(order, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (1024, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-124)
    builder.setupOS2()
    builder.setupPost()
    builder.setupNameTable({"familyName": "Square", "styleName": "Regular", "psName": "Square-Regular"})
    builder.save(path)
    return path


def test_a_face_of_truetype_serves_too(tmp_path: Path) -> None:
    face = Typeface(truetype(tmp_path / "square.ttf"))
    shown = lines_appearance(face, [Line("局12", 12)], width=140, height=40)
    signed = SIGNER.sign(PREPARED, "officer", Statement(appearance=shown))
    assert breaches(signed, tmp_path) == []
    (tmp_path / "signed.pdf").write_bytes(signed)
    fonts = subprocess.run(["pdffonts", tmp_path / "signed.pdf"], capture_output=True, text=True, check=True)
    assert [line.split()[1:4] for line in fonts.stdout.splitlines() if "+Square-Regular" in line] == [
        ["CID", "TrueType", "Identity-H"]
    ]
    assert fonts.stderr == ""
    text = subprocess.run(
        ["pdftotext", tmp_path / "signed.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    assert "局12" in text


def test_a_face_without_character_identifiers_is_refused(tmp_path: Path) -> None:
    builder = FontBuilder(1000, isTTF=False)
    builder.setupGlyphOrder([".notdef"])
    builder.setupCharacterMap({})
    pen = T2CharStringPen(1000, None)
    builder.setupCFF("Plain", {}, {".notdef": pen.getCharString()}, {})
    builder.setupHorizontalMetrics({".notdef": (1000, 0)})
    builder.setupHorizontalHeader()
    builder.setupPost()
    builder.save(tmp_path / "plain.otf")
    with pytest.raises(TypefaceRefused):
        Typeface(tmp_path / "plain.otf").shownable("a")


def test_five_thousand_pages_are_prepared_signed_and_sealed(tmp_path: Path) -> None:
    pages = 5000
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(pages))
    leaf = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> >>"
    tree = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids)
    blank = made_of(b"<< /Type /Catalog /Pages 2 0 R >>", tree, *[leaf] * pages)
    slices = pages_per_seal(pages)
    marks = [PageMarks("骑缝章", seam_boxes(page_sizes(blank), slices=slices, seal_height=SEAL_POINTS))]
    prepared = prepare(blank, signatures=[SignatureField("seal", locks=["骑缝章"])], marks=marks)
    seal = round_seal(Typeface(SONG), name="昆明市市场监督管理局")
    cut = {parts: slices_of(seal, parts) for parts in set(slices)}
    said = Statement(marks={"骑缝章": [each for parts in slices for each in cut[parts]]}, is_last=True)
    signed = SIGNER.sign(prepared, "seal", said)
    [(content, container)] = judges.containers(signed).values()  # poppler takes half a minute for so many fields
    assert judges.openssl_verifies(content, container, pki.pem(PKI.root), tmp_path, at=PKI.clock.at)
    assert judges.qpdf(signed, tmp_path).returncode == 0
    assert len(signed) < 6_000_000


def test_a_document_beyond_a_hundred_megabytes_is_signed(tmp_path: Path) -> None:
    """pyHanko once wrote byte ranges of such documents wrongly."""
    catalogue = b"<< /Type /Catalog /Pages 2 0 R /Footage 4 0 R >>"
    leaf = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> >>"
    size = 101_000_000
    body = b"<< /Length %d >>\nstream\n%s\nendstream" % (size, bytes(size))
    large = made_of(catalogue, b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>", leaf, body)
    signed = SIGNER.sign(prepare(large, signatures=[SignatureField("a")]), "a")
    told = judges.pdfsig(signed, tmp_path)
    assert "Signature is Valid" in told
    assert "- Total document signed" in told


def test_signing_works_beside_a_running_event_loop() -> None:
    async def beside() -> bytes:
        return SIGNER.sign(PREPARED, "officer")

    assert judges.statuses(asyncio.run(beside()), PKI.root_der, at=PKI.clock.at)["officer"].intact


def test_what_the_archive_signs_itself_keeps_pdf_a(tmp_path: Path) -> None:
    private = PKI.rsa_key
    signer = PadesSigner(private, PKI.issue("archive", private), PKI.clock, PKI.token, Typeface(SONG))
    signed = signer.sign_pdf(BLANK, reason="List of electronic data")
    assert breaches(signed, tmp_path) == []
    assert judges.pdfsig(signed, tmp_path).count("Signature is Valid") == 1
    (tmp_path / "list.pdf").write_bytes(signed)
    text = subprocess.run(["pdftotext", tmp_path / "list.pdf", "-"], capture_output=True, text=True, check=True).stdout
    assert "Digitally signed by this archive (self-issued)" in text


def test_text_that_is_shown_may_hold_any_character(tmp_path: Path) -> None:
    shown = lines_appearance(Typeface(SONG), [Line("𠮷野 %s ()\\", 12), Line("", 8)], width=140, height=40)
    signed = SIGNER.sign(PREPARED, "officer", Statement(appearance=shown, name="𠮷野(", location="\\昆明)"))
    assert breaches(signed, tmp_path) == []
    assert "Signature is Valid" in judges.pdfsig(signed, tmp_path)
