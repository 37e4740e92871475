"""B-LTA: extended at the close of a case, renewed for ten years with a moved clock; judged by pyHanko's AdES validation."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pyhanko.sign.ades.report import AdESIndeterminate, AdESPassed

from archive.documents.typesetting import Typesetter
from archive.kernel.instants import Instant
from signing.document_fields import SignatureField, prepare
from signing.documents import DocumentUnreadable
from signing.longterm import (
    NothingToExtend,
    RenewalReason,
    RenewalTooLate,
    ValidationData,
    ValidationDataUnreadable,
    extend,
    renew,
    renewal_due,
)
from signing.pades import DocumentSigner, Statement
from signing.stamps import TokenRefused
from tests.integration.signing.test_pades import case_data
from tests.support import document_judges as judges
from tests.support.document_pki import START, YEAR, DocumentPki, MovedClock
from tests.support.pdfa_clauses import breaches


class Filed:
    """A document that two people signed, extended ten days later."""

    def __init__(self) -> None:
        self.clock = MovedClock()
        self.pki = DocumentPki(self.clock)
        signers = [self.pki.signer("张三"), self.pki.signer("局", self.pki.rsa_key)]
        self.blank = Typesetter("list").set_pdf(case_data(), at=START)
        signed = prepare(self.blank, signatures=[SignatureField("officer"), SignatureField("seal")])
        for field, key in zip(("officer", "seal"), signers, strict=True):
            said = Statement(is_last=field == "seal")
            signed = DocumentSigner(key, self.clock, self.pki.token).sign(signed, field, said)
        self.signed = signed
        self.clock.at += timedelta(days=10)
        self.closed_at = self.clock.at
        self.validation = self.pki.validation(*signers)
        self.extended = extend(signed, validation=self.validation, token=self.pki.token)


@pytest.fixture(scope="module")
def filed() -> Filed:
    return Filed()


def passed(filed: Filed, pdf: bytes, at: Instant) -> list[object]:
    answers = filed.pki.answers()
    return [
        judges.lta(pdf, filed.pki.root_der, at=at, answers=answers, field=field).ades_subindic
        for field in ("officer", "seal")
    ]


def test_an_extended_document_passes_at_the_level_lta(filed: Filed, tmp_path: Path) -> None:
    result = judges.lta(filed.extended, filed.pki.root_der, at=filed.closed_at, answers=filed.pki.answers())
    assert result.ades_subindic == AdESPassed.OK
    assert result.oldest_evidence_record_timestamp == filed.closed_at
    assert judges.pdfsig(filed.extended, tmp_path).count("Signature is Valid") == 2
    assert judges.qpdf(filed.extended, tmp_path).returncode == 0
    assert breaches(filed.extended, tmp_path) == []


def test_what_was_signed_last_allows_the_extension(filed: Filed) -> None:
    found = judges.statuses(filed.extended, filed.pki.root_der, at=filed.closed_at)
    assert all(status.bottom_line for status in found.values())


def test_a_list_of_the_revoked_serves_as_well_as_answers(filed: Filed) -> None:
    given = ValidationData([filed.pki.root_der, filed.pki.stamping[1]], [filed.pki.crl()])
    pdf = extend(filed.signed, validation=given, token=filed.pki.token)
    at = filed.clock.at + timedelta(minutes=1)
    result = judges.lta(pdf, filed.pki.root_der, at=at, crls=[filed.pki.crl()])
    assert result.ades_subindic == AdESPassed.OK


def test_a_longer_hash_serves_when_the_shorter_one_ages(filed: Filed) -> None:
    pdf = extend(filed.extended, validation=filed.validation, token=filed.pki.token, hash_name="sha512")
    assert passed(filed, pdf, filed.clock.at) == [AdESPassed.OK] * 2


def test_it_is_said_when_and_why_a_renewal_is_due(filed: Filed) -> None:
    before = renewal_due(filed.signed, filed.closed_at)
    assert (before.reason, before.due_at, before.is_due) == (RenewalReason.NO_TIMESTAMP, None, True)
    after = renewal_due(filed.extended, filed.closed_at)
    ends = START - timedelta(hours=1) + 3 * YEAR
    assert (after.reason, after.ends_at, after.is_due) == (RenewalReason.CERTIFICATE_ENDS, ends, False)
    assert after.due_at is not None
    assert renewal_due(filed.extended, after.due_at).is_due
    assert not renewal_due(filed.extended, after.due_at - timedelta(seconds=1)).is_due
    aged = renewal_due(filed.extended, filed.closed_at, hashes_end={"sha256": START + YEAR})
    assert (aged.reason, aged.ends_at) == (RenewalReason.HASH_AGES, START + YEAR)
    assert not renewal_due(filed.blank, filed.closed_at).is_due


def test_ten_years_with_and_without_renewal() -> None:
    filed = Filed()
    pdf, renewals = filed.extended, 0
    while filed.clock.at < START + 10 * YEAR:
        due = renewal_due(pdf, filed.clock.at).due_at
        assert due is not None
        filed.clock.at = due + timedelta(days=1)
        last, _ = filed.pki.validation(), filed.pki.new_tsa()
        pdf, renewals = renew(pdf, at=filed.clock.at, validation=last, token=filed.pki.token), renewals + 1
    filed.clock.at += timedelta(days=60)
    assert renewals == 6
    assert passed(filed, pdf, filed.clock.at) == [AdESPassed.OK] * 2
    assert passed(filed, filed.extended, filed.clock.at) == [AdESIndeterminate.NO_POE] * 2
    with pytest.raises(RenewalTooLate):
        renew(filed.extended, at=filed.clock.at, validation=filed.pki.validation(), token=filed.pki.token)


def with_other_contents(pdf: bytes, contents: bytes) -> bytes:
    """Put other bytes in the place of every container."""
    for _, container in judges.containers(pdf).values():
        pdf = pdf.replace(container[: len(contents)].hex().upper().encode(), contents.hex().encode())
    return pdf


@pytest.mark.parametrize(
    "contents", [b"\x00" * 40, b"\x30\x03\x02\x01\x01", b"\x30\x80" * 20], ids=["zeros", "other", "endless"]
)
def test_containers_that_are_none_are_an_error_of_ours(filed: Filed, contents: bytes) -> None:
    with pytest.raises(DocumentUnreadable):
        renewal_due(with_other_contents(filed.extended, contents), filed.closed_at)


BAD: Sequence[tuple[type[Exception], Callable[[Filed], object]]] = [
    (NothingToExtend, lambda filed: extend(filed.blank, validation=filed.validation, token=filed.pki.token)),
    (DocumentUnreadable, lambda filed: extend(b"%PDF-1.7", validation=filed.validation, token=filed.pki.token)),
    (DocumentUnreadable, lambda filed: renewal_due(b"", filed.closed_at)),
    *[
        (
            ValidationDataUnreadable,
            lambda filed, data=data: extend(filed.signed, validation=data, token=filed.pki.token),
        )
        for data in (
            ValidationData([b"no certificate"]),
            ValidationData([], [b"\x30\x00"]),
            ValidationData([], [], [b"\x30\x80"]),
        )
    ],
    (TokenRefused, lambda filed: extend(
        filed.signed, validation=filed.validation, token=lambda _: filed.pki.token(hashlib.sha256(b"else").digest()))),
    (TokenRefused, lambda filed: extend(filed.signed, validation=filed.validation, token=lambda _: b"")),
]  # fmt: skip


@pytest.mark.parametrize(("error", "ask"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_extended_is_refused(
    filed: Filed, error: type[Exception], ask: Callable[[Filed], object]
) -> None:
    with pytest.raises(error):
        ask(filed)
