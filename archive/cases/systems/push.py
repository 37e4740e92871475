"""What every push has in common: who pushes, what came of it, and that two at once end as one after the other."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from archive.access.external_ids import ExternalKind, bind_external_id, bound_id, external_id_of
from archive.cases.indexing import index_cases, index_subjects
from archive.db.database import Database, unique_or
from archive.kernel.canonical import canonical_json
from archive.kernel.errors import Conflict, InvalidInput, Unavailable
from archive.kernel.ids import CaseId, IntegrationId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.ports.identifiers import IdentifierVault

_TRIES = 4


class UnknownReference(InvalidInput):
    """Something is named by an external id that this system has not pushed yet."""

    code = "cases.unknown_reference"


class VersionMismatch(Conflict):
    """The thing has changed since the version that the condition names."""

    code = "cases.version_mismatch"


class _Raced(Conflict):
    """Another transaction was quicker to take what is there only once; what is true now must be read again."""


class Outcome(StrEnum):
    """What came of a push. Adopted: something that was on record already has this external id now."""

    CREATED = "created"
    ADOPTED = "adopted"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Pusher:
    """Who pushes, with what a push needs, put together for one request."""

    database: Database
    vault: IdentifierVault
    integration_id: IntegrationId
    by: Actor
    at: Instant


@dataclass(frozen=True, slots=True)
class Wish:
    """How a push is meant: `adopt` what is on record already, and only where the version is still this one."""

    adopt: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came of a push, and how the thing is written down now."""

    outcome: Outcome
    id: UUID
    facts: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The version of what is written down, as conditions name it."""
        return version_of(self.facts)


def version_of(facts: Mapping[str, Any]) -> str:
    """Return the version of a thing: it changes whenever what is written down of it changes."""
    return hashlib.sha256(canonical_json(facts)).hexdigest()[:32]


def settled(pusher: Pusher, work: Callable[[Session], Pushed]) -> Pushed:
    """Do `work` in a transaction of its own, and again where another one was quicker: then its result counts.

    Raises: what `work` raises; Unavailable when others were quicker again and again.
    """
    for _ in range(_TRIES):
        try:
            with unique_or(_Raced), pusher.database.begin() as tx:
                return work(tx)
        except _Raced:
            continue
    raise Unavailable("Others push the same at the same time; try again")


@contextmanager
def still_free(cause: type[Conflict]) -> Iterator[None]:
    """Read anew what is true where a number was free a moment ago and is taken now: maybe by this very push."""
    try:
        yield
    except cause as exc:
        raise _Raced from exc


def referred(tx: Session, pusher: Pusher, kind: ExternalKind, external_id: str) -> UUID:
    """Return what an external id in a body names. Raises: UnknownReference."""
    found = bound_id(tx, pusher.integration_id, kind, external_id)
    if found is None:
        raise UnknownReference(kind=kind.value, external_id=external_id)
    return found


def require_version(wish: Wish, facts: Mapping[str, Any] | None) -> None:
    """Refuse where a condition names another version than the one that is there. Raises: VersionMismatch."""
    if wish.version is None:
        return
    if facts is None:
        raise VersionMismatch("There is nothing under this external id yet")
    if wish.version not in {"*", version_of(facts)}:
        raise VersionMismatch(version=version_of(facts))


def name_of(
    tx: Session, pusher: Pusher, kind: ExternalKind, internal_id: UUID, *, asking: str | None = None
) -> Mapping[str, str]:
    """Return, as facts of an error, what the pushing system itself calls a thing that is in the way of `asking`."""
    found = external_id_of(tx, pusher.integration_id, kind, internal_id)
    if found is not None and found == asking:
        raise _Raced  # nobody is in the way: the same push has just been made by another transaction
    return {} if found is None else {"external_id": found}


def bind(
    tx: Session,
    pusher: Pusher,
    kind: ExternalKind,
    external_id: str,
    internal_id: UUID,
    *,
    case_id: CaseId | None = None,
) -> None:
    """Bind an external id to a thing. Raises: ExternalIdTaken when the system has another name for it."""
    name_of(tx, pusher, kind, internal_id, asking=external_id)
    bind_external_id(
        tx, pusher.integration_id, kind, external_id, internal_id, case_id=case_id, by=pusher.by, at=pusher.at
    )
    index = {ExternalKind.CASE: index_cases, ExternalKind.SUBJECT: index_subjects}.get(kind)
    if index is not None:  # a system sees what it pushed
        index(tx, [internal_id])
