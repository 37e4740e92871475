"""Subjects: recording them, what is known of them, and showing a whole number to somebody who says what for.

A number decides who somebody is: the same number is the same subject. A name alone never does, since people share them.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from archive.access.actors import unit_of
from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.indexing import index_subjects
from archive.cases.models import Subject, SubjectIdentifier
from archive.cases.terms import SubjectKind
from archive.custody.accesses import record_access
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.db.sight import unbound
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import IdentifierId, SubjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.identifiers import IdentifierVault, Sealed

MAX_NAME_CHARACTERS: Final = 200


class SubjectNotFound(NotFound):
    """There is no such subject, or it is not yours to see."""

    code = "cases.subject_not_found"


class IdentifierNotFound(NotFound):
    """This subject has no such identifier."""

    code = "cases.identifier_not_found"


class IdentifierUnfit(InvalidInput):
    """A subject of this kind has no such number."""

    code = "cases.identifier_unfit"


class IdentifierTaken(Conflict):
    """Another subject is known by this number; if the two are one, merge them."""

    code = "cases.identifier_taken"


@dataclass(frozen=True, slots=True)
class KnownSubject:
    """Somebody who is on record already; a number that comes along is recorded with them."""

    id: SubjectId
    identifier: Identifier | None = None


@dataclass(frozen=True, slots=True)
class NewSubject:
    """Somebody who is not known to be on record, unless the number says otherwise."""

    name: str
    kind: SubjectKind
    identifier: Identifier | None = None


def record_subject(
    database: Database, vault: IdentifierVault, given: NewSubject, *, by: Actor, at: Instant
) -> SubjectId:
    """Write a subject down, or return the one that its number belongs to.

    Raises: IdentifierTaken, InvalidInput, IdentifierUnreadable.
    """
    with database.begin() as tx:
        return settle_subject(tx, vault, given, by=by, at=at)


def settle_subject(
    tx: Session, vault: IdentifierVault, given: KnownSubject | NewSubject, *, by: Actor, at: Instant
) -> SubjectId:
    """Return who is meant, in the caller's transaction: by id, by number, or newly recorded.

    A number with a check character decides whatever the name says; one without decides only under the same name.
    Raises: SubjectNotFound, IdentifierTaken, InvalidInput, IdentifierUnreadable.
    """
    if isinstance(given, KnownSubject):
        subject = require_subject(tx, given.id)
        if given.identifier is not None:
            _add(tx, vault, subject, given.identifier, by=by, at=at)
        return given.id
    name = clean_text(given.name, "name", MAX_NAME_CHARACTERS)
    given = NewSubject(name, given.kind, given.identifier)
    if given.identifier is None:
        return _record(tx, vault, given, by=by, at=at)
    known = subject_with(tx, vault, given.identifier)
    if known is None:
        try:
            with unique_or(IdentifierTaken), tx.begin_nested():
                return _record(tx, vault, given, by=by, at=at)
        except IdentifierTaken:  # another transaction has recorded the number meanwhile
            known = subject_with(tx, vault, given.identifier)
            if known is None:
                raise
    if known.kind != given.kind.value or not (given.identifier.kind.is_checked or known.name == name):
        raise IdentifierTaken(subject_id=known.id)
    return SubjectId(known.id)


def update_subject(
    database: Database,
    subject_id: SubjectId,
    *,
    name: str | None = None,
    kind: SubjectKind | None = None,
    by: Actor,
    at: Instant,
) -> bool:
    """Correct a subject's name or kind; return whether anything is different now.

    Raises: SubjectNotFound, InvalidInput, IdentifierUnfit when a number of the subject does not fit the kind.
    """
    with database.begin() as tx:
        return change_subject(tx, subject_id, name=name, kind=kind, by=by, at=at)


def change_subject(
    tx: Session,
    subject_id: SubjectId,
    *,
    name: str | None = None,
    kind: SubjectKind | None = None,
    by: Actor,
    at: Instant,
) -> bool:
    """Do what `update_subject` does in the caller's transaction. Raises: the same."""
    subject = require_subject(tx, subject_id)
    given = {
        "name": None if name is None else clean_text(name, "name", MAX_NAME_CHARACTERS),
        "kind": None if kind is None else kind.value,
    }
    changed = {field: value for field, value in given.items() if value is not None and value != getattr(subject, field)}
    if not changed:
        return False
    if "kind" in changed:
        kinds = [IdentifierKind(row.kind) for row in identifier_rows(tx, [subject_id])]
        if not all(found.fits(SubjectKind(changed["kind"])) for found in kinds):
            raise IdentifierUnfit
    was = {field: getattr(subject, field) for field in changed}
    tx.execute(update(Subject).where(Subject.id == subject_id).values(**changed))
    _tell_update(tx, subject_id, {**changed, "was": was}, by=by, at=at)
    index_subjects(tx, [subject_id])
    return True


def add_identifier(
    database: Database,
    vault: IdentifierVault,
    subject_id: SubjectId,
    identifier: Identifier,
    *,
    by: Actor,
    at: Instant,
) -> bool:
    """Record a number of a subject; return whether it is new to it.

    Raises: SubjectNotFound, IdentifierTaken, IdentifierUnfit, IdentifierUnreadable.
    """
    with unique_or(IdentifierTaken), database.begin() as tx:
        return _add(tx, vault, require_subject(tx, subject_id), identifier, by=by, at=at)


def remove_identifier(
    database: Database, subject_id: SubjectId, identifier_id: IdentifierId, *, reason: str, by: Actor, at: Instant
) -> None:
    """Take back a number that was recorded wrongly. Raises: IdentifierNotFound, InvalidInput.

    Details of earlier entries go on holding it, encrypted, until they are erased (`liuhen log erase`).
    """
    reason = clean_text(reason, "reason", 500)
    with database.begin() as tx:
        require_subject(tx, subject_id)
        before = identifier_rows(tx, [subject_id])
        gone = tx.execute(
            delete(SubjectIdentifier)
            .where(SubjectIdentifier.id == identifier_id, SubjectIdentifier.subject_id == subject_id)
            .returning(SubjectIdentifier.id)
        ).scalar_one_or_none()
        if gone is None:
            raise IdentifierNotFound
        left = [row for row in before if row.id != identifier_id]
        tell_identifiers(tx, subject_id, before, left, by=by, at=at, reason=reason)


def show_identifier(
    database: Database,
    vault: IdentifierVault,
    subject_id: SubjectId,
    identifier_id: IdentifierId,
    *,
    purpose: str,
    by: Caller,
    at: Instant,
) -> Identifier:
    """Show one whole number to one person, for a purpose.

    Guarantees: on return the log entry that says so is committed.
    Raises: Forbidden, IdentifierNotFound, InvalidInput without a purpose, IdentifierUnreadable.
    """
    require(by.roles, Capability.SHOW_IDENTIFIERS)
    purpose = clean_text(purpose, "purpose", 500)
    with database.begin() as tx:
        row = tx.get(SubjectIdentifier, identifier_id)
        if row is None or row.subject_id != subject_id:
            raise IdentifierNotFound
        shown = opened_identifier(vault, row)
        record_access(
            tx,
            NewEntry(
                EntryType.ACCESS_IDENTIFIER,
                by.actor,
                Target("subject", subject_id),
                detail={"purpose": purpose, "identifier": str(identifier_id), "kind": row.kind},
            ),
            at=at,
        )
    return shown


def require_subject(tx: Session, subject_id: SubjectId) -> Subject:
    """Return the subject as it was recorded, locked where the transaction writes. Raises: SubjectNotFound."""
    subject = tx.scalar(select(Subject).where(Subject.id == subject_id).with_for_update())
    if subject is None:
        raise SubjectNotFound(subject_id=subject_id)
    return subject


def subject_with(tx: Session, vault: IdentifierVault, identifier: Identifier) -> Subject | None:
    """Return the subject that is known by this very number, as it was recorded.

    Also one of another unit: whoever has the number has to do with the subject, and two rows for it would be wrong.
    """
    indexes = [whole_index(vault, identifier, key_id) for key_id in vault.key_ids]
    with unbound(tx):
        return tx.scalar(
            select(Subject)
            .join(SubjectIdentifier, SubjectIdentifier.subject_id == Subject.id)
            .where(SubjectIdentifier.whole_index.in_(indexes))
        )


def identifier_rows(tx: Session, subject_ids: Iterable[Any]) -> Sequence[SubjectIdentifier]:
    """Return the recorded numbers of these subjects, oldest first."""
    return tx.scalars(
        select(SubjectIdentifier)
        .where(SubjectIdentifier.subject_id.in_(list(subject_ids)))
        .order_by(SubjectIdentifier.recorded_at, SubjectIdentifier.id)
    ).all()


def opened_identifier(vault: IdentifierVault, row: SubjectIdentifier) -> Identifier:
    """Return the number of a row, to be masked before anybody sees it. Raises: IdentifierUnreadable."""
    sealed = Sealed(row.key_id, row.sealed)
    return Identifier(IdentifierKind(row.kind), vault.unseal(sealed, bound_to=_binding(row.subject_id, row.kind)))


def sealed_values(vault: IdentifierVault, subject_id: Any, identifier: Identifier) -> dict[str, Any]:
    """Return the columns of a number under the newest key."""
    sealed = vault.seal(identifier.number, bound_to=_binding(subject_id, identifier.kind.value))
    return {
        "key_id": sealed.key_id,
        "sealed": sealed.data,
        "whole_index": whole_index(vault, identifier, sealed.key_id),
        "last_index": last_index(vault, identifier, sealed.key_id),
    }


def whole_index(vault: IdentifierVault, identifier: Identifier, key_id: str) -> bytes:
    """Return the blind index of a whole number."""
    return vault.index(f"whole {identifier.kind.value} {identifier.number}", key_id=key_id)


def last_index(vault: IdentifierVault, identifier: Identifier, key_id: str) -> bytes:
    """Return the blind index of the last characters of a number."""
    return vault.index(f"last {identifier.kind.value} {identifier.last}", key_id=key_id)


def tell_identifiers(
    tx: Session,
    subject_id: SubjectId,
    before: Sequence[SubjectIdentifier],
    after: Sequence[SubjectIdentifier],
    *,
    by: Actor,
    at: Instant,
    **facts: str,
) -> None:
    """Write the entry of a change of a subject's numbers: all that it has now, by what finds and binds them."""
    detail = {"identifiers": told_identifiers(after), "was": {"identifiers": [str(row.id) for row in before]}}
    _tell_update(tx, subject_id, {**detail, **facts}, by=by, at=at)


def told_identifiers(rows: Iterable[SubjectIdentifier]) -> list[dict[str, str]]:
    """Return what the log says of numbers: never a character of them, but their rows, encrypted as they are there."""
    return [
        {
            "id": str(row.id),
            "kind": row.kind,
            "key": row.key_id,
            "sealed": hashlib.sha256(row.sealed).hexdigest(),
            "data": base64.b64encode(row.sealed).decode(),
            "whole": row.whole_index.hex(),
            "last": row.last_index.hex(),
        }
        for row in rows
    ]


def _record(tx: Session, vault: IdentifierVault, given: NewSubject, *, by: Actor, at: Instant) -> SubjectId:
    subject_id, unit_id = SubjectId(new_uuid7()), unit_of(tx, by)
    insert_row(
        tx, Subject, id=subject_id, kind=given.kind.value, name=given.name, created_at=at, unit_id=unit_id
    )  # fmt: skip
    rows = []
    if given.identifier is not None:
        _require_fit(given.identifier, given.kind)
        rows = [_insert(tx, vault, subject_id, given.identifier, at=at)]
    detail = {
        "name": given.name,
        "kind": given.kind.value,
        "identifiers": told_identifiers(rows),
        "unit": str(unit_id),
    }
    entry = NewEntry(EntryType.SUBJECT_RECORDED, by, Target("subject", subject_id), detail=detail)
    append_entry(tx, entry, at=at)
    index_subjects(tx, [subject_id])
    return subject_id


def _add(
    tx: Session, vault: IdentifierVault, subject: Subject, identifier: Identifier, *, by: Actor, at: Instant
) -> bool:
    known = subject_with(tx, vault, identifier)
    if known is not None and known.id == subject.id:
        return False
    if known is not None:
        raise IdentifierTaken(subject_id=known.id)
    _require_fit(identifier, SubjectKind(subject.kind))
    subject_id = SubjectId(subject.id)
    before = identifier_rows(tx, [subject_id])
    with unique_or(IdentifierTaken), tx.begin_nested():
        row = _insert(tx, vault, subject_id, identifier, at=at)
    tell_identifiers(tx, subject_id, before, [*before, row], by=by, at=at)
    return True


def _insert(
    tx: Session, vault: IdentifierVault, subject_id: SubjectId, identifier: Identifier, *, at: Instant
) -> SubjectIdentifier:
    row = SubjectIdentifier(
        id=IdentifierId(new_uuid7()),
        subject_id=subject_id,
        kind=identifier.kind.value,
        recorded_at=at,
        **sealed_values(vault, subject_id, identifier),
    )
    tx.add(row)
    tx.flush()
    return row


def _require_fit(identifier: Identifier, kind: SubjectKind) -> None:
    if not identifier.kind.fits(kind):
        raise IdentifierUnfit


def _tell_update(tx: Session, subject_id: SubjectId, detail: dict[str, Any], *, by: Actor, at: Instant) -> None:
    append_entry(tx, NewEntry(EntryType.SUBJECT_UPDATED, by, Target("subject", subject_id), detail=detail), at=at)


def _binding(subject_id: Any, kind: str) -> str:
    """Return what a ciphertext is bound to, so that it cannot be moved to somebody else."""
    return f"liuhen subject identifier v1 {subject_id} {kind}"
