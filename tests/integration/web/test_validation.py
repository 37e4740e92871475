"""The validation page: any signed file is judged and forgotten, the archive's own documents are judged on record."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from archive.access.policy import Role
from archive.cases.filing import open_case
from archive.cases.records import file_text_record
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, RecordForm, SubjectKind
from archive.doctor import examine
from archive.kernel.clock import SystemClock
from archive.kernel.findings import Outcome
from archive.ledger.models import LogEntry
from archive.web.app import create_app
from signing.pades import PadesSigner
from tests.integration.web.conftest import browser, signed_in, words
from tests.support import document_judges, pdf_bytes, seed
from tests.support.seed import Bureau
from tests.support.signed_pdfs import SIGNED_AT, World, crl
from tests.unit.signing import pki

NAME = "处罚决定书 <b>x.pdf"
MOST = 4 << 20


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Bureau]:
    """A bureau that trusts the world's root by one list, and has another list that is broken."""
    folder = tmp_path_factory.mktemp("validation")
    province, torn = folder / "trust" / "province", folder / "trust" / "torn"
    province.mkdir(parents=True)
    torn.mkdir()
    (province / "root.pem").write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    (province / "root.crl").write_bytes(crl(world.root, at=SystemClock().now()))
    (province / "trust.toml").write_text(
        'version = 1\ndated = 2026-01-02\n[[trusted]]\nname = "Provincial CA"\nfor = ["all"]\n'
        'from = 2020-01-01T00:00:00Z\nsource = "handed over on paper"\ncertificate = "root.pem"\n'
    )
    (torn / "trust.toml").write_text("version = 1\nelse = 2\n")
    made = seed.new_bureau(folder / "home", trust_lists=folder / "trust", validation_max_bytes=MOST)
    made.cases["main"] = open_case(
        made.services.database, made.services.identifiers, number="1", title="案", category=Category.PENALTY,
        subject=NewSubject("店", SubjectKind.ORGANISATION), by=made.people[Role.CASE_HANDLER], at=made.now(),
    )  # fmt: skip
    yield made
    made.services.close()


@pytest.fixture(scope="module")
def base(house: Bureau) -> Iterator[str]:
    with seed.listening(create_app(house.services)) as address:
        yield address


@pytest.fixture(scope="module")
def client(base: str) -> Iterator[httpx.Client]:
    made = signed_in(base, Role.SUPERVISOR)
    yield made
    made.close()


@pytest.fixture(scope="module")
def own_pdf(house: Bureau) -> bytes:
    authority, services = house.services.authority, house.services
    signer = PadesSigner(authority.manifest_key(), authority.manifest_certificate, services.clock, services.tsa.token)
    return signer.sign_pdf(pdf_bytes.plain(), reason="test")


def judged(client: httpx.Client, name: str, content: bytes, *signed: bytes) -> httpx.Response:
    sent = {"file": (name, content), **({"content": ("signed.bin", signed[0])} if signed else {})}
    answer = client.post("/validation", files=sent)
    assert answer.status_code == 303, words(answer)
    return client.get(answer.headers["location"])


def left_behind(house: Bureau) -> list[Path]:
    return list((house.services.settings.home / "scratch").glob("received-*"))


def told(house: Bureau, kind: str) -> int:
    with house.services.database.read() as tx:
        return sum(f'"{kind}"'.encode() in body for body in tx.scalars(select(LogEntry.body)))


def test_a_document_of_ours_is_valid_and_says_that_it_is_self_issued(
    client: httpx.Client, house: Bureau, own_pdf: bytes
) -> None:
    page = judged(client, NAME, own_pdf)
    text = words(page)
    assert 'data-outcome="valid"' in page.text
    for part in (
        "签名有效",
        "manifest signing",
        "由本系统自签发",
        "B-T：带时间戳",
        "没有被吊销（依据 CRL",
        "没有变化",
        "province 2026-01-02",
    ):
        assert part in text, part
    assert "处罚决定书 _b_x.pdf" in text
    assert left_behind(house) == []


def test_the_list_that_vouches_is_named_and_a_broken_one_is_told(client: httpx.Client, world: World) -> None:
    page = judged(client, "a.pdf", world.sign(pdf_bytes.plain(), at=SIGNED_AT))
    text = words(page)
    assert 'data-outcome="valid"' in page.text, text
    assert "province: Provincial CA" in text
    assert "不能使用" in text
    assert "trust.toml:1" in text


@pytest.mark.parametrize(
    ("made", "outcome", "words_of_it"),
    [
        (lambda pdf: pdf.replace(b"MediaBox [0 0", b"MediaBox [0 1", 1), "invalid", "内容不是签名时的内容"),
        (lambda _: pdf_bytes.plain(), "indeterminate", "这份文件没有签名"),
        (lambda _: b"no document at all", "invalid", "文件开头不是 PDF"),
        (lambda pdf: pdf[: len(pdf) // 2], "invalid", "无效"),
        (lambda pdf: pdf + b"\nafter the end", "invalid", "文件结尾之后还有内容"),
        (lambda _: b"0\x82\x01\x00" + bytes(256), "invalid", "签名文件已损坏"),
    ],
    ids=["changed", "unsigned", "nonsense", "torn", "appended", "bad container"],
)
def test_what_is_wrong_has_its_words(
    client: httpx.Client, world: World, made: object, outcome: str, words_of_it: str
) -> None:
    page = judged(client, "a.pdf", made(world.sign(pdf_bytes.plain())))  # type: ignore[operator]
    assert f'data-outcome="{outcome}"' in page.text, words(page)
    assert words_of_it in words(page)


def test_a_signature_in_a_file_of_its_own(client: httpx.Client, world: World) -> None:
    officer, content = world.officer, bytes(range(256)) * 8000
    p7s = pki.sign_anyway(content, key=officer.key, certificate=officer.certificate, at=SIGNED_AT)
    found = judged(client, "a.p7s", p7s, content)
    assert 'data-outcome="valid"' in found.text, words(found)
    assert "signed.bin" in words(found)
    assert 'data-outcome="invalid"' in judged(client, "a.p7s", p7s, content + b"!").text
    alone = judged(client, "a.p7s", p7s)
    assert 'data-outcome="indeterminate"' in alone.text
    assert "没有被签署的内容" in words(alone)


def test_too_large_a_file_is_refused_beside_its_field(client: httpx.Client, house: Bureau) -> None:
    for sent in ({"file": ("a.pdf", bytes(MOST + 1))}, {"file": ("a.pdf", bytes(MOST + (1 << 20)))}):
        answer = client.post("/validation", files=sent)
        assert answer.status_code == 422
        assert "文件超过 4 MiB" in words(answer)
    assert left_behind(house) == []


@pytest.mark.parametrize("files", [{"file": ("", b"")}, {"content": ("x", b"x")}, {"else": ("x", b"x")}])
def test_without_a_file_the_form_comes_again(client: httpx.Client, files: dict[str, tuple[str, bytes]]) -> None:
    answer = client.post("/validation", files=files)
    assert (answer.status_code, "请选择一份文件" in words(answer)) == (422, True)


def test_a_form_that_breaks_off_is_no_document(client: httpx.Client, house: Bureau) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7 half'
    answer = client.post("/validation", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400
    assert left_behind(house) == []


def test_a_judgement_is_for_whoever_asked(client: httpx.Client, base: str) -> None:
    sent = client.post("/validation", files={"file": ("a.pdf", pdf_bytes.plain())}).headers["location"]
    other = signed_in(base, Role.ADMINISTRATOR)
    assert other.get(sent).status_code == 404
    assert other.post(f"{sent}/report").status_code == 404
    other.close()
    assert client.get(sent).status_code == 200
    with browser(base) as anybody:
        assert anybody.get(sent).status_code == 303


def test_the_report_is_signed_and_goes_on_record_once(
    client: httpx.Client, house: Bureau, own_pdf: bytes, tmp_path: Path
) -> None:
    at = client.post("/validation", files={"file": (NAME, own_pdf)}).headers["location"]
    before = told(house, "validation.reported")
    report = client.post(f"{at}/report")
    assert report.headers["content-disposition"].startswith("attachment")
    assert client.post(f"{at}/report").content == report.content
    assert document_judges.pdfsig(report.content, tmp_path).count("Signature is Valid") == 1
    assert document_judges.qpdf(report.content, tmp_path).returncode == 0
    assert told(house, "validation.reported") == before + 1
    assert 'data-outcome="valid"' in judged(client, "report.pdf", report.content).text


def test_a_record_of_ours_is_judged_on_record(client: httpx.Client, house: Bureau, own_pdf: bytes) -> None:
    record = file_text_record(
        house.services.database, house.services.objects, house.services.signer, case_id=house.cases["main"],
        form=RecordForm.INSPECTION_RECORD, title="签名的笔录", name="签名的笔录.pdf", pdf=own_pdf,
        by=house.people[Role.CASE_HANDLER], at=house.now(),
    )  # fmt: skip
    page = client.get(f"/records/{record}")
    assert f'action="/objects/{record}/signatures"' in page.text
    answer = client.post(f"/objects/{record}/signatures")
    found = client.get(answer.headers["location"])
    assert 'data-outcome="valid"' in found.text
    assert f'href="/records/{record}"' in found.text
    assert "验证签名" in words(client.get(f"/objects/{record}/trail"))
    assert told(house, "validation.checked") == 1
    assert left_behind(house) == []


def test_the_doctor_names_the_list_that_is_broken(house: Bureau) -> None:
    (found,) = [each for each in examine(house.services).findings if each.code == "doctor.trust_lists"]
    assert (found.outcome, "torn: trust.toml:1" in found.message) == (Outcome.INVALID, True)


def test_administrators_see_every_list_with_fingerprints_and_ends(base: str, world: World) -> None:
    admin = signed_in(base, Role.ADMINISTRATOR)
    text = words(admin.get("/admin/trust"))
    admin.close()
    for part in (
        "由本系统自签发",
        "province",
        "2026-01-02",
        "Provincial CA",
        "handed over on paper",
        "全部用途",
        "trust.toml:1",
    ):
        assert part in text, part
    assert world.root.certificate.fingerprint(SHA256()).hex() in text
