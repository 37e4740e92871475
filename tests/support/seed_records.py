"""Text records of the seed's bureau: two officers with keys, the agency's seal, and records in every state."""

import math
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.cases.drafting import begin_record
from archive.cases.filing import record_act
from archive.cases.sealing import seal_record
from archive.cases.terms import Stage
from archive.documents.issuing import issue_seal, issue_to_officer
from archive.documents.setting import set_draft
from archive.documents.signatures import signing_of
from archive.documents.signers import sign_as_officer, sign_by_hand
from archive.documents.templates import example_of, shipped_texts
from archive.kernel.ids import AgencyId, CaseId, DraftId, OfficerId
from archive.ledger.entries import OPERATOR, Actor
from archive.organisation.models import FIRST_AGENCY
from archive.organisation.officers import OfficerFacts, record_officer
from archive.trust.rules import TrustRules
from signing.hand_signatures import HandSignature, Point
from signing.pkcs12 import open_pkcs12
from tests.support.seed import PASSWORD, Bureau

KEY_PASSPHRASE = "dianchi lake 2026"
OFFICERS = {
    "zhang": ("张明远", "25010020017", Role.CASE_HANDLER),
    "chen": ("陈思源", "25010020036", Role.OFFICER),
}
ALONE = replace(TrustRules.load(), second_person={act: frozenset() for act in TrustRules.load().second_person})
HAND = HandSignature(
    "王小荷",
    [
        [
            Point(
                int(9000 + stroke * 15_000 + 6000 * math.sin(at / 4)), int(5000 + 400 * at), stroke * 900 + at * 9, 600
            )
            for at in range(30)
        ]
        for stroke in range(3)
    ],
)


@dataclass
class Signers:
    """Two officers who have accounts and keys, by user name, and the files of their keys."""

    officers: dict[str, tuple[OfficerId, Actor]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def file_of(self, username: str, folder: Path) -> Path:
        """Write the key of an officer into a folder, as the officer has it on a stick."""
        path = folder / f"{username}.p12"
        path.write_bytes(self.files[username])
        return path


def make_signers(bureau: Bureau) -> Signers:
    """Write the officers of the worked examples down, with accounts, certificates and the agency's seal."""
    services, made = bureau.services, Signers()
    issuer = replace(services.issuer, rules=ALONE)
    for username, (name, number, role) in OFFICERS.items():
        facts = OfficerFacts(number, name, "云岭市市场监督管理局", "执法大队")
        officer_id = record_officer(services.database, facts, by=OPERATOR, at=bureau.now())
        account_id = create_account(
            services.database,
            username=username,
            display_name=name,
            roles=[role],
            password=PASSWORD,
            officer_id=officer_id,
            by=OPERATOR,
            at=bureau.now(),
        )
        issued = issue_to_officer(issuer, officer_id, passphrase=KEY_PASSPHRASE, by=OPERATOR, at=bureau.now())
        made.officers[username], made.files[username] = (officer_id, Actor(account_id)), issued.pkcs12
    issue_seal(issuer, AgencyId(FIRST_AGENCY), by=OPERATOR, at=bureau.now())
    return made


def record_inspection(bureau: Bureau, case_id: CaseId) -> None:
    """Record the inspection that the worked examples tell of, with both officers."""
    start = bureau.now() - timedelta(days=2)
    record_act(
        bureau.services.database,
        case_id,
        stage=Stage.INSPECTION,
        place="云岭市文昌区石桥路118号",
        started_at=start,
        ended_at=start + timedelta(minutes=100),
        officers=[number for _, number, _ in OFFICERS.values()],
        by=bureau.people[Role.CASE_HANDLER],
        at=bureau.now(),
    )


def begin(bureau: Bureau, case_id: CaseId, code: str, title: str, **changed: object) -> DraftId:
    """Begin a record that holds the worked example of its template."""
    return begin_record(
        bureau.services.database,
        shipped_texts()[code],
        case_id=case_id,
        title=title,
        values={**example_of(code), **changed},
        by=bureau.people[Role.CASE_HANDLER],
        at=bureau.now(),
    )


def set_record(bureau: Bureau, draft_id: DraftId) -> DraftId:
    """Set a record that was begun."""
    desk = bureau.services.records.desk
    set_draft(desk, draft_id, revision=1, by=bureau.people[Role.CASE_HANDLER], at=bureau.now())
    return draft_id


def sign_all(bureau: Bureau, signers: Signers, draft_id: DraftId) -> DraftId:
    """Have a party sign by hand where the record asks for it, and both officers after it."""
    room = bureau.services.seals.room
    with bureau.services.database.read() as tx:
        steps = [step for step in signing_of(tx, draft_id).steps if step.is_required]
    officers = iter(signers.officers)
    for step in steps:
        if step.by.value == "hand":
            sign_by_hand(room, draft_id, step.place, HAND, by=bureau.people[Role.CASE_HANDLER])
        elif step.by.value == "certificate":
            username = next(officers)
            officer_id, actor = signers.officers[username]
            key = open_pkcs12(signers.files[username], passphrase=KEY_PASSPHRASE, at=bureau.now())
            sign_as_officer(room, draft_id, step.place, key, officer_id=officer_id, by=actor)
    return draft_id


def seal(bureau: Bureau, draft_id: DraftId) -> DraftId:
    """Seal a record that all others have signed, which files it."""
    services = bureau.services
    if seal_record(services.seals, draft_id, "agency", by=bureau.people[Role.UNIT_HEAD]):
        services.records.file_record(draft_id)
    return draft_id
