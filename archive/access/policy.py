"""The one policy: which role has which capability, and how far it sees. Entry points ask here and nowhere else."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from archive.kernel.errors import Forbidden


class Role(StrEnum):
    """What a person is to the archive. Somebody can have several."""

    OFFICER = "officer"
    CASE_HANDLER = "case_handler"
    UNIT_HEAD = "unit_head"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    RECORDS_MANAGER = "records_manager"
    LEGAL_REVIEWER = "legal_reviewer"
    PUBLICITY_EDITOR = "publicity_editor"
    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"


class Capability(StrEnum):
    """What can be allowed."""

    READ_CATALOGUE = "read_catalogue"
    VIEW_CONTENT = "view_content"
    EXPORT_CONTENT = "export_content"
    VERIFY = "verify"
    FILE_CASES = "file_cases"
    WRITE_RECORDS = "write_records"
    SEAL = "seal"
    SHOW_IDENTIFIERS = "show_identifiers"
    CLASSIFY = "classify"
    UPLOAD = "upload"
    APPROVE_RETRIEVAL = "approve_retrieval"
    BREAK_GLASS = "break_glass"
    READ_TRACE = "read_trace"
    HANDLE_COMPLAINTS = "handle_complaints"
    SEND_FIRST = "send_first"
    MOVE = "move"
    READ_RETENTION = "read_retention"
    SET_SCHEDULES = "set_schedules"
    MARK_RETENTION = "mark_retention"
    PLACE_HOLDS = "place_holds"
    PROPOSE_DISPOSAL = "propose_disposal"
    APPRAISE_DISPOSAL = "appraise_disposal"
    APPROVE_DISPOSAL = "approve_disposal"
    SUPERVISE_DISPOSAL = "supervise_disposal"
    READ_LOG = "read_log"
    READ_LOG_HEALTH = "read_log_health"
    OPERATE = "operate"
    ADMINISTER = "administer"


class Extent(StrEnum):
    """How far a role sees: what its holder took part in, the own unit with those below, or supervised agencies too."""

    NOTHING = "nothing"
    OWN = "own"
    UNIT = "unit"
    SUPERVISED = "supervised"


_LOOKING: Final = frozenset({Capability.READ_CATALOGUE, Capability.VIEW_CONTENT, Capability.VERIFY})
_FILING: Final = frozenset(
    {
        Capability.FILE_CASES,
        Capability.WRITE_RECORDS,
        Capability.SHOW_IDENTIFIERS,
        Capability.CLASSIFY,
        Capability.UPLOAD,
        Capability.BREAK_GLASS,
        Capability.MARK_RETENTION,
    }
)
_HEADING: Final = frozenset(
    {
        Capability.EXPORT_CONTENT,
        Capability.READ_TRACE,
        Capability.HANDLE_COMPLAINTS,
        Capability.SEND_FIRST,
        Capability.MOVE,
        Capability.SEAL,
        Capability.READ_RETENTION,
        Capability.PLACE_HOLDS,
        Capability.APPRAISE_DISPOSAL,
        Capability.APPROVE_DISPOSAL,
        Capability.SUPERVISE_DISPOSAL,
    }
)
_KEEPING: Final = frozenset(
    {
        Capability.READ_RETENTION,
        Capability.SET_SCHEDULES,
        Capability.MARK_RETENTION,
        Capability.PLACE_HOLDS,
        Capability.PROPOSE_DISPOSAL,
        Capability.APPRAISE_DISPOSAL,
        Capability.SUPERVISE_DISPOSAL,
    }
)
_PROVING: Final = frozenset({Capability.READ_CATALOGUE, Capability.VERIFY, Capability.READ_LOG_HEALTH})

_ALLOWED: Final[dict[Role, frozenset[Capability]]] = {
    # Whoever wore the camera may look, and never change or delete.
    Role.OFFICER: _LOOKING | {Capability.UPLOAD, Capability.WRITE_RECORDS},
    Role.CASE_HANDLER: _LOOKING | _FILING,
    Role.UNIT_HEAD: _LOOKING | _FILING | _HEADING | {Capability.APPROVE_RETRIEVAL},
    Role.SUPERVISOR: _LOOKING | _FILING | _HEADING | {Capability.READ_LOG_HEALTH},
    # The auditor reads metadata and proofs, never content.
    Role.AUDITOR: _PROVING | {Capability.READ_LOG, Capability.READ_TRACE, Capability.READ_RETENTION},
    # Who keeps the records proposes and supervises their destruction, and never approves it.
    Role.RECORDS_MANAGER: _PROVING | _KEEPING,
    Role.LEGAL_REVIEWER: _LOOKING | {Capability.PLACE_HOLDS, Capability.APPRAISE_DISPOSAL, Capability.READ_RETENTION},
    Role.PUBLICITY_EDITOR: frozenset({Capability.READ_CATALOGUE, Capability.VERIFY}),
    # The administrator runs the house and sees no footage; neither does whoever keeps the machines going.
    Role.ADMINISTRATOR: frozenset({Capability.ADMINISTER, Capability.OPERATE, Capability.READ_LOG_HEALTH}),
    Role.OPERATOR: frozenset({Capability.OPERATE, Capability.READ_LOG_HEALTH}),
}
_EXTENT: Final[dict[Role, Extent]] = {
    Role.OFFICER: Extent.OWN,
    Role.CASE_HANDLER: Extent.UNIT,
    Role.UNIT_HEAD: Extent.UNIT,
    Role.SUPERVISOR: Extent.SUPERVISED,
    Role.AUDITOR: Extent.SUPERVISED,
    Role.RECORDS_MANAGER: Extent.UNIT,
    Role.LEGAL_REVIEWER: Extent.UNIT,
    Role.PUBLICITY_EDITOR: Extent.UNIT,
    Role.ADMINISTRATOR: Extent.NOTHING,
    Role.OPERATOR: Extent.NOTHING,
}
ACTING: Final = _FILING - {Capability.SHOW_IDENTIFIERS} | {
    Capability.APPROVE_RETRIEVAL,
    Capability.MOVE,
    Capability.SEAL,
}
"""What an officer does by virtue of the certificate: not with one that is suspended, or not valid on the day."""
_WIDENING: Final = tuple(Extent)


class CertificateBars(Forbidden):
    """Your enforcement certificate is suspended or not valid today, so you cannot act; you may look as before."""

    code = "access.certificate_bars"


def may(roles: Collection[Role], capability: Capability) -> bool:
    """Return whether any of the roles has the capability."""
    return any(capability in _ALLOWED[role] for role in roles)


def require(roles: Collection[Role], capability: Capability) -> None:
    """Refuse what none of the roles may do. Raises: Forbidden."""
    if not may(roles, capability):
        raise Forbidden(capability=capability.value)


def roles_with(*capabilities: Capability) -> frozenset[Role]:
    """Return the roles that have any of these capabilities."""
    return frozenset(role for role, allowed in _ALLOWED.items() if not allowed.isdisjoint(capabilities))


def extent(roles: Collection[Role]) -> Extent:
    """Return how far the widest of the roles sees."""
    return max((_EXTENT[role] for role in roles), key=_WIDENING.index, default=Extent.NOTHING)


def separate(roles: Collection[Role]) -> bool:
    """Return whether these roles may be one person's: who administers accounts or machines sees no case."""
    extents = {_EXTENT[role] is Extent.NOTHING for role in roles}
    return len(extents) == 1
