"""A bureau in which something is a state secret: asked for, approved, opened in an emergency, looked into."""

from datetime import timedelta

from archive.access.classes import RestrictedClass
from archive.access.clearances import grant_clearance
from archive.access.policy import Role
from archive.cases.restrictions import classify_object
from archive.custody.models import PreservedObject
from archive.kernel.ids import AccountId, ObjectId, RequestId
from archive.ledger.entries import OPERATOR
from archive.retrieval.grants import Purpose, grant_access, grant_in_emergency
from archive.retrieval.requests import Asked, ask, decide
from archive.retrieval.rules import GrantKind
from archive.retrieval.unusual import judge_accesses
from tests.support import seed
from tests.support.seed import Bureau

CLEARED = (Role.CASE_HANDLER, Role.UNIT_HEAD, Role.SUPERVISOR, Role.AUDITOR)
HANDLING = Purpose("案件办理", "官综执罚〔2026〕第031号")


def make_secret(bureau: Bureau, name: str) -> ObjectId:
    """Make an item a state secret, for whom most are cleared. Idempotent."""
    database, object_id = bureau.services.database, bureau.items[name]
    with database.read() as tx:
        if tx.get_one(PreservedObject, object_id).classes:
            return object_id
    for role in CLEARED:
        grant_clearance(
            database,
            AccountId(bureau.people[role].id),
            restricted_class=RestrictedClass.STATE_SECRET,
            until=bureau.now() + timedelta(days=180),
            reason="经保密审查",
            by=OPERATOR,
            at=bureau.now(),
        )
    head = seed.caller(bureau, Role.UNIT_HEAD)
    classify_object(
        database, object_id, [RestrictedClass.STATE_SECRET], reason="涉及涉密场所", by=head, at=bureau.now()
    )
    return object_id


def ask_for(
    bureau: Bureau, object_id: ObjectId, kind: GrantKind, *, days: int = 7, purpose: Purpose = HANDLING
) -> RequestId:
    """Have the case handler ask for something."""
    by, rules = seed.caller(bureau, Role.CASE_HANDLER), bureau.services.retrievals.rules
    return ask(bureau.services.database, object_id, Asked(kind, purpose, days), by=by, rules=rules, at=bureau.now())


def decide_on(bureau: Bureau, request_id: RequestId, *, is_approved: bool, reason: str = "") -> None:
    """Have the head of unit decide."""
    by = seed.caller(bureau, Role.UNIT_HEAD)
    decide(bureau.services.database, request_id, is_approved=is_approved, reason=reason, by=by, at=bureau.now())


def make_retrievals(bureau: Bureau) -> None:
    """Something of everything that the pages of retrieval show."""
    database, rules = bureau.services.database, bureau.services.retrievals.rules
    video, secret, record = bureau.items["video"], make_secret(bureau, "long"), bureau.records["inspection"]
    handler, head = (seed.caller(bureau, role) for role in (Role.CASE_HANDLER, Role.UNIT_HEAD))
    decide_on(bureau, ask_for(bureau, video, GrantKind.EXPORT, days=30), is_approved=True, reason="用于听证")
    decide_on(bureau, ask_for(bureau, record, GrantKind.EXPORT), is_approved=False, reason="请在办案系统内查阅")
    ask_for(bureau, secret, GrantKind.VIEW, days=3)
    ask_for(bureau, record, GrantKind.PRINT, purpose=Purpose("复议或诉讼举证", "昆行复〔2026〕19号"))
    for who, kind, what in (
        (handler, GrantKind.VIEW, video), (handler, GrantKind.EXPORT, video), (head, GrantKind.VIEW, record),
        (head, GrantKind.PRINT, record), (head, GrantKind.VIEW, secret),
    ):  # fmt: skip
        grant_access(database, what, kind=kind, purpose=HANDLING, by=who, rules=rules, at=bureau.now())
    why = Purpose("嫌疑人在逃，需立即核对面貌", "官综执罚〔2026〕第031号")
    grant_in_emergency(database, secret, purpose=why, by=handler, rules=rules, at=bureau.now())
    while judge_accesses(database, rules, at=bureau.now()):
        pass
