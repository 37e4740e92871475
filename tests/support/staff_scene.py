"""Officers as a bureau keeps them: portraits, training, examinations; reviewers and lawyers; who is cleared for what."""

import io
from datetime import timedelta

from PIL import Image, ImageDraw
from sqlalchemy import select

from archive.access.classes import RestrictedClass
from archive.access.clearances import clearances, grant_clearance
from archive.access.models import Account
from archive.access.policy import Role
from archive.kernel.ids import AccountId, OfficerId
from archive.kernel.instants import BUREAU_ZONE
from archive.organisation.legal_staff import LegalFacts, LegalKind, end_legal_staff, record_legal_staff
from archive.organisation.models import LegalStaff
from archive.organisation.officers import officer_by_certificate
from archive.organisation.photos import photo_digest, set_photo
from archive.organisation.records import RecordFacts, RecordKind, RecordResult, add_record, withdraw_record
from ingest.media.portraits import make_portrait
from tests.support import seed
from tests.support.seed import Bureau


def drawn_face(background: str = "#cfe0f2") -> bytes:
    """Return a PNG of a head and shoulders that is nobody's."""
    picture = Image.new("RGB", (600, 800), background)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((60, 540, 540, 1060), fill="#24405f")
    draw.polygon([(240, 560), (360, 560), (300, 690)], fill="#f4f7fa")
    draw.rectangle((255, 440, 345, 590), fill="#d9a988")
    draw.ellipse((180, 170, 420, 510), fill="#e8bd9d")
    draw.pieslice((168, 130, 432, 430), 180, 360, fill="#2b2b30")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def officer_of_scene(bureau: Bureau) -> OfficerId:
    """Give the bureau people with all that is kept of them, and return an officer who has something of everything."""
    seed.organise(bureau)
    services, by, now = bureau.services, bureau.people[Role.ADMINISTRATOR], bureau.now()
    with services.database.read() as tx:
        officer_id = officer_by_certificate(tx, "01160131")
        assert officer_id is not None
        if photo_digest(tx, officer_id) is not None:
            return officer_id
    jpeg = make_portrait(drawn_face(), toolbox=services.workshop.toolbox(), work=services.workshop.work)
    set_photo(services.database, services.identifiers, officer_id, jpeg, by=by, at=now)
    today = now.astimezone(BUREAU_ZONE).date()
    begin = today.replace(month=1, day=1)

    def add(
        kind: RecordKind, subject: str, back: int, hours: int | None, score: int | None, **more: object
    ) -> RecordFacts:
        day = max(begin, today - timedelta(days=back))
        result = RecordResult.PASSED if kind is RecordKind.EXAMINATION or score else None
        return RecordFacts(kind, subject, day, hours, score, more.pop("result", result), **more)  # type: ignore[arg-type]

    training, examination = RecordKind.TRAINING, RecordKind.EXAMINATION
    rows = [
        add(training, "《行政处罚法》与执法程序", 190, 240, None, organiser="官渡区司法局"),
        add(training, "执法记录仪使用与音像记录归档", 120, 80, 960, organiser="官渡区综合行政执法局"),
        add(examination, "行政执法人员资格考试", 60, None, 885, organiser="昆明市司法局", certificate_number="昆执考2026-0131",
            valid_until=today + timedelta(days=700)),
        add(examination, "年度执法业务考核", 20, None, 540, result=RecordResult.FAILED),
    ]  # fmt: skip
    for facts in rows:
        made = add_record(services.database, officer_id, facts, by=by, at=bureau.now())
    wrong = add(training, "城市管理综合执法实务", 40, 16, None)
    first = add_record(services.database, officer_id, wrong, by=by, at=bureau.now())
    right = add(training, "城市管理综合执法实务", 40, 160, None, organiser="市局培训中心")
    add_record(services.database, officer_id, right, replaces=first, reason="学时录入有误", by=by, at=bureau.now())
    withdraw_record(services.database, officer_id, made, reason="登记错人", by=by, at=bureau.now())
    _legal_staff(bureau)
    return officer_id


def legal_person_of_scene(bureau: Bureau) -> str:
    """Return where somebody of the legal staff is shown."""
    officer_of_scene(bureau)
    with bureau.services.database.read() as tx:
        return f"/admin/legal-staff/{tx.scalars(select(LegalStaff.id).where(LegalStaff.number == 'F001')).one()}"


def cleared_account_of_scene(bureau: Bureau) -> str:
    """Clear the head of unit for two classes, and return where that is shown."""
    services, by, now = bureau.services, bureau.people[Role.ADMINISTRATOR], bureau.now()
    account_id = AccountId(bureau.people[Role.UNIT_HEAD].id)
    with services.database.read() as tx:
        is_cleared = bool(clearances(tx, account_id, at=now))
    for restricted_class, days, reason in (
        (RestrictedClass.MINORS, 90, "承办涉未成年人案件"),
        (RestrictedClass.INFORMANT, 300, "负责举报件办理"),
    ):
        if not is_cleared:
            grant_clearance(
                services.database, account_id, restricted_class=restricted_class, until=now + timedelta(days=days),
                reason=reason, by=by, at=now,
            )  # fmt: skip
    return f"/admin/accounts/{account_id}"


def _legal_staff(bureau: Bureau) -> None:
    services, by, now = bureau.services, bureau.people[Role.ADMINISTRATOR], bureau.now()
    today = now.astimezone(BUREAU_ZONE).date()
    long_ago = today - timedelta(days=2_000)
    reviewer = bureau.people[Role.LEGAL_REVIEWER].id
    people = [
        LegalFacts("F001", "吕敏", LegalKind.REVIEWER, "1", long_ago, "10", "A20155301110001", today - timedelta(days=4_000),
                   account_id=reviewer),
        LegalFacts("F002", "方志远", LegalKind.REVIEWER, "1", today - timedelta(days=200), "20"),
        LegalFacts("F003", "何静", LegalKind.GOVERNMENT_LAWYER, "1", long_ago, "", "A20105301110077",
                   today - timedelta(days=5_000), "15301201510000001"),
        LegalFacts("F004", "陈律师", LegalKind.LEGAL_ADVISER, "1", long_ago, "", "A20085301110012",
                   today - timedelta(days=6_000), "15301200810000002"),
    ]  # fmt: skip
    for facts in people:
        made = record_legal_staff(
            services.database, facts, has_account=lambda tx, given: tx.get(Account, given) is not None, by=by,
            at=bureau.now(),
        )  # fmt: skip
    end_legal_staff(
        services.database, made, until=today - timedelta(days=30), reason="聘期届满", by=by, at=bureau.now()
    )  # fmt: skip
