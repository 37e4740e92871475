"""The rows that each entry of the log tells of, written again as the use case wrote them.

Types that tell of no row but a custody event, an access or a line of somebody's history need no handler of their own.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from archive.custody import models as _custody
from archive.custody.accesses import ACCESSES
from archive.jobs import models as _jobs
from archive.ledger.entries import EntryType
from archive.recovery.replaying import (
    cases,
    complaints,
    documents,
    evidence,
    moving,
    organisation,
    people,
    renewals,
    retrieval,
    subjects,
    upkeep,
    volumes,
)
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told
from archive.search import models as _search

_LOADED: Final = (_custody, _jobs, _search)
Handler = Callable[[Told, Rows, Sources], None]
HANDLERS: Final[Mapping[str, Handler]] = {
    kind: handler
    for module in (
        organisation,
        people,
        subjects,
        cases,
        complaints,
        documents,
        evidence,
        volumes,
        retrieval,
        upkeep,
        moving,
        renewals,
    )
    for kind, handler in module.HANDLERS.items()
}
_TOUCHING: Final = {
    "object.preserved", "ingest.received", "record.filed", "record.extended", "case.link", "case.unlink", "access.view",
    "access.export", "fixity.ok", "fixity.fail", "validation.checked", "derivative.created", "derivative.failed",
    "derivative.verified", "derivative.dropped", "item.described", "recording.grouped", "object.classified",
    "access.print", "access.renewed", "access.break_glass", "volume.closed", "volume.checked", "object.renewed",
}  # fmt: skip
"""Types of entries about something preserved: each has its custody event."""
_OF_STAFF: Final = {
    "admin.officer_recorded", "admin.legal_staff_recorded", "admin.officer_photo_set", "admin.officer_photo_removed",
}  # fmt: skip
_OF_RECORDS: Final = {"admin.officer_record_added", "admin.officer_record_withdrawn"}
_OF_KEYS: Final = {
    f"admin.certificate_{name}" for name in ("registered", "replaced", "revoked", "requested", "decided")
}
NO_ROWS: Final = {
    EntryType.RECORD_SEALING_APPROVED, EntryType.DETAIL_ERASED, EntryType.VALIDATION_REPORTED, EntryType.ADMIN_INIT,
    EntryType.ADMIN_DOCK_INVITED, EntryType.ADMIN_JOB_RETRIED, EntryType.ADMIN_MAIL_CHANGED, EntryType.ADMIN_SIGNED_IN,
    EntryType.ADMIN_SIGN_IN_REFUSED, EntryType.ADMIN_SIGNED_OUT, EntryType.ADMIN_SIGN_IN_BEGUN,
    EntryType.ADMIN_SESSION_ENDED, EntryType.ADMIN_PASSWORD_CHANGED, EntryType.ADMIN_FACTOR_REMOVED,
    EntryType.ADMIN_RECOVERY_BEGUN, EntryType.ADMIN_RECOVERY_CONFIRMED, EntryType.ADMIN_RECOVERY_WITHDRAWN,
    EntryType.ADMIN_ACCOUNT_RECOVERED, EntryType.ADMIN_RECOVERED, EntryType.INGEST_WISHED,
    EntryType.RETENTION_EXTENDED,
}  # fmt: skip
"""Types that tell of no row that comes back: secrets, sessions, work. Erasures belong to the log's own rows."""


def is_known(kind: str) -> bool:
    """Return whether it is known what entries of a type mean for rows: nothing is passed over silently."""
    return kind in HANDLERS or kind in _TOUCHING or kind in NO_ROWS or kind in set(ACCESSES)


def replay(told: Told, rows: Rows, sources: Sources) -> None:
    """Write the rows that one entry tells of. Raises: FactUnknown; ValueError and KeyError for a detail of odd form."""
    handler = HANDLERS.get(told.type)
    if handler is not None:
        handler(told, rows, sources)


def note(told: Told, rows: Rows) -> None:
    """Write that an entry is about something: the trail of an object, of an access, of a person, of a certificate.

    Raises: FactUnknown where the detail that names it is gone.
    """
    common = {"entry_id": told.id, "type": told.type, "actor_id": told.actor, "at": told.at}
    if told.type in set(ACCESSES):
        about = told.fields.get("obj")
        ref = (None, None) if about is None else (about["kind"], UUID(about["id"]))
        rows.add_later("access_record", **common, ref_kind=ref[0], ref_id=ref[1], is_judged=True)
    if told.type in _TOUCHING and told.kind != "case":
        rows.add_later("custody_event", **common, object_id=evidence.object_of(told, rows), case_id=told.case)
    if told.type in _OF_STAFF:
        rows.add_later("staff_event", **common, person_id=told.about)
    elif told.type in _OF_RECORDS:
        rows.add_later("staff_event", **common, person_id=told.uuid("officer"))
    elif told.type in _OF_KEYS:
        rows.add_later("key_event", **common, ref_id=told.about)
