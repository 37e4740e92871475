"""Terms of use: what people accept before they work with the archive, and again whenever the version changes."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import update

from archive.access.models import Account
from archive.db.database import Database
from archive.kernel.errors import Conflict, LiuhenError
from archive.kernel.ids import AccountId
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target

LANGUAGES: Final = ("zh-Hans", "en")
MAX_VERSION_CHARACTERS: Final = 40
_SHIPPED: Final = Path(__file__).parent / "terms.toml"


class TermsUnreadable(LiuhenError):
    """The file of the terms of use cannot be read, or lacks its version, a title or a text in one of the languages."""

    code = "access.terms_unreadable"
    exit_code = 78


class TermsChanged(Conflict):
    """The terms of use have changed meanwhile; read them once more."""

    code = "access.terms_changed"


@dataclass(frozen=True, slots=True)
class TermsText:
    """The terms in one language."""

    title: str
    paragraphs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one version in every language; `digest` is the SHA-256 of the file, in hexadecimal."""

    version: str
    digest: str
    texts: Mapping[str, TermsText]


def load_terms(path: Path | None = None) -> Terms:
    """Return the terms in a file, without one those that are shipped. Raises: TermsUnreadable."""
    try:
        raw = (path or _SHIPPED).read_bytes()
        told = tomllib.loads(raw.decode("utf-8"))
    except (OSError, ValueError) as exc:
        raise TermsUnreadable from exc
    version = told.get("version")
    if not isinstance(version, str) or not 1 <= len(version) <= MAX_VERSION_CHARACTERS:
        raise TermsUnreadable
    return Terms(version, hashlib.sha256(raw).hexdigest(), {name: _text(told.get(name)) for name in LANGUAGES})


def accept_terms(
    database: Database, terms: Terms, account_id: AccountId, *, version: str, by: Actor, at: Instant
) -> None:
    """Write down that somebody accepts the version that was shown. A second time writes nothing.

    Raises: TermsChanged when another version is in force by now.
    """
    if version != terms.version:
        raise TermsChanged
    with database.begin() as tx:
        fresh = update(Account).where(Account.id == account_id, Account.terms_version.is_distinct_from(version))
        if tx.execute(fresh.values(terms_version=version).returning(Account.id)).scalar_one_or_none() is None:
            return
        detail = {"version": version, "sha256": terms.digest}
        entry = NewEntry(EntryType.ADMIN_TERMS_ACCEPTED, by, Target("account", account_id), detail=detail)
        append_entry(tx, entry, at=at)


def _text(told: Any) -> TermsText:
    if not isinstance(told, dict) or not all(isinstance(told.get(name), str) for name in ("title", "text")):
        raise TermsUnreadable
    paragraphs = [" ".join(part.split()) for part in told["text"].split("\n\n") if part.strip()]
    if not told["title"].strip() or not paragraphs:
        raise TermsUnreadable
    return TermsText(told["title"].strip(), paragraphs)
