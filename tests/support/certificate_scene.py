"""Certificates and seals as a bureau keeps them: issued, brought along, replaced, revoked, and some that wait."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.cases.drafting import begin_record
from archive.cases.sealing import seal_record
from archive.documents import templates
from archive.documents.form_context import FormContext
from archive.documents.holders import agency_named
from archive.documents.issuing import decide, issue_seal, issue_to_officer, register_of_officer, revoke
from archive.documents.setting import set_draft
from archive.documents.templates import example_of
from archive.kernel.ids import AgencyId, CertificateId, KeyRequestId, OfficerId
from archive.ledger.entries import Actor
from archive.organisation.models import FIRST_AGENCY, FIRST_UNIT
from archive.organisation.officers import officer_by_certificate
from archive.ports.revocations import RevocationReason
from archive.trust.models import KeyCertificate
from tests.support import seed
from tests.support.document_pki import DocumentPki, MovedClock
from tests.support.seed import PASSWORD, Bureau

_PASSPHRASE = "a passphrase of a scene"


def certificates_of_scene(bureau: Bureau) -> CertificateId:
    """Give the bureau certificates in every state, and return that of a seal which was replaced once. Idempotent."""
    seed.organise(bureau)
    services, issuer = bureau.services, bureau.services.issuer
    with services.database.read() as tx:
        found = tx.scalars(
            select(KeyCertificate.id).where(
                KeyCertificate.holder_id == FIRST_UNIT, KeyCertificate.replaced_by.is_not(None)
            )
        ).first()
        people = [
            OfficerId(found_id)
            for number in ("01160117", "01160131", "01160142", "01160150")
            if (found_id := officer_by_certificate(tx, number)) is not None
        ]
    if found is not None:
        return CertificateId(found)
    by = bureau.people[Role.ADMINISTRATOR]
    other = Actor(
        create_account(
            services.database, username="zhoujun", display_name="周军", roles=[Role.ADMINISTRATOR], password=PASSWORD, by=by,
            at=bureau.now(),
        )
    )  # fmt: skip
    agency = AgencyId(FIRST_AGENCY)
    first = CertificateId(_agreed(bureau, issue_seal(issuer, agency, by=by, at=bureau.now()), other))
    for number in ("官综执罚〔2026〕第033号", "官综执罚〔2026〕第034号"):
        _seal(bureau, number)
    _agreed(bureau, issue_seal(issuer, agency, of=first, by=by, at=bureau.now()), other)
    services.seals.room.capture()
    made = [
        CertificateId(issue_to_officer(issuer, person, passphrase=_PASSPHRASE, by=by, at=bureau.now()).outcome)
        for person in (people[0], people[0], people[1], people[3])
    ]
    revoke(
        issuer, made[2], reason=RevocationReason.KEY_COMPROMISE, words="证书文件随 U 盘遗失", since=bureau.now(), by=by,
        at=bureau.now(),
    )  # fmt: skip
    outside = DocumentPki(MovedClock(bureau.now()))
    short = outside.signer("杨国栋", ec.generate_private_key(ec.SECP256R1()), valid=timedelta(days=20)).certificate
    register_of_officer(issuer, people[2], short, by=by, at=bureau.now())
    county = AgencyId(_agency_of_code(bureau, "3"))
    issue_seal(issuer, county, by=other, at=bureau.now())
    revoke(
        issuer, first, reason=RevocationReason.SUPERSEDED, words="机关更名，旧印章停止使用", since=bureau.now(), by=by,
        at=bureau.now(),
    )  # fmt: skip
    return first


def _agency_of_code(bureau: Bureau, code: str) -> AgencyId:
    with bureau.services.database.read() as tx:
        return agency_named(tx, code)


def _agreed(bureau: Bureau, asked: CertificateId | KeyRequestId, by: Actor) -> CertificateId:
    decide(
        bureau.services.issuer, KeyRequestId(asked), is_approved=True, words="同意", by=by, at=bureau.now()
    )  # fmt: skip
    with bureau.services.database.read() as tx:
        newest = select(KeyCertificate.id).order_by(KeyCertificate.id.desc())
        return CertificateId(tx.scalars(newest).first())  # type: ignore[arg-type]


def _seal(bureau: Bureau, number: str) -> None:
    """Have a decision sealed."""
    services, by = bureau.services, bureau.people[Role.CASE_HANDLER]
    desk = replace(services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    text = (Path(templates.__file__).parent / "penalty_decision.toml").read_text("utf-8")
    draft_id = begin_record(
        services.database, text, case_id=bureau.cases["main"], title=f"行政处罚决定书（{number}）",
        values=example_of("penalty_decision"), by=by, at=bureau.now(),
    )  # fmt: skip
    set_draft(desk, draft_id, revision=1, by=by, at=bureau.now())
    seals = replace(services.seals, room=replace(services.seals.room, desk=desk))
    seal_record(seals, draft_id, "agency", by=by)
