"""The words of renewals: what ages, what renews it, and how long before its end that is done."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from archive.kernel.errors import Conflict, LiuhenError
from archive.kernel.instants import Instant

OWN_KINDS: Final = ("root", "manifest", "timestamp")


class Aging(StrEnum):
    """What ages."""

    MANIFEST = "manifest"
    RECORD = "record"
    ANCHOR = "anchor"
    ROOT_KEY = "root_key"
    MANIFEST_KEY = "manifest_key"
    TIMESTAMP_KEY = "timestamp_key"
    CERTIFICATE = "certificate"
    LOG_KEY = "log_key"
    WITNESS_KEY = "witness_key"


class RenewedBy(StrEnum):
    """What renews it: the archive by itself, the operator, people, or nothing, since it has no end."""

    ITSELF = "itself"
    OPERATOR = "operator"
    PEOPLE = "people"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Due:
    """Something that ages, or several of a kind that age together.

    `due_at` is when it is renewed, `ends_at` after when that would be too late; None for what has no end. `ref` names
    it where it is one thing: an id, a digest, a name. `fault` is the code of why it could not be renewed.
    """

    kind: Aging
    count: int
    due_at: Instant | None
    ends_at: Instant | None
    by: RenewedBy
    ref: str = ""
    fault: str | None = None


class RenewalRefused(LiuhenError):
    """The signature does not hold any more as it is: a renewal now would prove nothing. Have the archive checked."""

    code = "renewal.refused"
    exit_code = 65


class RenewedMeanwhile(Conflict):
    """Another has renewed this object meanwhile."""

    code = "renewal.meanwhile"


def lead_of(lifetime: timedelta, longest: timedelta) -> timedelta:
    """Return how long before its end something is renewed: `longest`, and never more than a third of its life."""
    return min(longest, lifetime / 3)


def renew_at(begins: Instant, ends: Instant, *, longest: timedelta, at: Instant) -> Instant:
    """Return when what lives from then to then is renewed, seen from `at`: not before half of what is left.

    What is made in an authority's last years lives shortly: it would be renewed in every round for nothing.
    """
    return max(ends - lead_of(ends - begins, longest), at + (ends - at) / 2)
