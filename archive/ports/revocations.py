"""The port to the register of certificates that the embedded authority issued and revoked. The authority keeps none."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from archive.kernel.instants import Instant


class RevocationReason(StrEnum):
    """Why a certificate no longer counts. Source: RFC 5280 section 5.3.1; those that can be taken back are left out."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A certificate by its serial number, and since when it does not count."""

    serial: int
    at: Instant
    reason: RevocationReason = RevocationReason.UNSPECIFIED


class RevocationRegister(Protocol):
    """Knows what was issued and revoked. Nothing is ever taken out of it."""

    def revocations(self) -> Iterable[Revocation]:
        """Return all revocations."""
        ...

    def is_issued(self, serial: int) -> bool:
        """Return whether the authority issued a certificate of this serial number."""
        ...
