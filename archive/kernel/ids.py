"""Ids: UUIDv7, so that they sort by time of making and say nothing else.

Each kind of thing has its own `NewType`: a case id cannot be passed where an item id is asked for.
"""

import os
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Final, NewType

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

EntryId = NewType("EntryId", uuid.UUID)
ObjectId = NewType("ObjectId", uuid.UUID)
"""Anything preserved: an evidence item or a text record; the id of its OCFL object."""
DraftId = NewType("DraftId", uuid.UUID)
"""A text record that is being written; the id of the record that comes of it."""
TemplateId = NewType("TemplateId", uuid.UUID)
"""A version of a template of text records in the register."""
CertificateId = NewType("CertificateId", uuid.UUID)
"""A certificate that signs documents, in the register."""
KeyRequestId = NewType("KeyRequestId", uuid.UUID)
"""That somebody asks for an act with a certificate to which a second person must agree."""
JobId = NewType("JobId", uuid.UUID)
AccountId = NewType("AccountId", uuid.UUID)
SessionId = NewType("SessionId", uuid.UUID)
"""A signed-in browser, as people see it; not the token."""
DockId = NewType("DockId", uuid.UUID)
UploadId = NewType("UploadId", uuid.UUID)
CaseId = NewType("CaseId", uuid.UUID)
SubjectId = NewType("SubjectId", uuid.UUID)
IdentifierId = NewType("IdentifierId", uuid.UUID)
"""A number that a subject is known by, as it is recorded; not the number itself."""
ActId = NewType("ActId", uuid.UUID)
RequestId = NewType("RequestId", uuid.UUID)
"""That somebody asks to see or copy something."""
GrantId = NewType("GrantId", uuid.UUID)
RenditionId = NewType("RenditionId", uuid.UUID)
RecordingId = NewType("RecordingId", uuid.UUID)
OfficerId = NewType("OfficerId", uuid.UUID)
OfficerRecordId = NewType("OfficerRecordId", uuid.UUID)
"""A training or an examination of an officer."""
LegalStaffId = NewType("LegalStaffId", uuid.UUID)
"""A legal reviewer, government lawyer or legal adviser."""
ClearanceId = NewType("ClearanceId", uuid.UUID)
AgencyId = NewType("AgencyId", uuid.UUID)
UnitId = NewType("UnitId", uuid.UUID)
SupervisionId = NewType("SupervisionId", uuid.UUID)
IntegrationId = NewType("IntegrationId", uuid.UUID)
"""Another system that talks to the archive over the API."""
PackageId = NewType("PackageId", uuid.UUID)
DownloadId = NewType("DownloadId", uuid.UUID)
WebhookId = NewType("WebhookId", uuid.UUID)
PasskeyId = NewType("PasskeyId", uuid.UUID)
RecoveryId = NewType("RecoveryId", uuid.UUID)
"""That somebody is let in again by two administrators."""
EventId = NewType("EventId", uuid.UUID)
"""An event that other systems are told of."""
NoticeId = NewType("NoticeId", uuid.UUID)
"""A notice to a person."""
ComplaintId = NewType("ComplaintId", uuid.UUID)
HoldId = NewType("HoldId", uuid.UUID)
MarkId = NewType("MarkId", uuid.UUID)
"""A retention mark of an object or a case."""
VolumeId = NewType("VolumeId", uuid.UUID)
"""A volume of a case file; a closed one is the object of the same id."""
JudgementId = NewType("JudgementId", uuid.UUID)
"""A judgement on signatures, kept for whoever asked for it."""
DeviceId = NewType("DeviceId", uuid.UUID)
DispositionId = NewType("DispositionId", uuid.UUID)
"""A camera or another source in the register of devices."""
ScheduleId = NewType("ScheduleId", uuid.UUID)
"""A version of the retention schedule."""
TrialId = NewType("TrialId", uuid.UUID)
"""A trial of what a version of the retention schedule would change."""


def new_uuid7(*, at: Instant | None = None) -> uuid.UUID:
    """Make a fresh UUIDv7: 48 bits of Unix milliseconds, 12 bits of the fraction of that millisecond, 62 random bits.

    `at` is the time it is by the clock that others go by; by default that of this machine. What one process makes one
    after the other by one clock is in this order, also where that clock is put right by less than a second meanwhile.
    Source: RFC 9562 sections 5.7 and 6.2, method 3.
    """
    ticks = _OWN.after(time.time_ns()) if at is None else _SHARED.after(_nanoseconds(at))
    value = (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64 | int.from_bytes(os.urandom(8), "big")
    value = (value & ~(0x3 << 62)) | 0x2 << 62
    return uuid.UUID(int=value)


class _Ticks:
    """The last tick (a 4,096th of a millisecond) that this process gave an id by one clock. For several threads."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def after(self, now_ns: int) -> int:
        ticks = now_ns * 4096 // 1_000_000
        with self._lock:
            if self._last - _PUT_RIGHT < ticks <= self._last:
                ticks = self._last + 1
            self._last = ticks
        return ticks


_PUT_RIGHT: Final = 1000 * 4096
_OWN: Final = _Ticks()
_SHARED: Final = _Ticks()
"""Not together: a clock of this machine that is ahead would pull the ids by the other one after it."""


def _nanoseconds(at: Instant) -> int:
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def parse_uuid(text: str) -> uuid.UUID:
    """Parse the canonical 36-character lower-case form.

    Raises: InvalidInput for every other spelling.
    """
    try:
        value = uuid.UUID(text)
    except (ValueError, AttributeError, TypeError) as exc:
        raise InvalidInput("Not an id", given=str(text)[:64]) from exc
    if str(value) != text:
        raise InvalidInput("Not an id in canonical form", given=text[:64])
    return value
