"""Pushing cases. The case number is there once, whoever wrote it down, so a case made by hand can be adopted."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from archive.access.external_ids import ExternalKind, bound_id
from archive.cases.changes import change_case
from archive.cases.filing import CaseNumberTaken, case_by_number, write_case
from archive.cases.models import Case
from archive.cases.subjects import KnownSubject
from archive.cases.systems.push import (
    Outcome,
    Pushed,
    Pusher,
    Wish,
    bind,
    name_of,
    referred,
    require_version,
    settled,
    still_free,
)
from archive.cases.systems.reading import facts_of
from archive.cases.terms import Category
from archive.db.sight import unbound
from archive.kernel.ids import CaseId, SubjectId

_KIND = ExternalKind.CASE


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What a system says of a case. `subject` is the external id of its subject."""

    number: str
    title: str
    category: Category
    subject: str


def push_case(pusher: Pusher, external_id: str, facts: CaseFacts, wish: Wish) -> Pushed:
    """Create or update a case by its external id. Idempotent.

    Raises: UnknownReference for a subject that was not pushed; CaseNumberTaken when another case has the number (which
        `adopt` settles where that one has no name in this system); VersionMismatch, InvalidInput.
    """

    def work(tx: Session) -> Pushed:
        found = bound_id(tx, pusher.integration_id, _KIND, external_id, locked=True)
        if found is not None:
            case_id = CaseId(found)
            require_version(wish, facts_of(tx, pusher.vault, pusher.integration_id, _KIND, case_id))
            _require_number(tx, pusher, facts, case_id)
            outcome = Outcome.CHANGED if _change(tx, pusher, case_id, facts) else Outcome.UNCHANGED
        else:
            require_version(wish, None)
            outcome, case_id = _take(tx, pusher, external_id, facts, wish)
            bind(tx, pusher, _KIND, external_id, case_id, case_id=case_id)
        return Pushed(outcome, case_id, facts_of(tx, pusher.vault, pusher.integration_id, _KIND, case_id))

    return settled(pusher, work)


def _take(tx: Session, pusher: Pusher, external_id: str, facts: CaseFacts, wish: Wish) -> tuple[Outcome, CaseId]:
    """Open a case, or take the one that has its number where that is wished."""
    other = _by_number(tx, facts.number)
    if other is None:
        with still_free(CaseNumberTaken):
            case_id = write_case(
                tx,
                pusher.vault,
                number=facts.number,
                title=facts.title,
                category=facts.category,
                subject=_subject(tx, pusher, facts),
                by=pusher.by,
                at=pusher.at,
            )
        return Outcome.CREATED, case_id
    case_id = CaseId(other.id)
    name = name_of(tx, pusher, _KIND, case_id, asking=external_id)
    if name or not wish.adopt:
        raise CaseNumberTaken(case_id=case_id, **name, **({} if name else {"adopt": "adopt=true"}))
    _change(tx, pusher, case_id, facts)
    return Outcome.ADOPTED, case_id


def _by_number(tx: Session, number: str) -> Case | None:
    """Return the case with this number. Raises: CaseNumberTaken for one that the system does not see."""
    found = case_by_number(tx, number)
    if found is None:
        with unbound(tx):
            is_hidden = case_by_number(tx, number) is not None
        if is_hidden:
            raise CaseNumberTaken
    return found


def _require_number(tx: Session, pusher: Pusher, facts: CaseFacts, case_id: CaseId) -> None:
    """Refuse to give a case a number that is another one's. Raises: CaseNumberTaken."""
    other = _by_number(tx, facts.number)
    if other is not None and other.id != case_id:
        raise CaseNumberTaken(case_id=other.id, **name_of(tx, pusher, _KIND, other.id))


def _change(tx: Session, pusher: Pusher, case_id: CaseId, facts: CaseFacts) -> bool:
    return change_case(
        tx,
        pusher.vault,
        case_id,
        number=facts.number,
        title=facts.title,
        category=facts.category,
        subject=_subject(tx, pusher, facts),
        by=pusher.by,
        at=pusher.at,
    )


def _subject(tx: Session, pusher: Pusher, facts: CaseFacts) -> KnownSubject:
    return KnownSubject(SubjectId(referred(tx, pusher, ExternalKind.SUBJECT, facts.subject)))
