"""Log entries: what is written down, in which bytes. Final: other people's tools read them.

Source: INTEGRITY 1.1, kept in docs/formats/log-entry.md; the list of types grows by an ADR only.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from archive.kernel.canonical import canonical_json
from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, EntryId
from archive.kernel.instants import Instant, format_instant

MAX_ENTRY_BYTES: Final = 4096
"""Soft cap of ours; the format's hard limit is 65,535 (C2SP tlog-tiles, entry bundles)."""
_SALT_BYTES: Final = 32


class EntryType(StrEnum):
    """What can happen. Closed; see docs/adr/0005 for how it grows."""

    INGEST_RECEIVED = "ingest.received"
    INGEST_QUARANTINED = "ingest.quarantined"
    INGEST_WISHED = "ingest.wished"
    OBJECT_PRESERVED = "object.preserved"
    ITEM_DESCRIBED = "item.described"
    RECORDING_GROUPED = "recording.grouped"
    DERIVATIVE_CREATED = "derivative.created"
    DERIVATIVE_FAILED = "derivative.failed"
    DERIVATIVE_VERIFIED = "derivative.verified"
    DERIVATIVE_DROPPED = "derivative.dropped"
    CASE_OPENED = "case.opened"
    CASE_UPDATED = "case.updated"
    CASE_ACT = "case.act"
    CASE_ACT_UPDATED = "case.act_updated"
    CASE_CLASSIFIED = "case.classified"
    CASE_MEMBER_ADDED = "case.member_added"
    CASE_MEMBER_REMOVED = "case.member_removed"
    CASE_CLOSED = "case.closed"
    CASE_LINK = "case.link"
    CASE_UNLINK = "case.unlink"
    RECORD_FILED = "record.filed"
    RECORD_SIGNED = "record.signed"
    RECORD_REFUSED = "record.refused"
    RECORD_SEALED = "record.sealed"
    RECORD_SEALING_APPROVED = "record.sealing_approved"
    RECORD_SET = "record.set"
    RECORD_STAMPED = "record.stamped"
    RECORD_EXTENDED = "record.extended"
    RECORD_DRAFTED = "record.drafted"
    RECORD_DROPPED = "record.dropped"
    VOLUME_ARRANGED = "volume.arranged"
    VOLUME_OPENED = "volume.opened"
    VOLUME_CLOSED = "volume.closed"
    VOLUME_CHECKED = "volume.checked"
    SUBJECT_RECORDED = "subject.recorded"
    SUBJECT_UPDATED = "subject.updated"
    SUBJECT_MERGED = "subject.merged"
    SUBJECT_SEPARATED = "subject.separated"
    OBJECT_CLASSIFIED = "object.classified"
    OBJECT_RENEWED = "object.renewed"
    COMPLAINT_REGISTERED = "complaint.registered"
    COMPLAINT_ASSIGNED = "complaint.assigned"
    COMPLAINT_LINKED = "complaint.linked"
    COMPLAINT_UNLINKED = "complaint.unlinked"
    COMPLAINT_STEP = "complaint.step"
    COMPLAINT_UPDATED = "complaint.updated"
    DEVICE_RECORDED = "device.recorded"
    DEVICE_UPDATED = "device.updated"
    DEVICE_HANDED_OVER = "device.handed_over"
    ACCESS_VIEW = "access.view"
    ACCESS_EXPORT = "access.export"
    ACCESS_PRINT = "access.print"
    ACCESS_RENEWED = "access.renewed"
    ACCESS_BREAK_GLASS = "access.break_glass"
    ACCESS_REQUESTED = "access.requested"
    ACCESS_REQUEST_DECIDED = "access.request_decided"
    ACCESS_UNUSUAL = "access.unusual"
    ACCESS_CHECKED = "access.checked"
    ACCESS_IDENTIFIER = "access.identifier"
    ACCESS_LIST_EXPORTED = "access.list_exported"
    ACCESS_DRAFT = "access.draft"
    ACCESS_DRAFT_COPIED = "access.draft_copied"
    DETAIL_ERASED = "detail.erased"
    VALIDATION_CHECKED = "validation.checked"
    VALIDATION_REPORTED = "validation.reported"
    STORE_PROBED = "store.probed"
    RETENTION_EXTENDED = "retention.extended"
    RETENTION_PLANNED = "retention.planned"
    RETENTION_MARKED = "retention.marked"
    RETENTION_UNMARKED = "retention.unmarked"
    HOLD_PLACED = "hold.placed"
    HOLD_EXTENDED = "hold.extended"
    HOLD_REVIEWED = "hold.reviewed"
    HOLD_RELEASED = "hold.released"
    DISPOSAL_PROPOSED = "disposal.proposed"
    DISPOSAL_APPRAISED = "disposal.appraised"
    DISPOSAL_DECIDED = "disposal.decided"
    DISPOSAL_WITHDRAWN = "disposal.withdrawn"
    DISPOSAL_SUPERVISED = "disposal.supervised"
    DISPOSAL_BEGUN = "disposal.begun"
    DISPOSAL_DONE = "disposal.done"
    DISPOSAL_CERTIFIED = "disposal.certified"
    STORE_COPIED = "store.copied"
    STORE_DRILLED = "store.drilled"
    STORE_MOVE_BEGUN = "store.move_begun"
    STORE_MOVED = "store.moved"
    STORE_MOVE_SWITCHED = "store.move_switched"
    STORE_MOVE_RELEASED = "store.move_released"
    STORE_MOVE_ABANDONED = "store.move_abandoned"
    FIXITY_OK = "fixity.ok"
    FIXITY_FAIL = "fixity.fail"
    FIXITY_QUARANTINED = "fixity.quarantined"
    FIXITY_REPAIRED = "fixity.repaired"
    FIXITY_REPORTED = "fixity.reported"
    ADMIN_INIT = "admin.init"
    ADMIN_AGENCY_RECORDED = "admin.agency_recorded"
    ADMIN_UNIT_RECORDED = "admin.unit_recorded"
    ADMIN_SUPERVISION_SET = "admin.supervision_set"
    ADMIN_SUPERVISION_ENDED = "admin.supervision_ended"
    ADMIN_ACCOUNT_CREATED = "admin.account_created"
    ADMIN_ACCOUNT_CHANGED = "admin.account_changed"
    ADMIN_CLEARANCE_GRANTED = "admin.clearance_granted"
    ADMIN_CLEARANCE_ENDED = "admin.clearance_ended"
    ADMIN_DOCK_INVITED = "admin.dock_invited"
    ADMIN_DOCK_ENROLLED = "admin.dock_enrolled"
    ADMIN_DOCK_REVOKED = "admin.dock_revoked"
    ADMIN_DOCK_LIMITED = "admin.dock_limited"
    ADMIN_OFFICER_RECORDED = "admin.officer_recorded"
    ADMIN_OFFICER_PHOTO_SET = "admin.officer_photo_set"
    ADMIN_OFFICER_PHOTO_REMOVED = "admin.officer_photo_removed"
    ADMIN_OFFICER_RECORD_ADDED = "admin.officer_record_added"
    ADMIN_OFFICER_RECORD_WITHDRAWN = "admin.officer_record_withdrawn"
    ADMIN_LEGAL_STAFF_RECORDED = "admin.legal_staff_recorded"
    ADMIN_CERTIFICATE_REGISTERED = "admin.certificate_registered"
    ADMIN_CERTIFICATE_REPLACED = "admin.certificate_replaced"
    ADMIN_CERTIFICATE_REVOKED = "admin.certificate_revoked"
    ADMIN_CERTIFICATE_REQUESTED = "admin.certificate_requested"
    ADMIN_CERTIFICATE_DECIDED = "admin.certificate_decided"
    ADMIN_TEMPLATE_SAVED = "admin.template_saved"
    ADMIN_TEMPLATE_PUT_IN_FORCE = "admin.template_put_in_force"
    ADMIN_TEMPLATE_REPLACED = "admin.template_replaced"
    ADMIN_TEMPLATE_FILED = "admin.template_filed"
    ADMIN_TEMPLATE_WITHDRAWN = "admin.template_withdrawn"
    ADMIN_SCHEDULE_SAVED = "admin.schedule_saved"
    ADMIN_SCHEDULE_PUT_IN_FORCE = "admin.schedule_put_in_force"
    ADMIN_SCHEDULE_WITHDRAWN = "admin.schedule_withdrawn"
    ADMIN_KEY_ISSUED = "admin.key_issued"
    ADMIN_KEY_REVOKED = "admin.key_revoked"
    ADMIN_WEBHOOK_SET = "admin.webhook_set"
    ADMIN_WEBHOOK_REMOVED = "admin.webhook_removed"
    ADMIN_JOB_RETRIED = "admin.job_retried"
    ADMIN_MAIL_CHANGED = "admin.mail_changed"
    ADMIN_SIGNED_IN = "admin.signed_in"
    ADMIN_SIGN_IN_REFUSED = "admin.sign_in_refused"
    ADMIN_SIGNED_OUT = "admin.signed_out"
    ADMIN_SIGN_IN_BEGUN = "admin.sign_in_begun"
    ADMIN_SESSION_ENDED = "admin.session_ended"
    ADMIN_PASSWORD_CHANGED = "admin.password_changed"  # noqa: S105 - a name
    ADMIN_FACTOR_SET = "admin.factor_set"
    ADMIN_FACTOR_REMOVED = "admin.factor_removed"
    ADMIN_RECOVERY_BEGUN = "admin.recovery_begun"
    ADMIN_RECOVERY_CONFIRMED = "admin.recovery_confirmed"
    ADMIN_RECOVERY_WITHDRAWN = "admin.recovery_withdrawn"
    ADMIN_ACCOUNT_RECOVERED = "admin.account_recovered"
    ADMIN_TERMS_ACCEPTED = "admin.terms_accepted"
    ADMIN_INTEGRATION_CHANGED = "admin.integration_changed"
    ADMIN_RECOVERED = "admin.recovered"
    ADMIN_AUTHORITY_RENEWED = "admin.authority_renewed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an opaque id that only the catalogue resolves, and the fingerprint of the credential used."""

    id: UUID
    auth: str | None = None


ARCHIVE: Final = Actor(UUID("00000000-0000-7000-8000-000000000001"))
"""The archive itself: workers, sequencer."""
OPERATOR: Final = Actor(UUID("00000000-0000-7000-8000-000000000002"))
"""Whoever runs `liuhen` on the server itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry is about: kind, id, and version where there is one."""

    kind: str
    id: UUID
    version: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the form of `obj`."""
        result = {"kind": self.kind, "id": str(self.id)}
        if self.version is not None:
            result["ver"] = self.version
        return result


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry before it has bytes. No personal data but in `detail`, which is committed to with a salt."""

    type: EntryType
    actor: Actor
    target: Target | None = None
    device: UUID | None = None
    case: CaseId | None = None
    digests: DigestSet | None = None
    request: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EncodedEntry:
    """The bytes of an entry, and what opens its commitment."""

    id: EntryId
    body: bytes
    salt: bytes
    detail: bytes


def encode_entry(entry: NewEntry, *, entry_id: EntryId, at: Instant) -> EncodedEntry:
    """Give an entry its bytes: canonical JSON, absent fields left out.

    Raises: InvalidInput when the bytes pass the cap.
    Source: RFC 8785; docs/formats/log-entry.md.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    detail = canonical_json(dict(entry.detail))
    fields: dict[str, Any] = {
        "v": 1,
        "id": str(entry_id),
        "t": format_instant(at),
        "type": entry.type.value,
        "actor": str(entry.actor.id),
        "auth": entry.actor.auth,
        "dev": None if entry.device is None else str(entry.device),
        "obj": None if entry.target is None else entry.target.as_json(),
        "case": None if entry.case is None else str(entry.case),
        "dig": None if entry.digests is None else entry.digests.as_json(),
        "size": None if entry.digests is None else entry.digests.size_bytes,
        "req": entry.request,
        "detail_c": commitment(salt, detail),
    }
    body = canonical_json({name: value for name, value in fields.items() if value is not None})
    if len(body) > MAX_ENTRY_BYTES:
        raise InvalidInput("The log entry is too long", size_bytes=len(body))
    return EncodedEntry(entry_id, body, salt, detail)


def commitment(salt: bytes, detail: bytes) -> str:
    """Return `detail_c`: the SHA-256 over salt and canonical detail, in hexadecimal."""
    return hashlib.sha256(salt + detail).hexdigest()
