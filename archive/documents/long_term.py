"""Signatures for decades: a filed record is extended to B-LTA, and gets a new timestamp before the last one ages.

The original stays as it was filed. Each extension is a later version of its object, beside it: `extended/001-….pdf`
and so on, each of which goes on from the one before. Source: ETSI EN 319 142-1 section 6 (B-LTA).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from archive.custody.events import preserved_object, record_event
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.documents.models import Draft, DraftPdf, RecordExtension
from archive.kernel.digests import digest_of
from archive.kernel.errors import Conflict, LiuhenError
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.errors import VersionClaimed
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.trust.models import KeyCertificate, KeyUse
from signing.longterm import Renewal, ValidationData, extend, renew, renewal_due
from signing.pades import Token

Validation = Callable[[Sequence[bytes]], ValidationData]
"""Returns by what signatures with these certificates (DER) will be judged: issuers, lists, answers, as they are now."""
BATCH: Final = 50
_ALSO_SOON: Final = timedelta(days=1)


class ExtensionDamaged(LiuhenError):
    """The newest version of this record has other bytes than were written: have the archive checked."""

    code = "documents.extension_damaged"
    exit_code = 65


class ExtendedMeanwhile(Conflict):
    """Another has extended this record meanwhile."""

    code = "documents.extended_meanwhile"


@dataclass(frozen=True, slots=True)
class LongTerm:
    """What extends records, put together by wiring."""

    database: Database
    objects: OcflRoot
    token: Token
    validation: Validation
    clock: Clock

    def extend_record(self, object_id: ObjectId, *, by: Actor) -> RecordExtension:
        """Extend a record that was signed here by one timestamp more, with what it will be judged by.

        On return bytes, custody event and log entry are durable.
        Raises: ObjectNotFound, ExtensionDamaged, ExtendedMeanwhile, NothingToExtend, RenewalTooLate, StorageFull; what
            the authority of time raises.
        """
        with self.database.read() as tx:
            row, last = preserved_object(tx, object_id), newest_extension(tx, object_id)
            certificates = _certificates_of(tx, object_id)
        path, sha512 = (row.content_path, row.sha512) if last is None else (last.path, last.sha512)
        with self.objects.open_file(object_id, path) as file:
            pdf = file.read()
        if digest_of(pdf).sha512.hex != sha512:
            raise ExtensionDamaged(object_id=object_id)
        at, number = self.clock.now(), 1 if last is None else last.number + 1
        validation = self.validation(certificates)
        made = (
            extend(pdf, validation=validation, token=self.token)
            if last is None
            else renew(pdf, at=at, validation=validation, token=self.token)
        )
        digests, due = digest_of(made), renewal_due(made, at)
        # With its digest: what an attempt left that never reached the catalogue is not in the way of the next one.
        fresh = f"extended/{number:03d}-{digests.sha256.hex[:16]}.pdf"
        renew_at = _renew_at(due, at)
        try:
            self._add(object_id, NewFile(fresh, made, digests), at=at)
        except VersionClaimed:
            if not all(path.startswith(f"extended/{number:03d}-") for path in self.objects.claimed_paths(object_id)):
                raise  # another use case is at work on the object
            # Of a try that was killed: no two timestamps are the same, and it never became a version.
            self.objects.discard_unfinished(object_id)
            self._add(object_id, NewFile(fresh, made, digests), at=at)
        with unique_or(ExtendedMeanwhile), self.database.begin() as tx:
            entry = NewEntry(
                EntryType.RECORD_EXTENDED,
                by,
                Target("record", object_id),
                digests=digests,
                detail={
                    "number": number,
                    "path": fresh,
                    "renew_at": None if renew_at is None else format_instant(renew_at),
                    "ends_at": None if due.ends_at is None else format_instant(due.ends_at),
                },
            )
            entry_id = record_event(tx, object_id, entry, at=at)
            insert_row(
                tx,
                RecordExtension,
                object_id=object_id,
                number=number,
                path=fresh,
                size_bytes=digests.size_bytes,
                sha256=digests.sha256.hex,
                sha512=digests.sha512.hex,
                renew_at=renew_at,
                ends_at=due.ends_at,
                entry_id=entry_id,
                at=at,
            )
        with self.database.read() as tx:
            return tx.get_one(RecordExtension, (object_id, number))

    def _add(self, object_id: ObjectId, file: NewFile, *, at: Instant) -> None:
        user = VersionUser("liuhen", "urn:liuhen:archive")
        self.objects.add_version(object_id, [file], message="Extended for the long term", user=user, at=at)


def _renew_at(due: Renewal, at: Instant) -> Instant | None:
    """Return when the next timestamp is due, not before half of the time that this one gives.

    An authority in its last year gives little: a record would be renewed in every round for nothing.
    """
    if due.due_at is None or due.ends_at is None:
        return due.due_at
    return max(due.due_at, at + (due.ends_at - at) / 2)


def newest_extension(tx: Session, object_id: ObjectId) -> RecordExtension | None:
    """Return the newest extension of a record, if there is one."""
    return tx.scalar(
        select(RecordExtension)
        .where(RecordExtension.object_id == object_id)
        .order_by(RecordExtension.number.desc())
        .limit(1)
    )


def due_extensions(tx: Session, *, at: Instant, limit: int = BATCH) -> Sequence[ObjectId]:
    """Return records whose newest timestamp is due for the next one, the most urgent first."""
    newest = (
        select(RecordExtension.object_id, func.max(RecordExtension.number).label("number"))
        .group_by(RecordExtension.object_id)
        .subquery()
    )
    found = tx.scalars(
        select(RecordExtension.object_id)
        .join(
            newest,
            (newest.c.object_id == RecordExtension.object_id) & (newest.c.number == RecordExtension.number),
        )
        .where(or_(RecordExtension.renew_at.is_(None), RecordExtension.renew_at <= at + _ALSO_SOON))
        .order_by(RecordExtension.ends_at, RecordExtension.object_id)
        .limit(limit)
    )
    return [ObjectId(each) for each in found]


def _certificates_of(tx: Session, object_id: ObjectId) -> Sequence[bytes]:
    """Return the certificates that signed a record, as its draft had them signed."""
    return list(
        tx.scalars(
            select(KeyCertificate.certificate)
            .join(KeyUse, KeyUse.certificate_id == KeyCertificate.id)
            .join(DraftPdf, DraftPdf.entry_id == KeyUse.entry_id)
            .join(Draft, Draft.id == DraftPdf.draft_id)
            .where(Draft.id == object_id)
            .distinct()
        )
    )
