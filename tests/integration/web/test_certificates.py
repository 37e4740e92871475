"""Pages of certificates and seals: issued, brought along, replaced, revoked; by two where the rules say so; one's own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4
from xml.etree import ElementTree as ET

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.documents.issuing import issue_to_officer
from archive.kernel.ids import OfficerId
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_AGENCY
from archive.organisation.officers import OfficerFacts, record_officer
from archive.trust.models import KeyCertificate, KeyRequest
from archive.web.pages.formats import local_input
from signing.pkcs12 import open_pkcs12
from tests.integration.web.conftest import browser, words
from tests.support import seed
from tests.support.document_pki import DocumentPki, MovedClock
from tests.support.seed import PASSWORD, Bureau

PASSPHRASE = "十二个字符以上的口令-1"


@dataclass
class Person:
    """An officer with an account, and the browser of this person."""

    id: OfficerId
    number: str
    client: httpx.Client


@pytest.fixture
def officer(bureau: Bureau, base: str) -> Iterator[Person]:
    number = f"YN{uuid4().hex[:8]}"
    facts = OfficerFacts(number, "赵六", "官渡区综合行政执法局", "队")
    officer_id = OfficerId(record_officer(bureau.services.database, facts, by=OPERATOR, at=bureau.now()))
    with _signed_in(bureau, base, number, Role.OFFICER, officer_id=officer_id) as client:
        yield Person(officer_id, number, client)


@pytest.fixture(scope="module")
def second(bureau: Bureau, base: str) -> Iterator[httpx.Client]:
    """Another administrator."""
    with _signed_in(bureau, base, "second-admin", Role.ADMINISTRATOR) as client:
        yield client


@contextmanager
def _signed_in(bureau: Bureau, base: str, name: str, role: Role, **given: UUID) -> Iterator[httpx.Client]:
    create_account(
        bureau.services.database, username=name, display_name=name, roles=[role], password=PASSWORD, by=OPERATOR,
        at=bureau.now(), **given,
    )  # fmt: skip
    with browser(base) as client:
        assert client.post("/sign-in", data={"username": name, "password": PASSWORD}).status_code == 303
        yield client


def held(bureau: Bureau, holder_id: UUID) -> list[KeyCertificate]:
    """The certificates of a holder, the oldest first."""
    with bureau.services.database.read() as tx:
        query = select(KeyCertificate).where(KeyCertificate.holder_id == holder_id).order_by(KeyCertificate.id)
        return list(tx.scalars(query))


def issued(bureau: Bureau, officer: Person) -> KeyCertificate:
    issue_to_officer(
        bureau.services.issuer, officer.id, passphrase=PASSPHRASE, by=OPERATOR, at=bureau.now()
    )  # fmt: skip
    return held(bureau, officer.id)[-1]


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def test_an_officer_gets_a_file_that_opens_with_the_passphrase_and_nobody_keeps_it(
    administrator: httpx.Client, officer: Person, bureau: Bureau
) -> None:
    page = administrator.get("/certificates").text
    offered = re.search(r'name="passphrase"[^>]*value="([^"]{20})"', page)
    assert offered is not None
    answer = administrator.post(
        "/certificates/officers", data={"certificate_number": officer.number, "passphrase": offered[1]}
    )
    assert answer.headers["content-type"] == "application/x-pkcs12"
    assert f'filename="{officer.number}.p12"' in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    key = open_pkcs12(answer.content, passphrase=offered[1], at=bureau.now() + timedelta(seconds=1))
    (row,) = held(bureau, officer.id)
    assert (row.certificate, row.place) == (key.certificate, "holder")
    assert offered[1] not in administrator.get("/certificates").text
    found = administrator.get("/certificates", params={"q": officer.number, "purpose": "officer", "state": "valid"})
    assert f"/certificates/{row.id}" in found.text
    for other in ({"state": "revoked"}, {"purpose": "seal"}, {"q": "没有这个人"}):
        narrowed = administrator.get("/certificates", params={"q": officer.number, **other})
        assert f"/certificates/{row.id}" not in narrowed.text
    fetched = administrator.get(f"/certificates/{row.id}/certificate.pem")
    assert x509.load_pem_x509_certificate(fetched.content).public_bytes(Encoding.DER) == row.certificate


def test_what_is_wrong_is_said_beside_its_field(administrator: httpx.Client, officer: Person) -> None:
    for given, said in (
        ({"certificate_number": officer.number, "passphrase": "kurz"}, "口令须为 12 到 200 个字符"),
        ({"certificate_number": officer.number, "passphrase": ""}, "请填写"),
        ({"certificate_number": "无人", "passphrase": PASSPHRASE}, "没有登记持此执法证号的执法人员"),
    ):
        answer = administrator.post("/certificates/officers", data=given)
        assert answer.status_code == 422
        assert said in words(answer), said


def test_a_certificate_from_outside_is_registered_and_never_with_its_key(
    administrator: httpx.Client, officer: Person, bureau: Bureau
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    der = DocumentPki(MovedClock(bureau.now())).signer("赵六", key).certificate
    old = DocumentPki(MovedClock()).signer("赵六", key).certificate
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sent(file: bytes, number: str = officer.number) -> httpx.Response:
        return administrator.post(
            "/certificates/outside", data={"certificate_number": number}, files={"file": ("a.pem", file)}
        )

    for file, said in (
        (b"", "请填写"),
        (b"none", "无法读取签名人的证书"),
        (pem(der) + private, "文件中含有私钥"),
        (pem(der) * 2, "无法读取签名人的证书"),
        (pem(old), "证书已过期"),
        (bytes(65 * 1024), "文件不得超过 64 KiB"),
    ):
        answer = sent(file)
        assert answer.status_code == 422, said
        assert said in words(answer), said
    answer = sent(pem(der))
    (row,) = held(bureau, officer.id)
    assert answer.headers["location"] == f"/certificates/{row.id}?done=certificate_done"
    assert row.certificate == der
    shown = words(administrator.get(answer.headers["location"]))
    assert "由外部机构签发" in shown
    assert "登记外部签发的证书" in shown
    assert sent(der).status_code == 422, "it is known"


def test_a_seal_is_made_when_a_second_administrator_agrees(
    administrator: httpx.Client, second: httpx.Client, bureau: Bureau
) -> None:
    asked = administrator.post("/certificates/seals", data={"agency": str(FIRST_AGENCY)})
    assert asked.headers["location"] == "/certificates?done=certificate_asked"
    with bureau.services.database.read() as tx:
        query = select(KeyRequest).where(KeyRequest.state == "waiting").order_by(KeyRequest.id.desc())
        request = tx.scalars(query).first()
    assert request is not None
    decision = f"/certificates/requests/{request.id}/decision"
    mine, theirs = administrator.get("/certificates").text, second.get("/certificates").text
    assert decision not in mine
    assert "须由另一名系统管理员审批" in mine
    assert decision in theirs
    own = administrator.post(decision, data={"decision": "approve"})
    assert own.status_code == 422
    assert "须由第二人" in words(own) or "不能" in words(own)
    assert second.post(decision, data={"decision": "refuse"}).status_code == 422, "without a reason"
    assert second.post(decision, data={"decision": "perhaps"}).status_code == 422
    agreed = second.post(decision, data={"decision": "approve", "reason": "同意启用"})
    assert agreed.headers["location"] == "/certificates?done=certificate_agreed"
    assert second.post(decision, data={"decision": "approve"}).status_code == 422, "it is decided"
    with bureau.services.database.read() as tx:
        row = tx.scalars(select(KeyCertificate).where(KeyCertificate.certificate == request.certificate)).one()
    seal = f"/certificates/{row.id}"
    shown = words(administrator.get(seal))
    for said in ("机关印章", "申请办理证书，待第二人同意", "同意启用", "登记证书"):
        assert said in shown, said
    assert (
        administrator.post(f"{seal}/replacement", data={"": ""}).headers["location"]
        == "/certificates?done=certificate_asked"
    )
    assert "有事项待审批" in words(administrator.get(seal))
    given = {"revocation_reason": "cessationOfOperation", "reason": "停用", "since": local_input(bureau.now())}
    assert administrator.post(f"{seal}/revocation", data=given).headers["location"].endswith("certificate_asked")
    waiting = second.get("/certificates").text
    for one in re.findall(r"/certificates/requests/[0-9a-f-]+/decision", waiting):
        done = second.post(one, data={"decision": "refuse", "reason": "仍在使用"})
        assert done.headers["location"] == "/certificates?done=certificate_refused"


def test_a_seal_is_shown_as_it_stands_on_records(administrator: httpx.Client) -> None:
    answer = administrator.get(f"/certificates/seals/{FIRST_AGENCY}/picture")
    assert answer.headers["content-type"] == "image/svg+xml"
    drawn = ET.fromstring(answer.text)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}path"))) > 10
    assert administrator.get(f"/certificates/seals/{uuid4()}/picture").status_code == 404


def test_without_a_token_no_seal_of_one_is_registered(administrator: httpx.Client) -> None:
    assert "/certificates/token-seals" not in administrator.get("/certificates").text
    for given, said in (({"label": "x"}, "没有设置密码设备"), ({"label": ""}, "没有设置密码设备")):
        answer = administrator.post(
            "/certificates/token-seals", data={"agency": str(FIRST_AGENCY), **given}, files={"file": ("", b"")}
        )
        assert answer.status_code == 422
        assert said in words(answer)


def test_one_is_replaced_and_both_know_of_each_other(
    administrator: httpx.Client, officer: Person, bureau: Bureau
) -> None:
    first = issued(bureau, officer)
    answer = administrator.post(f"/certificates/{first.id}/replacement", data={"passphrase": PASSPHRASE})
    assert answer.headers["content-type"] == "application/x-pkcs12"
    der = DocumentPki(MovedClock(bureau.now())).signer("赵六").certificate
    fresh = held(bureau, officer.id)[-1]
    assert administrator.post(f"/certificates/{fresh.id}/replacement", data={"passphrase": "x"}).status_code == 422
    by_file = f"/certificates/{fresh.id}/replacement/file"
    assert administrator.post(by_file, files={"file": ("a.der", b"")}).status_code == 422
    done = administrator.post(by_file, files={"file": ("a.der", der)})
    rows = held(bureau, officer.id)
    assert done.headers["location"] == f"/certificates/{rows[-1].id}?done=certificate_done"
    assert [row.replaced_by for row in rows] == [rows[1].id, rows[2].id, None]
    shown = administrator.get(f"/certificates/{rows[1].id}").text
    assert f"/certificates/{rows[0].id}" in shown
    assert f"/certificates/{rows[2].id}" in shown
    assert "replacement" not in shown, "it is replaced already"
    again = administrator.post(f"/certificates/{rows[0].id}/replacement", data={"passphrase": PASSPHRASE})
    assert again.status_code == 422
    assert "这张证书已吊销或已更换" in words(again)


def test_one_is_revoked_since_a_moment_of_its_validity(
    administrator: httpx.Client, officer: Person, bureau: Bureau
) -> None:
    row = issued(bureau, officer)
    address = f"/certificates/{row.id}/revocation"
    given = {"revocation_reason": "keyCompromise", "reason": "证书文件遗失", "since": local_input(row.not_before)}
    for bad, said in (
        ({"since": local_input(row.not_before - timedelta(days=1))}, "须在证书生效之后、当前时间之前"),
        ({"since": local_input(bureau.now() + timedelta(days=1))}, "须在证书生效之后、当前时间之前"),
        ({"since": "gestern"}, "不是有效的日期和时间"),
        ({"reason": ""}, "请填写"),
        ({"revocation_reason": "removeFromCRL"}, "请选择"),
    ):
        answer = administrator.post(address, data={**given, **bad})
        assert answer.status_code == 422
        assert said in words(answer), (said, words(answer))
    done = administrator.post(address, data=given)
    assert done.headers["location"] == f"/certificates/{row.id}?done=certificate_done"
    shown = words(administrator.get(f"/certificates/{row.id}"))
    for said in ("已吊销，自此时起不应再采信", "私钥泄露或遗失", "证书文件遗失", "自此时起没有签名"):
        assert said in shown, said
    assert administrator.post(address, data=given).status_code == 422
    assert administrator.get(f"/certificates/{row.id}?since=2026-01-01T00:00:00").status_code == 200
    assert administrator.get(f"/certificates/{row.id}?since=unsinn").status_code == 200


def test_an_officer_sees_the_own_certificates_and_gets_one(officer: Person, bureau: Bureau, base: str) -> None:
    mine = "/account/certificates"
    assert mine in officer.client.get("/account").text
    assert "您还没有签名证书" in words(officer.client.get(mine))
    given = {"passphrase": PASSPHRASE, "again": PASSPHRASE, "password": PASSWORD}
    for bad, said in (
        ({"again": "anders"}, "两次输入的"),
        ({"password": "falsch"}, "密码不正确"),
        ({"passphrase": "kurz", "again": "kurz"}, "口令须为 12 到 200 个字符"),
    ):
        answer = officer.client.post(mine, data={**given, **bad})
        assert answer.status_code == 422
        assert said in words(answer), (said, words(answer))
    answer = officer.client.post(mine, data=given)
    assert answer.headers["content-type"] == "application/x-pkcs12"
    open_pkcs12(answer.content, passphrase=PASSPHRASE, at=bureau.now() + timedelta(seconds=1))
    der = DocumentPki(MovedClock(bureau.now())).signer("赵六").certificate
    outside = f"{mine}/outside"
    assert officer.client.post(outside, data={"password": "x"}, files={"file": ("a", der)}).status_code == 422
    done = officer.client.post(outside, data={"password": PASSWORD}, files={"file": ("a", der)})
    assert done.headers["location"] == f"{mine}?done=certificate_done"
    assert officer.client.post(outside, data={"password": PASSWORD}, files={"file": ("a", der)}).status_code == 422
    rows = held(bureau, officer.id)
    assert len(rows) == 2
    page = officer.client.get(mine).text
    assert all(f"/certificates/{row.id}" in page for row in rows)
    for row in rows:
        shown = officer.client.get(f"/certificates/{row.id}").text
        assert "revocation" not in shown
        assert officer.client.get(f"/certificates/{row.id}/certificate.pem").status_code == 200
        assert officer.client.post(f"/certificates/{row.id}/revocation", data={}).status_code == 403
    number = f"YN{uuid4().hex[:8]}"
    facts = OfficerFacts(number, "钱七", "局", "队")
    other_id = record_officer(bureau.services.database, facts, by=OPERATOR, at=bureau.now())
    with _signed_in(bureau, base, number, Role.OFFICER, officer_id=other_id) as other:
        for row in rows:
            assert other.get(f"/certificates/{row.id}").status_code == 404
            assert other.get(f"/certificates/{row.id}/certificate.pem").status_code == 404


def test_nobody_replaces_what_the_archive_renews_by_itself(administrator: httpx.Client, bureau: Bureau) -> None:
    bureau.services.seals.room.capture()
    with bureau.services.database.read() as tx:
        row = tx.scalars(select(KeyCertificate).where(KeyCertificate.purpose == "capture")).first()
    assert row is not None
    for answer in (
        administrator.post(f"/certificates/{row.id}/replacement", data={"": ""}),
        administrator.post(f"/certificates/{row.id}/replacement/file", files={"file": ("a", b"x")}),
    ):
        assert answer.status_code == 422
        assert "由系统自行更换" in words(answer)


def test_the_list_goes_on_where_a_page_ends(administrator: httpx.Client, officer: Person, bureau: Bureau) -> None:
    newest = issued(bureau, officer).id
    assert f"/certificates/{newest}" not in administrator.get(f"/certificates?before={newest}").text
    seed.sequence(bureau)
    assert re.search(r"#[\d,]+", words(administrator.get(f"/certificates/{newest}")))
