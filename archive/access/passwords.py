"""Passwords: what a new one must be, how it is kept, and what checking one costs."""

import secrets
import threading
import tomllib
import unicodedata
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from archive.kernel.errors import InvalidInput

MIN_PASSWORD_CHARACTERS: Final = 12
MAX_PASSWORD_CHARACTERS: Final = 1024
_FEWEST_DIFFERENT: Final = 5
_COMMON: Final = Path(__file__).parent / "common_passwords.toml"
_hasher: Final = PasswordHasher()
# Each check takes 64 MiB, and anybody may ask for one.
_hashing: Final = threading.BoundedSemaphore(2)


class PasswordUnfit(InvalidInput):
    """A password has at least 12 characters, is not the user name, and is none that many people use."""

    code = "access.password_unfit"


def require_fit_password(password: str, *, username: str) -> None:
    """Refuse what must not become a password.

    Raises: PasswordUnfit; its fact `reason` is short, long, name, plain or common.
    Source: NIST SP 800-63B section 5.1.1.2 (length, common values, repetition, the user's own name; no rules of
        composition).
    """
    reason = _unfit(password, unicodedata.normalize("NFC", username).strip().casefold())
    if reason is not None:
        raise PasswordUnfit(reason=reason)


def hash_password(password: str) -> str:
    """Return what is kept of a password: Argon2id, as RFC 9106 recommends."""
    return _hasher.hash(password)


def matches(password_hash: str, password: str) -> bool:
    """Return whether a password is the one that was kept."""
    try:
        with _hashing:
            return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def decoy() -> str:
    """Return what no password matches and checking costs as much as a real one, so that both refusals take as long."""
    salt, digest = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


def _unfit(password: str, name: str) -> str | None:
    if len(password) < MIN_PASSWORD_CHARACTERS:
        return "short"
    if len(password) > MAX_PASSWORD_CHARACTERS:
        return "long"
    folded = unicodedata.normalize("NFC", password).strip().casefold()
    if name and name in folded and not folded.replace(name, "").strip("0123456789-_.!@ "):
        return "name"
    if len(set(folded)) < _FEWEST_DIFFERENT:
        return "plain"
    return "common" if folded in _common() else None


@cache
def _common() -> frozenset[str]:
    return frozenset(tomllib.loads(_COMMON.read_text("utf-8"))["passwords"])
