"""Who calls: a signed-in person as entry points hand it to use cases, and what this person sees."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.classes import RestrictedClass, bits
from archive.access.models import Account, Clearance
from archive.access.policy import ACTING, Capability, Extent, Role, extent, may
from archive.db.sight import EVERYBODYS, Sight, ending_party_of, party_of
from archive.kernel.ids import AccountId, OfficerId, SessionId
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.ledger.entries import Actor
from archive.organisation.models import Officer, Unit
from archive.organisation.officers import may_act
from archive.organisation.supervision import supervised_roots


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person. `is_barred`: the officer's certificate is suspended, or not valid today."""

    account_id: AccountId
    username: str
    display_name: str
    roles: frozenset[Role]
    unit_id: UUID
    actor: Actor
    sight: Sight
    is_barred: bool = False
    session_id: SessionId | None = None
    last_seen_at: Instant | None = None
    has_second_factor: bool = False
    terms_version: str | None = None
    is_from_provider: bool = False
    officer_id: OfficerId | None = None

    def may(self, capability: Capability) -> bool:
        """Return whether one of the caller's roles has the capability, and no certificate bars the caller from it."""
        return may(self.roles, capability) and not (self.is_barred and capability in ACTING)


def caller_as(tx: Session, account: Account, *, auth: str, at: Instant) -> Caller:
    """Return an account as a caller, who signed in by `auth` (the fingerprint that the log names)."""
    roles = roles_in(account.roles)
    return Caller(
        AccountId(account.id),
        account.username,
        account.display_name,
        roles,
        account.unit_id,
        Actor(account.id, auth),
        Sight(frozenset(_parties(tx, account, roles)), _cleared(tx, account.id, at), at),
        _is_barred(tx, account, at),
        officer_id=None if account.officer_id is None else OfficerId(account.officer_id),
    )


def roles_in(text: str) -> frozenset[Role]:
    """Return the roles that stand in an account; one that this program does not know gives nothing."""
    return frozenset(role for role in Role if role.value in text.split())


def text_of_roles(roles: Collection[Role]) -> str:
    """Return roles as they stand in an account."""
    return " ".join(sorted(role.value for role in roles))


def _parties(tx: Session, account: Account, roles: Collection[Role]) -> Iterator[int]:
    reach = extent(roles)
    if reach is Extent.NOTHING:
        return
    yield party_of(account.id)
    yield ending_party_of(account.id)
    if account.officer_id is not None:
        yield party_of(account.officer_id)
    if reach is Extent.OWN:
        return
    yield party_of(account.unit_id)
    if reach is Extent.SUPERVISED:
        agency_id = tx.scalars(select(Unit.agency_id).where(Unit.id == account.unit_id)).one()
        roots = supervised_roots(tx, agency_id)
        if roots is None:
            yield EVERYBODYS
        else:
            yield from (party_of(root) for root in roots)


def _is_barred(tx: Session, account: Account, at: Instant) -> bool:
    officer = None if account.officer_id is None else tx.get(Officer, account.officer_id)
    return officer is not None and not may_act(officer, at.astimezone(BUREAU_ZONE).date())


def _cleared(tx: Session, account_id: UUID, at: Instant) -> int:
    rows = tx.scalars(
        select(Clearance.restricted_class).where(Clearance.account_id == account_id, Clearance.until > at)
    )
    return bits([RestrictedClass(found) for found in rows])
