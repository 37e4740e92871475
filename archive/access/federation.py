"""Who somebody from the sign-in provider is here: the account, its roles, its session."""

import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session as Tx

from archive.access.accounts import create_account, told_account
from archive.access.browsers import NOWHERE, Origin
from archive.access.callers import roles_in, text_of_roles
from archive.access.models import Account
from archive.access.oidc import OidcRefused
from archive.access.policy import Role, separate
from archive.access.session_rows import Stage, Way, fingerprint, write_session
from archive.access.sign_ins import SignIns, account_named
from archive.db.database import unique_or
from archive.db.sight import FIRST_UNIT
from archive.kernel.errors import Conflict, Forbidden, InvalidInput
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry, Target
from archive.organisation.units import unit_named

_MOST_SUBJECT: Final = 255
_PASSWORD_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class FederationRules:
    """What the provider's claims mean here.

    `roles` says which roles each of its groups has; without any, roles stay as an administrator has set them.
    `units` says which unit (agency and unit by codes, with a slash between) each department is; where it says nothing,
    the unit stays as an administrator has set it. `makes_accounts` gives somebody an account who has none yet: in that
    unit, or without any rights until an administrator gives them.
    """

    username_claim: str
    groups_claim: str
    roles: Mapping[str, Sequence[Role]]
    makes_accounts: bool
    unit_claim: str = "department"
    units: Mapping[str, str] = field(default_factory=dict)


class AccountWaits(Forbidden):
    """The account is there, and waits: an administrator has to give it a unit and roles first."""

    code = "access.account_waits"


def sign_in_from_provider(
    sign_ins: SignIns,
    rules: FederationRules,
    claims: Mapping[str, Any],
    *,
    at: Instant,
    origin: Origin = NOWHERE,
    request: str | None = None,
) -> str:
    """Open a session for somebody whom the provider has named; return the token for the cookie, kept nowhere.

    The first sign-in binds the account to the provider's own number of the person (`sub`), so that a user name that is
    given to somebody else later opens nothing. A change of roles or unit and the binding have their entries.
    Raises: OidcRefused; its fact `reason` is claims, nobody, roles or subject. AccountWaits.
    """
    username, subject = _name(claims, rules), _subject(claims)
    wanted = _roles(claims, rules)
    with sign_ins.database.read() as tx:
        is_there = account_named(tx, username) is not None
        unit_id = _unit(tx, claims, rules)
    if not is_there:
        _make_account(sign_ins, rules, username, claims, wanted, unit_id, at=at)
    token = ""
    with unique_or(OidcRefused), sign_ins.database.begin() as tx:
        account = _locked(tx, username)
        _bind(tx, account, subject, at=at)
        if account.roles:  # one without any waits; whom it is bound to is kept
            _follow(tx, account, wanted if rules.roles else None, unit_id, at=at)
            token = _open(tx, account, origin, request, at=at)
    if not token:
        raise AccountWaits
    return token


def _open(tx: Tx, account: Account, origin: Origin, request: str | None, *, at: Instant) -> str:
    token = write_session(tx, account.id, Stage.OPEN, origin, at=at, way=Way.PROVIDER)
    entry = NewEntry(
        EntryType.ADMIN_SIGNED_IN,
        Actor(account.id, fingerprint(token)),
        _target(account.id),
        request=request,
        detail={"provider": True},
    )
    append_entry(tx, entry, at=at)
    return token


def _make_account(
    sign_ins: SignIns,
    rules: FederationRules,
    username: str,
    claims: Mapping[str, Any],
    roles: frozenset[Role],
    unit_id: UUID | None,
    *,
    at: Instant,
) -> None:
    if not rules.makes_accounts:
        raise OidcRefused(reason="nobody")
    told = claims.get("name")
    shown = told.strip()[:200] if isinstance(told, str) and told.strip() else username
    try:
        create_account(
            sign_ins.database,
            username=username,
            display_name=shown,
            roles=frozenset() if unit_id is None else roles,
            unit_id=FIRST_UNIT if unit_id is None else unit_id,
            is_waiting=unit_id is None,
            password=secrets.token_urlsafe(_PASSWORD_BYTES),  # nobody knows it
            by=ARCHIVE,
            at=at,
        )
    except (InvalidInput, Conflict) as exc:
        # A disabled account of this name is a conflict too: it is not made again.
        raise OidcRefused(reason="nobody") from exc


def _locked(tx: Tx, username: str) -> Account:
    row = tx.scalar(
        select(Account).where(Account.username == username, Account.disabled_at.is_(None)).with_for_update()
    )
    if row is None:
        raise OidcRefused(reason="nobody")
    return row


def _bind(tx: Tx, account: Account, subject: str, *, at: Instant) -> None:
    if account.provider_subject == subject:
        return
    if account.provider_subject is not None:
        raise OidcRefused(reason="subject")
    tx.execute(update(Account).where(Account.id == account.id).values(provider_subject=subject))
    detail = {"factor": "provider", "subject": subject}
    append_entry(tx, NewEntry(EntryType.ADMIN_FACTOR_SET, ARCHIVE, _target(account.id), detail=detail), at=at)


def _follow(tx: Tx, account: Account, roles: frozenset[Role] | None, unit_id: UUID | None, *, at: Instant) -> None:
    """Give an account the roles and the unit that the provider says somebody has; None is what it does not say."""
    changed: dict[str, Any] = {}
    if roles is not None and roles != roles_in(account.roles):
        changed["roles"] = text_of_roles(roles)
    if unit_id is not None and unit_id != account.unit_id:
        changed["unit_id"] = unit_id
    if not changed:
        return
    was = {name: getattr(account, name) for name in changed}
    since = {"roles_since": at} if "roles" in changed else {}
    tx.execute(update(Account).where(Account.id == account.id).values(**changed, **since))
    detail = {**told_account(changed), "was": told_account(was), "provider": True}
    append_entry(tx, NewEntry(EntryType.ADMIN_ACCOUNT_CHANGED, ARCHIVE, _target(account.id), detail=detail), at=at)


def _name(claims: Mapping[str, Any], rules: FederationRules) -> str:
    told = claims.get(rules.username_claim)
    if not isinstance(told, str) or not told.strip() or "\0" in told:
        raise OidcRefused(reason="claims")
    return unicodedata.normalize("NFC", told).strip()


def _subject(claims: Mapping[str, Any]) -> str:
    told = claims.get("sub")
    if not isinstance(told, str) or not 0 < len(told) <= _MOST_SUBJECT or not told.isprintable():
        raise OidcRefused(reason="claims")
    return told


def _roles(claims: Mapping[str, Any], rules: FederationRules) -> frozenset[Role]:
    """Return the roles of somebody's groups. Raises: OidcRefused where there are none, or none that go together."""
    if not rules.roles:
        return frozenset()
    told = claims.get(rules.groups_claim, [])
    groups = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    found = frozenset(role for group in groups if isinstance(group, str) for role in rules.roles.get(group, ()))
    if not found or not separate(found):
        raise OidcRefused(reason="roles")
    return found


def _unit(tx: Tx, claims: Mapping[str, Any], rules: FederationRules) -> UUID | None:
    """Return the unit of somebody's department, None where there is none or none that is on record."""
    told = claims.get(rules.unit_claim)
    departments = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    meant = {rules.units[one] for one in departments if isinstance(one, str) and one in rules.units}
    if len(meant) != 1:  # of two, nobody knows which
        return None
    agency, _, unit = meant.pop().partition("/")
    return unit_named(tx, agency, unit)


def _target(account_id: UUID) -> Target:
    return Target("account", account_id)
