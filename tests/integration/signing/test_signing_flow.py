"""A questioning record as it is signed: two officers, the party by hand, the seal. Judged by others."""

import dataclasses
import itertools
import math
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel

from archive.documents.faces import SONG
from archive.documents.typesetting import Typesetter
from signing.appearances import Appearance, officer_appearance, picture_appearance
from signing.document_cms import Commitment
from signing.document_fields import (
    Box,
    DocumentSignedAlready,
    FieldsRefused,
    PageMarks,
    SignatureField,
    page_sizes,
    prepare,
    seam_boxes,
)
from signing.documents import DocumentClosed, FieldMissing, MarksDiffer, SignatureTooLarge
from signing.hand_signatures import HandSignature, Point, Refusal
from signing.pades import DocumentSigner, ReasonAndCommitment, Statement, hand_records
from signing.seals import SEAL_POINTS, pages_per_seal, round_seal, slices_of
from signing.typefaces import Typeface
from tests.integration.signing.test_pades import case_data
from tests.support import document_judges as judges
from tests.support.document_pki import START, DocumentPki, MovedClock
from tests.support.pdfa_clauses import breaches, metadata
from tests.unit.signing import pki

FACE = Typeface(SONG)
SERVICE = "当事人手写签名，由系统密钥封存"


def written() -> HandSignature:
    """A signature as a tablet tells it: three strokes in about two seconds."""
    strokes = [
        [
            Point(
                x_um=int(10_000 + 18_000 * stroke + 9_000 * math.sin(at / 5 + stroke)),
                y_um=int(12_000 + 7_000 * math.cos(at / 3.1 + stroke) + at * 150),
                at_ms=stroke * 600 + at * 12,
                pressure=int(300 + 600 * abs(math.sin(at / 9))),
            )
            for at in range(30)
        ]
        for stroke in range(3)
    ]
    return HandSignature("李四", strokes)


@dataclasses.dataclass
class Scene:
    """A document of several pages with all its places to sign, and who signs."""

    pki: DocumentPki
    clock: MovedClock
    blank: bytes
    prepared: bytes
    pages: int
    boxes: Mapping[str, Box]

    def signer(self, name: str, key: pki.PrivateKey | None = None) -> DocumentSigner:
        return DocumentSigner(self.pki.signer(name, key), self.clock, self.pki.token)

    def officer(self, name: str, number: str) -> Statement:
        box = self.boxes["officer1"]
        shown = officer_appearance(
            FACE, name=name, certificate_number=number, at=self.clock.at, width=box.width, height=box.height
        )
        return Statement(commitment=Commitment.APPROVAL, location="昆明", appearance=shown)

    def slices(self, seal: Appearance) -> Sequence[Appearance]:
        return [each for parts in pages_per_seal(self.pages) for each in slices_of(seal, parts)]

    def by_hand(self) -> Statement:
        hand, box = written(), self.boxes["party"]
        mark = hand.appearance(width=90, height=34)
        return Statement(
            reason=SERVICE,
            appearance=hand.appearance(width=box.width, height=box.height),
            marks={"逐页签名": [mark] * self.pages},
            hand=hand,
        )


@pytest.fixture(scope="module")
def scene() -> Scene:
    clock = MovedClock()
    data = {**case_data(), "objects": [*case_data()["objects"]] * 5}
    blank = Typesetter("list").set_pdf(data, at=START)
    sizes = page_sizes(blank)
    last = len(sizes) - 1
    boxes = {
        "officer1": Box(last, 60, 150, 210, 200),
        "officer2": Box(last, 230, 150, 380, 200),
        "party": Box(last, 400, 150, 520, 200),
        "seal": Box(last, 300, 330, 300 + SEAL_POINTS, 330 + SEAL_POINTS),
    }
    prepared = prepare(
        blank,
        signatures=[
            SignatureField("officer1", boxes["officer1"]),
            SignatureField("officer2", boxes["officer2"]),
            SignatureField("party", boxes["party"], locks=["逐页签名"]),
            SignatureField("seal", boxes["seal"], locks=["骑缝章"]),
        ],
        marks=[
            PageMarks("逐页签名", [Box(page, 400, 30, 490, 64) for page in range(len(sizes))]),
            PageMarks("骑缝章", seam_boxes(sizes, slices=pages_per_seal(len(sizes)), seal_height=SEAL_POINTS)),
        ],
    )
    return Scene(DocumentPki(clock), clock, blank, prepared, len(sizes), boxes)


@pytest.fixture(scope="module")
def steps(scene: Scene) -> Sequence[bytes]:
    """The document after each of the four signatures: P-256, RSA, P-384 and P-256."""
    signed = [scene.signer("张三").sign(scene.prepared, "officer1", scene.officer("张三", "YN0120260017"))]
    second = scene.signer("欧阳明轩", scene.pki.rsa_key)
    signed.append(second.sign(signed[-1], "officer2", scene.officer("欧阳明轩", "YN0120260018")))
    service = scene.signer("hand signature service", ec.generate_private_key(ec.SECP384R1()))
    signed.append(service.sign(signed[-1], "party", scene.by_hand()))
    seal = round_seal(FACE, name="昆明市市场监督管理局", line="行政执法专用章")
    stamped = Statement(
        commitment=Commitment.ORIGIN, appearance=seal, marks={"骑缝章": scene.slices(seal)}, is_last=True
    )
    signed.append(scene.signer("昆明市市场监督管理局").sign(signed[-1], "seal", stamped))
    return signed


def test_poppler_and_qpdf_find_each_signature_valid(steps: Sequence[bytes], tmp_path: Path) -> None:
    for number, pdf in enumerate(steps, start=1):
        told = judges.pdfsig(pdf, tmp_path)
        assert told.count("Signature is Valid") == told.count("ETSI.CAdES.detached") == number
        by_number = told.split("Signature #")[1:]
        assert ["- Total document signed" in each for each in by_number] == [at == number for at in range(1, 5)]
        assert judges.qpdf(pdf, tmp_path).returncode == 0


def test_pyhanko_finds_all_valid_and_all_changes_allowed(scene: Scene, steps: Sequence[bytes]) -> None:
    found = judges.statuses(steps[-1], scene.pki.root_der, at=scene.clock.at + timedelta(days=1))
    assert list(found) == ["officer1", "officer2", "party", "seal"]
    for status in found.values():
        assert status.bottom_line, status.pretty_print_details()
        assert status.docmdp_ok
        assert status.timestamp_validity.valid
        assert status.timestamp_validity.trusted
    assert found["officer1"].modification_level == ModificationLevel.FORM_FILLING
    assert found["seal"].modification_level == ModificationLevel.NONE


def test_openssl_accepts_each_container(scene: Scene, steps: Sequence[bytes], tmp_path: Path) -> None:
    found = judges.containers(steps[-1])
    assert len(found) == 4
    for signed, container in found.values():
        root = pki.pem(scene.pki.root)
        assert judges.openssl_verifies(signed, container, root, tmp_path, at=START)
        assert not judges.openssl_verifies(signed + b"x", container, root, tmp_path, at=START)


def test_the_attributes_are_those_of_pades(steps: Sequence[bytes]) -> None:
    for _, container in judges.containers(steps[-1]).values():
        data = cms.ContentInfo.load(container, strict=True)["content"]
        [signer] = data["signer_infos"]
        signed = {each["type"].native for each in signer["signed_attrs"]}
        assert signed >= {"content_type", "message_digest", "signing_certificate_v2", "cms_algorithm_protection"}
        assert "signing_time" not in signed
        assert [each["type"].native for each in signer["unsigned_attrs"]] == ["signature_time_stamp_token"]
        assert data["encap_content_info"]["content"].native is None
        assert len(data["certificates"]) == 2


def test_a_reason_and_a_commitment_exclude_each_other() -> None:
    with pytest.raises(ReasonAndCommitment):
        Statement(reason="审批", commitment=Commitment.APPROVAL)
    with pytest.raises(ReasonAndCommitment):
        Statement(hand=written(), commitment=Commitment.APPROVAL)


def test_what_seals_a_hand_signature_says_that_it_is_not_the_party(scene: Scene) -> None:
    pdf = scene.signer("service").sign(scene.prepared, "party", Statement(hand=written()))
    [signature] = PdfFileReader(BytesIO(pdf)).embedded_signatures
    assert "系统服务密钥" in signature.sig_object["/Reason"]


def test_pdf_a_is_kept(scene: Scene, steps: Sequence[bytes], tmp_path: Path) -> None:
    before = metadata(scene.blank, tmp_path)
    for pdf in (scene.prepared, *steps):
        assert breaches(pdf, tmp_path) == []
        assert metadata(pdf, tmp_path) == before


def test_the_check_of_pdf_a_finds_what_is_broken(scene: Scene, tmp_path: Path) -> None:
    writer = IncrementalPdfFileWriter(BytesIO(scene.prepared))
    field = writer.root["/AcroForm"]["/Fields"][0].get_object()
    field[pdf_name("/F")] = generic.NumberObject(2)
    field[pdf_name("/AA")] = generic.DictionaryObject()
    field["/AP"][pdf_name("/D")] = field["/AP"].raw_get("/N")
    writer.update_container(field)
    out = BytesIO()
    writer.write(out)
    found = breaches(out.getvalue(), tmp_path)
    assert [each.split()[0] for each in found] == ["6.3.2", "6.3.3", "6.4.1"]


def test_what_is_shown_can_be_read_out(steps: Sequence[bytes], tmp_path: Path) -> None:
    (tmp_path / "record.pdf").write_bytes(steps[-1])
    text = subprocess.run(
        ["pdftotext", tmp_path / "record.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    assert "欧阳明轩" in text
    assert "执法证号 YN0120260017" in text
    assert "2015年3月2日 16:00:00" in text


def rendered(pdf: bytes, folder: Path, page: int) -> Image.Image:
    (folder / "page.pdf").write_bytes(pdf)
    subprocess.run(
        ["pdftoppm", "-r", "72", "-png", "-singlefile", "-f", str(page), "-l", str(page), folder / "page.pdf", folder / "page"],
        check=True,
    )  # fmt: skip
    with Image.open(folder / "page.png") as image:
        return image.convert("RGB")


def test_the_seal_is_red_and_round_and_what_lies_below_shows_through(
    scene: Scene, steps: Sequence[bytes], tmp_path: Path
) -> None:
    before, after = (rendered(pdf, tmp_path, scene.pages) for pdf in (steps[-2], steps[-1]))
    box, height = scene.boxes["seal"], after.height
    middle = int((box.left + box.right) / 2), int(height - (box.bottom + box.top) / 2)
    red = after.getpixel(middle)
    assert red[0] > 190 > 60 > red[1]
    changed = [
        (x, y)
        for x in range(after.width - 30)
        for y in range(height)
        if before.getpixel((x, y)) != after.getpixel((x, y))
    ]
    assert max(math.dist(middle, each) for each in changed) == pytest.approx(SEAL_POINTS / 2, abs=1.5)
    darker = [all(b >= a for b, a in zip(before.getpixel(each), after.getpixel(each), strict=True)) for each in changed]
    assert all(darker)


def test_each_page_shows_its_slice_at_the_right_edge(scene: Scene, steps: Sequence[bytes], tmp_path: Path) -> None:
    for page in range(1, scene.pages + 1):
        image = rendered(steps[-1], tmp_path, page)
        edge = image.crop((image.width - 12, 0, image.width, image.height))
        assert any(red > 190 and green < 80 for red, green, _ in edge.get_flattened_data())
        assert not any(
            red > 190 and green < 80 for red, green, _ in rendered(steps[-2], tmp_path, page).get_flattened_data()
        )


def test_what_the_party_wrote_is_read_back(steps: Sequence[bytes]) -> None:
    assert hand_records(steps[1]) == {}
    assert hand_records(steps[-1]) == {"party": written()}


def test_a_refusal_is_sealed_and_shown(scene: Scene, steps: Sequence[bytes], tmp_path: Path) -> None:
    refusal = Refusal("李四", "认为数量有误", "王五", "录音录像 01936a1c")
    box = scene.boxes["party"]
    shown = refusal.appearance(FACE, width=box.width, height=box.height)
    marks = {"逐页签名": [shown] * scene.pages}
    said = Statement(reason="当事人拒绝签名，由系统密钥封存", appearance=shown, marks=marks, hand=refusal)
    pdf = scene.signer("hand signature service").sign(steps[1], "party", said)
    assert hand_records(pdf) == {"party": refusal}
    assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == 3
    assert breaches(pdf, tmp_path) == []


def test_a_long_hand_signature_stays_within_the_limits(scene: Scene, tmp_path: Path) -> None:
    points = [Point((at * 7919) % 200_000, (at * 104_729) % 90_000, at, (at * 31) % 1001) for at in range(20_000)]
    hand = HandSignature("李四", [points])
    pdf = scene.signer("service").sign(scene.prepared, "party", Statement(hand=hand))
    assert hand_records(pdf) == {"party": hand}
    assert breaches(pdf, tmp_path) == []


def test_a_record_that_was_changed_breaks_the_signature(steps: Sequence[bytes], tmp_path: Path) -> None:
    at = steps[-1].index(b"/LHN_Hand") + 60
    changed = bytearray(steps[-1])
    changed[at] ^= 1
    assert judges.pdfsig(bytes(changed), tmp_path).count("Signature is Valid") < 4


def tampered(pdf: bytes, name: str) -> bytes:
    """Give the first mark of this name the appearance of the first officer's signature."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    fields = {str(each.get_object()["/T"]): each.get_object() for each in writer.root["/AcroForm"]["/Fields"]}
    first, other = fields[name]["/Kids"][0], fields["officer1"]
    first[pdf_name("/AP")] = generic.DictionaryObject({pdf_name("/N"): other["/AP"].raw_get("/N")})
    writer.update_container(first)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_marks_that_are_changed_after_their_signature_show(scene: Scene, steps: Sequence[bytes]) -> None:
    """The first signature allows forms to be filled in; the one that the marks belong to does not allow these."""
    changed = tampered(steps[2], "逐页签名")
    found = judges.statuses(changed, scene.pki.root_der, at=scene.clock.at + timedelta(days=1))
    assert found["officer1"].docmdp_ok
    assert not found["party"].bottom_line


def test_nothing_may_change_after_the_last_signature(scene: Scene, steps: Sequence[bytes]) -> None:
    changed = tampered(steps[3], "骑缝章")
    found = judges.statuses(changed, scene.pki.root_der, at=scene.clock.at + timedelta(days=1))
    assert not found["seal"].bottom_line


def test_a_document_with_one_signature_is_closed_by_it(scene: Scene) -> None:
    one = scene.signer("局").sign(scene.prepared, "seal", Statement(is_last=True))
    with pytest.raises(DocumentClosed):
        scene.signer("局").sign(one, "officer1")


def test_marks_that_a_signature_has_locked_are_not_filled_again(scene: Scene, steps: Sequence[bytes]) -> None:
    mark = written().appearance(width=90, height=34)
    with pytest.raises(DocumentClosed):
        scene.signer("局").sign(steps[2], "seal", Statement(marks={"逐页签名": [mark] * scene.pages}))
    assert hand_records(scene.signer("局").sign(steps[2], "seal")) == {"party": written()}


def test_an_image_of_a_seal_keeps_its_transparency(scene: Scene, tmp_path: Path) -> None:
    out = BytesIO()
    image = Image.new("RGBA", (120, 120), (0, 0, 0, 0))
    image.paste((200, 20, 20, 255), (20, 20, 100, 100))
    image.save(out, "PNG")
    shown = picture_appearance(out.getvalue(), width=SEAL_POINTS, height=SEAL_POINTS)
    pdf = scene.signer("局").sign(scene.prepared, "seal", Statement(appearance=shown))
    assert breaches(pdf, tmp_path) == []
    page, box = rendered(pdf, tmp_path, scene.pages), scene.boxes["seal"]
    assert page.getpixel((int(box.left) + 60, page.height - int(box.bottom) - 60)) == (200, 20, 20)
    assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == 1


@pytest.mark.parametrize("order", list(itertools.permutations(["officer1", "party", "seal"])), ids="-".join)
def test_the_fields_may_be_signed_in_any_order(scene: Scene, order: Sequence[str]) -> None:
    pdf, signer = scene.prepared, scene.signer("张三")
    seal = round_seal(FACE, name="昆明市市场监督管理局")
    said = {
        "officer1": scene.officer("张三", "YN0120260017"),
        "party": scene.by_hand(),
        "seal": Statement(appearance=seal, marks={"骑缝章": scene.slices(seal)}),
    }
    for field in order:
        pdf = signer.sign(pdf, field, dataclasses.replace(said[field], is_last=field == order[-1]))
    found = judges.statuses(pdf, scene.pki.root_der, at=scene.clock.at + timedelta(days=1))
    assert list(found) == list(order)
    assert all(status.bottom_line for status in found.values())


def test_threads_sign_at_once(scene: Scene) -> None:
    signer = scene.signer("张三")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: signer.sign(scene.prepared, "officer1"), range(16)))
    for pdf in made:
        assert judges.statuses(pdf, scene.pki.root_der, at=scene.clock.at + timedelta(days=1))["officer1"].bottom_line


REFUSED: Sequence[tuple[type[Exception], Any]] = [
    (FieldsRefused, lambda one, blank: prepare(blank, signatures=[SignatureField("a"), SignatureField("a")])),
    (FieldsRefused, lambda one, blank: prepare(blank, signatures=[SignatureField("a.b")])),
    (FieldsRefused, lambda one, blank: prepare(blank, signatures=[SignatureField("a", Box(99, 0, 0, 9, 9))])),
    (FieldsRefused, lambda one, blank: prepare(blank, signatures=[SignatureField("a", Box(0, 0, 0, 9999, 9))])),
    (FieldsRefused, lambda one, blank: prepare(blank, signatures=[SignatureField("a", locks=["b"])])),
    (DocumentSignedAlready, lambda one, blank: prepare(one, signatures=[SignatureField("late")])),
]


@pytest.mark.parametrize(("error", "ask"), REFUSED, ids=range(len(REFUSED)))
def test_fields_that_cannot_be_are_refused(
    steps: Sequence[bytes], scene: Scene, error: type[Exception], ask: Any
) -> None:
    with pytest.raises(error):
        ask(steps[0], scene.blank)


def test_fields_are_prepared_once_only(scene: Scene) -> None:
    with pytest.raises(FieldsRefused):
        prepare(scene.prepared, signatures=[SignatureField("party")])


def test_signing_what_is_not_there_is_refused(scene: Scene, steps: Sequence[bytes]) -> None:
    signer = scene.signer("张三")
    with pytest.raises(FieldMissing):
        signer.sign(scene.prepared, "nobody")
    with pytest.raises(FieldMissing):
        signer.sign(steps[0], "officer1")
    with pytest.raises(MarksDiffer):
        signer.sign(scene.prepared, "party", Statement(marks={"逐页签名": []}))
    with pytest.raises(MarksDiffer):
        signer.sign(scene.prepared, "party", Statement(marks={"骑缝章": []}))
    with pytest.raises(MarksDiffer):
        signer.sign(scene.prepared, "officer1", Statement(marks={"骑缝章": []}))
    with pytest.raises(SignatureTooLarge):
        dataclasses.replace(signer, token_room_bytes=-2048).sign(scene.prepared, "officer1")
