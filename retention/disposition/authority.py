"""Who may do what about a list, and when enough people have agreed. Pure.

An appraisal group of at least three (鉴定小组), one who approves (审批), two who supervise (监销人), one of them from
records management, and whoever proposed: seven people, since nobody has two parts. Whoever administers accounts or
machines has none.

Source: 机关档案管理规定 (国家档案局令第13号), on appraisal and destruction; RULES 3.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from archive.access.policy import Capability, Role, may
from archive.kernel.instants import Instant
from retention.disposition.terms import Part

LEAST_APPRAISERS: Final = 3
SUPERVISORS: Final = 2
_NEEDS: Final = {
    Part.PROPOSE: Capability.PROPOSE_DISPOSAL,
    Part.APPRAISE: Capability.APPRAISE_DISPOSAL,
    Part.APPROVE: Capability.APPROVE_DISPOSAL,
    Part.SUPERVISE: Capability.SUPERVISE_DISPOSAL,
}
_NEVER: Final = (Capability.ADMINISTER, Capability.OPERATE)


class Objection(StrEnum):
    """Why somebody does not get a part."""

    NOT_ALLOWED = "not_allowed"
    HAS_A_PART = "has_a_part"
    TOO_NEW = "too_new"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    OPPOSED = "opposed"
    RECORDS_MANAGER_MISSING = "records_manager_missing"


@dataclass(frozen=True, slots=True)
class Taken:
    """A part that somebody has taken, with the roles of that moment; `agrees` is an appraiser's opinion."""

    person: UUID
    part: Part
    roles: frozenset[Role]
    agrees: bool = True

    @property
    def is_records_manager(self) -> bool:
        """Whether it was somebody of records management."""
        return Role.RECORDS_MANAGER in self.roles


def objection(taken: Sequence[Taken], person: UUID, part: Part, roles: Collection[Role]) -> Objection | None:
    """Return why a person cannot take a part of a list now, None where nothing speaks against it."""
    if not _is_able(part, roles):
        return Objection.NOT_ALLOWED
    if any(each.person == person for each in taken):
        return Objection.HAS_A_PART
    if part is Part.PROPOSE:
        return Objection.TOO_LATE if taken else None
    if part is Part.SUPERVISE:
        return _objection_to_supervisor(taken, roles)
    return _objection_before_approval(taken, part)


def is_sufficient(taken: Sequence[Taken]) -> bool:
    """Return whether these people together may destroy what stands on a list. Their order does not matter."""
    people = {each.person for each in taken}
    appraisers, supervisors = _of(taken, Part.APPRAISE), _of(taken, Part.SUPERVISE)
    return (
        len(people) == len(taken)
        and all(_is_able(each.part, each.roles) for each in taken)
        and len(_of(taken, Part.PROPOSE)) == 1
        and len(appraisers) >= LEAST_APPRAISERS
        and all(each.agrees for each in appraisers)
        and len(_of(taken, Part.APPROVE)) == 1
        and len(supervisors) == SUPERVISORS
        and any(each.is_records_manager for each in supervisors)
    )


def is_seasoned(roles_since: Instant, *, at: Instant, period: timedelta) -> bool:
    """Return whether somebody has had the own roles for as long as a recovery period lasts.

    Whoever gives out accounts could else make seven, and be alone in all of them before anybody sees the entries.
    """
    return at - roles_since >= period


def _objection_before_approval(taken: Sequence[Taken], part: Part) -> Objection | None:
    if not _of(taken, Part.PROPOSE):
        return Objection.TOO_EARLY
    if _of(taken, Part.APPROVE):
        return Objection.TOO_LATE
    if part is Part.APPRAISE:
        return None
    appraisers = _of(taken, Part.APPRAISE)
    if any(not each.agrees for each in appraisers):
        return Objection.OPPOSED
    return None if len(appraisers) >= LEAST_APPRAISERS else Objection.TOO_EARLY


def _objection_to_supervisor(taken: Sequence[Taken], roles: Collection[Role]) -> Objection | None:
    others = _of(taken, Part.SUPERVISE)
    if not _of(taken, Part.APPROVE):
        return Objection.TOO_EARLY
    if len(others) >= SUPERVISORS:
        return Objection.TOO_LATE
    is_last = len(others) == SUPERVISORS - 1
    is_of_records = Role.RECORDS_MANAGER in roles or any(each.is_records_manager for each in others)
    return Objection.RECORDS_MANAGER_MISSING if is_last and not is_of_records else None


def _is_able(part: Part, roles: Collection[Role]) -> bool:
    return may(roles, _NEEDS[part]) and not any(may(roles, each) for each in _NEVER)


def _of(taken: Sequence[Taken], part: Part) -> Sequence[Taken]:
    return [each for each in taken if each.part is part]
