"""Putting together how people sign in."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from archive.access.api_keys import adopt_hashes
from archive.access.federation import FederationRules
from archive.access.models import TotpSecret
from archive.access.oidc import Provider
from archive.access.policy import Role
from archive.access.sign_ins import SignIns
from archive.access.terms import load_terms
from archive.adapters.http_outbound import HttpOutbound
from archive.cases.models import SubjectIdentifier
from archive.complaints.models import Complaint
from archive.db.database import Database
from archive.organisation.models import OfficerPhoto
from archive.ports.identifiers import IdentifierVault
from archive.settings import Settings, SettingsInvalid
from signing.identifier_vault import FileIdentifierVault
from signing.keyfiles import fsync_directory
from signing.secret_file import secret_from_file


def sign_ins(settings: Settings, database: Database, vault: IdentifierVault) -> SignIns:
    """Return what signing in works with; its secret is made when an archive is first opened with it.

    Raises: SettingsInvalid for a role that there is not, TermsUnreadable.
    """
    return SignIns(
        database,
        secret_from_file(settings.home.absolute() / "keys" / "sign-in.key"),
        vault,
        idle=timedelta(minutes=settings.session_idle_min),
        second_factor_roles=frozenset(_roles(settings)),
        terms=None if settings.terms == "off" else load_terms(settings.terms_file),
    )


def _roles(settings: Settings) -> list[Role]:
    try:
        return [Role(name) for name in settings.second_factor_roles]
    except ValueError as exc:
        raise SettingsInvalid("The setting second_factor_roles names a role that there is not") from exc


def api_key_hashes(home: Path, database: Database) -> FileIdentifierVault:
    """Return the keys that API keys are hashed with; an archive from before there were any gets its first one now.

    The file has its name only when everything is hashed with what is in it, so what breaks off is gone on with.
    """
    path = home / "keys" / "api.key"
    if not path.exists():
        fresh = path.with_suffix(".new")
        adopt_hashes(database, FileIdentifierVault.create(fresh))
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            fresh.rename(path)
            fsync_directory(path.parent)
    return FileIdentifierVault(path)


def identifiers(home: Path, database: Database) -> FileIdentifierVault:
    """Return the vault; an archive from before there was one gets its key now, one that has lost its key does not."""
    path = home / "keys" / "subjects.key"
    if not path.exists():
        with database.read() as tx:
            used = (SubjectIdentifier.key_id, Complaint.key_id, TotpSecret.account_id, OfficerPhoto.key_id)
            is_unused = all(tx.scalar(select(key).where(key.is_not(None)).limit(1)) is None for key in used)
        if is_unused:
            return FileIdentifierVault.create(path)
    return FileIdentifierVault(path)


@dataclass(frozen=True, slots=True)
class Federation:
    """The bureau's sign-in provider, and what its claims mean here."""

    provider: Provider
    rules: FederationRules


def federation(settings: Settings, vault: IdentifierVault) -> Federation | None:
    """Return the provider that is configured, if there is one. Nothing is asked yet.

    Raises: SettingsInvalid.
    """
    issuer, secret = settings.oidc_issuer, settings.oidc_client_secret_file
    if issuer is None:
        return None
    if not settings.oidc_client_id or secret is None or "openid" not in settings.oidc_scopes.split():
        raise SettingsInvalid("The setting oidc_issuer needs oidc_client_id, oidc_client_secret_file and scope openid")
    if settings.oidc_make_accounts and not settings.oidc_roles:
        raise SettingsInvalid("The setting oidc_make_accounts needs oidc_roles")
    try:
        if not secret.read_text("utf-8").strip():
            raise SettingsInvalid("The file of the setting oidc_client_secret_file is empty")
        roles = {group: [Role(name) for name in names] for group, names in settings.oidc_roles.items()}
    except OSError as exc:
        raise SettingsInvalid("The file of the setting oidc_client_secret_file cannot be read") from exc
    except ValueError as exc:
        raise SettingsInvalid("The setting oidc_roles names a role that there is not") from exc
    outbound = HttpOutbound(networks=settings.oidc_networks, ca=settings.oidc_ca, connect_timeout_s=3.0, timeout_s=10.0)
    provider = Provider(
        issuer,
        settings.oidc_client_id,
        lambda: secret.read_text("utf-8").strip(),
        settings.oidc_scopes,
        outbound,
        vault,
    )
    rules = FederationRules(
        settings.oidc_username_claim,
        settings.oidc_groups_claim,
        roles,
        settings.oidc_make_accounts,
        settings.oidc_unit_claim,
        settings.oidc_units,
    )
    return Federation(provider, rules)
