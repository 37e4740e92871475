"""Putting together how people sign in."""

from datetime import timedelta

from archive.access.policy import Role
from archive.access.sign_ins import SignIns
from archive.access.terms import load_terms
from archive.db.database import Database
from archive.ports.identifiers import IdentifierVault
from archive.settings import Settings, SettingsInvalid
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
