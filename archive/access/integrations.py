"""Integrations: other systems with keys of their own, made and revoked by the administrator."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from archive.access.api_keys import (
    INTEGRATION_SCOPES,
    LIFETIME,
    KeyRefused,
    Scope,
    any_key_holder,
    scopes_of,
    told_key,
    write_key,
)
from archive.access.models import ApiKey, Integration
from archive.db.database import Database, unique_or
from archive.db.sight import FIRST_UNIT, Sight, party_of
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import IntegrationId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.organisation.units import open_unit

MAX_NAME_CHARACTERS: Final = 64
MAX_TITLE_CHARACTERS: Final = 200
LONGEST_LIFETIME: Final = timedelta(days=5 * 366)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_USE_KEPT_EVERY: Final = timedelta(minutes=1)


class IntegrationNotFound(NotFound):
    """There is no integration of this name."""

    code = "access.integration_not_found"


class KeyNotFound(NotFound):
    """There is no such key of an integration, or it was revoked already."""

    code = "access.key_not_found"


class OtherSystem(Forbidden):
    """This key is one of another system."""

    code = "access.other_system"


class NameInvalid(InvalidInput):
    """A short name has 1 to 64 of a-z, 0-9, full stop, hyphen and underscore, and no mark at either end."""

    code = "access.integration_name_invalid"


class _MadeAlready(Conflict):
    """Another transaction has made the integration just now."""


@dataclass(frozen=True, slots=True)
class IntegrationCaller:
    """A system that presented a valid key."""

    id: IntegrationId
    name: str
    scopes: frozenset[Scope]
    actor: Actor
    key_prefix: str
    sight: Sight

    def require(self, *scopes: Scope) -> None:
        """Refuse a key that has none of these scopes. Raises: Forbidden."""
        if self.scopes.isdisjoint(scopes):
            raise Forbidden("The key does not have the scope that this asks for", scope=" ".join(scopes))


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in the administrator's list, with whose it is."""

    key: ApiKey
    integration: Integration
    scopes: Sequence[Scope]

    def is_valid(self, at: Instant) -> bool:
        """Whether the key opens anything at this time."""
        return self.key.revoked_at is None and self.key.expires_at > at


def issue_integration_key(
    database: Database,
    *,
    name: str,
    title: str | None,
    scopes: Collection[Scope],
    lifetime: timedelta = LIFETIME,
    unit_id: UUID | None = None,
    by: Actor,
    at: Instant,
) -> str:
    """Make a key for another system and return it, this once; a system that is new is written down with it.

    A system is in the unit that is given, a new one without any in the first; what it makes is that unit's.
    Raises: NameInvalid, UnitNotFound, InvalidInput without scopes, for a scope of docks, and for a lifetime beyond five
        years.
    """
    if not _NAME.fullmatch(name):
        raise NameInvalid
    if not scopes or not set(scopes) <= set(INTEGRATION_SCOPES):
        raise InvalidInput("A key has one or more of the scopes of integrations")
    if not timedelta(0) < lifetime <= LONGEST_LIFETIME:
        raise InvalidInput("A key is valid for at least a moment and at most five years")
    shown = clean_text(title, "title", MAX_TITLE_CHARACTERS) if title else None
    try:
        return _issue(database, name, shown, scopes, lifetime, unit_id, by=by, at=at)
    except _MadeAlready:
        return _issue(database, name, shown, scopes, lifetime, unit_id, by=by, at=at)


def _issue(
    database: Database,
    name: str,
    title: str | None,
    scopes: Collection[Scope],
    lifetime: timedelta,
    unit_id: UUID | None,
    *,
    by: Actor,
    at: Instant,
) -> str:
    with unique_or(_MadeAlready), database.begin() as tx:
        integration = tx.scalar(select(Integration).where(Integration.name == name).with_for_update())
        if unit_id is not None:
            open_unit(tx, unit_id)
        if integration is None:
            given = unit_id or FIRST_UNIT
            integration = Integration(id=new_uuid7(), name=name, title=title or name, unit_id=given, created_at=at)
            tx.add(integration)
            tx.flush()
        elif title is not None:
            integration.title = title
        if unit_id is not None:
            _move(tx, integration, unit_id, by=by, at=at)
        key = write_key(tx, holder_id=integration.id, scopes=scopes, at=at, expires_at=at + lifetime)
        detail = {
            "system": name,
            "title": integration.title,
            "unit": str(integration.unit_id),
            "key": key.split("_")[1],
            "scopes": sorted(scope.value for scope in scopes),
            "expires_at": (at + lifetime).isoformat(),
            "api_key": told_key(tx, key),
        }
        entry = NewEntry(EntryType.ADMIN_KEY_ISSUED, by, Target("integration", integration.id), detail=detail)
        append_entry(tx, entry, at=at)
    return key


def move_integration(database: Database, name: str, unit_id: UUID, *, by: Actor, at: Instant) -> None:
    """Put a system into another unit; what it has made stays where it is. What is the same already writes nothing.

    Raises: IntegrationNotFound, UnitNotFound.
    """
    with database.begin() as tx:
        integration = tx.scalar(select(Integration).where(Integration.name == name).with_for_update())
        if integration is None:
            raise IntegrationNotFound(system=name[:MAX_NAME_CHARACTERS])
        open_unit(tx, unit_id)
        _move(tx, integration, unit_id, by=by, at=at)


def _move(tx: Session, integration: Integration, unit_id: UUID, *, by: Actor, at: Instant) -> None:
    if integration.unit_id == unit_id:
        return
    detail = {"system": integration.name, "unit": str(unit_id), "was": {"unit": str(integration.unit_id)}}
    integration.unit_id = unit_id
    tx.flush()
    entry = NewEntry(EntryType.ADMIN_INTEGRATION_CHANGED, by, Target("integration", integration.id), detail=detail)
    append_entry(tx, entry, at=at)


def revoke_integration_key(database: Database, prefix: str, *, by: Actor, at: Instant) -> None:
    """Refuse a key of an integration from now on. Raises: KeyNotFound."""
    with database.begin() as tx:
        holder_id = tx.execute(
            update(ApiKey)
            .where(
                ApiKey.prefix == prefix,
                ApiKey.revoked_at.is_(None),
                ApiKey.holder_id.in_(select(Integration.id)),
            )
            .values(revoked_at=at)
            .returning(ApiKey.holder_id)
        ).scalar_one_or_none()
        if holder_id is None:
            raise KeyNotFound(key=prefix[:16])
        entry = NewEntry(EntryType.ADMIN_KEY_REVOKED, by, Target("integration", holder_id), detail={"key": prefix})
        append_entry(tx, entry, at=at)


def authenticated_integration(tx: Session, key: str, *, at: Instant) -> IntegrationCaller:
    """Return the system that holds this key. Raises: KeyRefused, also for a key of a dock."""
    holder = any_key_holder(tx, key, at=at)
    integration = tx.get(Integration, holder.holder_id)
    if integration is None:
        raise KeyRefused
    return IntegrationCaller(
        IntegrationId(integration.id),
        integration.name,
        holder.scopes,
        holder.actor,
        key_prefix=key.split("_")[1],
        sight=_sight(integration, at),
    )


def sight_of_integration(tx: Session, integration_id: UUID, *, at: Instant) -> Sight:
    """Return what a system sees: what its unit has, and what it pushed itself."""
    return _sight(tx.get_one(Integration, integration_id), at)


def _sight(integration: Integration, at: Instant) -> Sight:
    return Sight(frozenset({party_of(integration.unit_id), party_of(integration.id)}), 0, at)


def note_use(database: Database, prefix: str, *, at: Instant) -> None:
    """Write down when a key was used last, to the minute."""
    stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < at - _USE_KEPT_EVERY)
    with database.read() as tx:
        if tx.scalar(select(ApiKey.prefix).where(ApiKey.prefix == prefix, stale)) is None:
            return
    with database.begin() as tx:
        tx.execute(update(ApiKey).where(ApiKey.prefix == prefix, stale).values(last_used_at=at))


def integration_named(tx: Session, name: str) -> Integration:
    """Return the integration of this name. Raises: IntegrationNotFound."""
    found = tx.scalar(select(Integration).where(Integration.name == name))
    if found is None:
        raise IntegrationNotFound(system=name[:MAX_NAME_CHARACTERS])
    return found


def integrations(tx: Session) -> Sequence[Integration]:
    """Return every integration, in the order of their names."""
    return tx.scalars(select(Integration).order_by(Integration.name)).all()


def integration_titles(tx: Session, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the title of each of these ids that is an integration."""
    if not ids:
        return {}
    return dict(tx.execute(select(Integration.id, Integration.title).where(Integration.id.in_(ids))).all())


def integration_keys(tx: Session) -> Sequence[KeyRow]:
    """Return every key of every integration, by name, the newest key first."""
    rows = tx.execute(
        select(ApiKey, Integration)
        .join(Integration, Integration.id == ApiKey.holder_id)
        .order_by(Integration.name, ApiKey.created_at.desc(), ApiKey.prefix)
    )
    return [KeyRow(key, integration, sorted(scopes_of(key))) for key, integration in rows]
