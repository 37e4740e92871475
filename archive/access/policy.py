"""The one policy: which role has which capability. Entry points ask here and nowhere else."""

from enum import StrEnum
from typing import Final

from archive.kernel.errors import Forbidden


class Role(StrEnum):
    """What a person is to the archive."""

    ADMINISTRATOR = "administrator"
    CASE_HANDLER = "case_handler"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"


class Capability(StrEnum):
    """What can be allowed."""

    READ_CATALOGUE = "read_catalogue"
    VIEW_CONTENT = "view_content"
    EXPORT_CONTENT = "export_content"
    VERIFY = "verify"
    FILE_CASES = "file_cases"
    SHOW_IDENTIFIERS = "show_identifiers"
    UPLOAD = "upload"
    READ_LOG = "read_log"
    READ_LOG_HEALTH = "read_log_health"
    ADMINISTER = "administer"


_ALLOWED: Final[dict[Role, frozenset[Capability]]] = {
    # The administrator runs the house and sees no footage.
    Role.ADMINISTRATOR: frozenset({Capability.ADMINISTER, Capability.READ_LOG_HEALTH}),
    Role.CASE_HANDLER: frozenset(
        {
            Capability.READ_CATALOGUE,
            Capability.VIEW_CONTENT,
            Capability.FILE_CASES,
            Capability.SHOW_IDENTIFIERS,
            Capability.UPLOAD,
            Capability.VERIFY,
        }
    ),
    Role.SUPERVISOR: frozenset(
        {
            Capability.READ_CATALOGUE,
            Capability.VIEW_CONTENT,
            Capability.EXPORT_CONTENT,
            Capability.READ_LOG_HEALTH,
            Capability.FILE_CASES,
            Capability.SHOW_IDENTIFIERS,
            Capability.UPLOAD,
            Capability.VERIFY,
        }
    ),
    # The auditor reads metadata and proofs, never content.
    Role.AUDITOR: frozenset(
        {Capability.READ_CATALOGUE, Capability.VERIFY, Capability.READ_LOG, Capability.READ_LOG_HEALTH}
    ),
}


def may(role: Role, capability: Capability) -> bool:
    """Return whether the role has the capability."""
    return capability in _ALLOWED[role]


def require(role: Role, capability: Capability) -> None:
    """Refuse what the role may not do. Raises: Forbidden."""
    if not may(role, capability):
        raise Forbidden(capability=capability.value)
