"""Pushing subjects. A number decides who somebody is, so one that is another subject's is a conflict to be settled."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from archive.access.external_ids import ExternalKind, bound_id
from archive.cases.identifiers import Identifier
from archive.cases.subjects import (
    IdentifierTaken,
    KnownSubject,
    NewSubject,
    change_subject,
    settle_subject,
    subject_with,
)
from archive.cases.systems.push import (
    Outcome,
    Pushed,
    Pusher,
    Wish,
    bind,
    name_of,
    require_version,
    settled,
    still_free,
)
from archive.cases.systems.reading import facts_of
from archive.cases.terms import SubjectKind
from archive.kernel.errors import Conflict
from archive.kernel.ids import SubjectId

_KIND = ExternalKind.SUBJECT


class SeveralSubjects(Conflict):
    """These numbers belong to several subjects; merge them first if they are one."""

    code = "cases.several_subjects"


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """What a system says of a subject. Numbers that it leaves out stay."""

    kind: SubjectKind
    name: str
    identifiers: Sequence[Identifier] = ()


def push_subject(pusher: Pusher, external_id: str, facts: SubjectFacts, wish: Wish) -> Pushed:
    """Create or update a subject by its external id. Idempotent.

    Raises: IdentifierTaken when a number is another subject's (which `adopt` settles where that one has no name in this
        system), SeveralSubjects, VersionMismatch, InvalidInput, IdentifierUnreadable.
    """

    def work(tx: Session) -> Pushed:
        found = bound_id(tx, pusher.integration_id, _KIND, external_id, locked=True)
        if found is not None:
            subject_id = SubjectId(found)
            require_version(wish, facts_of(tx, pusher.vault, pusher.integration_id, _KIND, subject_id))
            outcome = Outcome.CHANGED if _change(tx, pusher, subject_id, facts) else Outcome.UNCHANGED
        else:
            require_version(wish, None)
            outcome, subject_id = _take(tx, pusher, external_id, facts, wish)
            bind(tx, pusher, _KIND, external_id, subject_id)
        now = facts_of(tx, pusher.vault, pusher.integration_id, _KIND, subject_id)
        return Pushed(outcome, subject_id, now)

    return settled(pusher, work)


def _take(tx: Session, pusher: Pusher, external_id: str, facts: SubjectFacts, wish: Wish) -> tuple[Outcome, SubjectId]:
    """Record a new subject, or take the one that the numbers belong to where that is wished."""
    owners = _owners(tx, pusher, facts)
    if len(owners) > 1:
        raise SeveralSubjects(subject_ids=" ".join(map(str, owners)))
    if not owners:
        first = facts.identifiers[0] if facts.identifiers else None
        new = NewSubject(facts.name, facts.kind, first)
        with still_free(IdentifierTaken):
            subject_id = settle_subject(tx, pusher.vault, new, by=pusher.by, at=pusher.at)
        _add(tx, pusher, subject_id, facts.identifiers[1:])
        return Outcome.CREATED, subject_id
    (subject_id,) = owners
    name = name_of(tx, pusher, _KIND, subject_id, asking=external_id)
    if name or not wish.adopt:
        raise IdentifierTaken(subject_id=subject_id, **name, **({} if name else {"adopt": "adopt=true"}))
    _change(tx, pusher, subject_id, facts)
    return Outcome.ADOPTED, subject_id


def _owners(tx: Session, pusher: Pusher, facts: SubjectFacts) -> Sequence[SubjectId]:
    found = (subject_with(tx, pusher.vault, identifier) for identifier in facts.identifiers)
    return sorted({SubjectId(row.id) for row in found if row is not None})


def _change(tx: Session, pusher: Pusher, subject_id: SubjectId, facts: SubjectFacts) -> bool:
    is_changed = change_subject(tx, subject_id, name=facts.name, kind=facts.kind, by=pusher.by, at=pusher.at)
    return _add(tx, pusher, subject_id, facts.identifiers) or is_changed


def _add(tx: Session, pusher: Pusher, subject_id: SubjectId, identifiers: Sequence[Identifier]) -> bool:
    """Record those numbers that are new to a subject. Raises: IdentifierTaken, with the name of whose it is."""
    is_changed = False
    for identifier in identifiers:
        owner = subject_with(tx, pusher.vault, identifier)
        if owner is None:
            settle_subject(tx, pusher.vault, KnownSubject(subject_id, identifier), by=pusher.by, at=pusher.at)
            is_changed = True
        elif owner.id != subject_id:
            raise IdentifierTaken(subject_id=owner.id, **name_of(tx, pusher, _KIND, owner.id))
    return is_changed
