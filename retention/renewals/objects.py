"""Renewing signed manifests: a timestamp over manifest, signature and all digests, in a later version of the object.

Which objects a key of the archive has signed is told by when they came. A renewal is judged before and after it is
made: what does not hold is never covered up by a new timestamp.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from archive.custody.events import preserved_object, record_event
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome, Report
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.errors import VersionClaimed
from archive.ocfl.inventory import Inventory, NewFile, VersionUser
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from retention.renewals.judging import judge_object, read_signed
from retention.renewals.models import ObjectRenewal, OwnCertificate
from retention.renewals.own_keys import history_of
from retention.renewals.terms import RenewalRefused, RenewedMeanwhile, lead_of, renew_at
from signing.renewals import Renewed, Signed, imprint_of, judge_signed, record_of, record_path, token_path
from signing.stamps import read_stamp

OVERLAP: Final = timedelta(hours=1)
"""For so long after a key was renewed some process may have signed with the one before."""
BATCH: Final = 50
Token = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class ObjectRenewals:
    """What renews signed manifests. `tombstones` selects the objects that were destroyed and keep their row."""

    database: Database
    objects: OcflRoot
    clock: Clock
    token: Token
    trust_roots_pem: Callable[[], bytes]
    longest: timedelta
    tombstones: Select[UUID] | None = None

    def due(self, tx: Session, until: Instant, *, limit: int = BATCH, tried: Sequence[UUID] = ()) -> Sequence[ObjectId]:
        """Return objects whose signature or newest renewal is due by then and that were not tried, the oldest first."""
        found = list(
            tx.scalars(self._again(until, tried).order_by(ObjectRenewal.renew_at, ObjectRenewal.object_id).limit(limit))
        )
        for query in self._first(tx, until):
            if len(found) < limit:
                fresh = query.where(PreservedObject.id.not_in(tried)) if tried else query
                order = (PreservedObject.preserved_at, PreservedObject.id)
                found += tx.scalars(fresh.order_by(*order).limit(limit - len(found)))
        return [ObjectId(each) for each in found]

    def renew(self, object_id: ObjectId, *, by: Actor) -> ObjectRenewal:
        """Renew the signed manifest of one object; on return bytes, custody event and log entry are durable.

        What an earlier call has left that was killed is gone on with.
        Raises: ObjectNotFound, RenewalRefused, RenewedMeanwhile; StoreBroken, StorageFull, StoreUnavailable; what the
            authority of time raises.
        """
        with self.database.read() as tx:
            row = preserved_object(tx, object_id)
            told = tx.scalar(select(func.max(ObjectRenewal.number)).where(ObjectRenewal.object_id == object_id)) or 0
        self.objects.repair([object_id])  # a renewal that was complete and not shown yet is gone on with, not doubled
        inventory = self.objects.read_inventory(object_id)
        signed = read_signed(self.objects, object_id, inventory)
        if len(signed.renewals) < told:
            raise RenewalRefused("A renewal that was written down is not in the object", object_id=str(object_id))
        at = self.clock.now()
        _require(judge_signed(signed, trust_roots_pem=self.trust_roots_pem(), at=at), object_id)
        if len(signed.renewals) == told:
            signed = self._stamped(object_id, inventory, signed, at=at)
        report = judge_object(self.objects, object_id, trust_roots_pem=self.trust_roots_pem(), at=self.clock.now())
        _require(report, object_id)
        return self._write_down(row, signed.renewals[told], by=by)

    def _stamped(self, object_id: ObjectId, inventory: Inventory, signed: Signed, *, at: Instant) -> Signed:
        """Make the next renewal durable in the object, and return it with those before."""
        number = len(signed.renewals) + 1
        record = record_of(str(object_id), number, inventory.state)
        token = self.token(imprint_of(record))
        read_stamp(token, imprint_of(record))
        files = [
            NewFile.of_bytes(record_path(number), record),
            NewFile.of_bytes(token_path(number), token),
        ]
        try:
            self._add(object_id, files, at=at)
        except VersionClaimed:
            if self.objects.claimed_paths(object_id) != {file.logical_path for file in files}:
                raise  # another use case is at work on the object
            # Of a try that was killed: its token is not the one that was made now, and it never became a version.
            self.objects.discard_unfinished(object_id)
            self._add(object_id, files, at=at)
        return Signed(
            signed.object_id, signed.manifest, signed.signature, (*signed.renewals, Renewed(number, record, token))
        )

    def _add(self, object_id: ObjectId, files: Sequence[NewFile], *, at: Instant) -> None:
        user = VersionUser("liuhen", "urn:liuhen:archive")
        self.objects.add_version(object_id, files, message="Signature renewed", user=user, at=at)

    def _write_down(self, row: PreservedObject, renewed: Renewed, *, by: Actor) -> ObjectRenewal:
        object_id, at = ObjectId(row.id), self.clock.now()
        stamp = read_stamp(renewed.token, imprint_of(renewed.record))
        digests, begins = digest_of(renewed.record), stamp.certificate.not_valid_before_utc
        due = renew_at(begins, stamp.ends, longest=self.longest, at=stamp.at)
        values = {
            "number": renewed.number,
            "token_sha256": digest_of(renewed.token).sha256.hex,
            "stamped_at": stamp.at,
            "renew_at": due,
            "ends_at": stamp.ends,
        }
        told = {
            name: format_instant(value) if name.endswith("_at") else value  # type: ignore[arg-type]
            for name, value in values.items()
        }
        entry = NewEntry(EntryType.OBJECT_RENEWED, by, Target(row.kind, row.id), digests=digests, detail=told)
        with unique_or(RenewedMeanwhile), self.database.begin() as tx:
            entry_id = record_event(tx, object_id, entry, at=at)
            insert_row(
                tx,
                ObjectRenewal,
                object_id=object_id,
                size_bytes=digests.size_bytes,
                sha256=digests.sha256.hex,
                sha512=digests.sha512.hex,
                entry_id=entry_id,
                at=at,
                **values,
            )
        with self.database.read() as tx:
            return tx.get_one(ObjectRenewal, (object_id, renewed.number))

    # ---- what is due -----------------------------------------------------------------------------------------------

    def _again(self, until: Instant, tried: Sequence[UUID] = ()) -> Select[UUID]:
        """Return the query for the objects whose newest renewal is due by then."""
        query = select(ObjectRenewal.object_id).where(ObjectRenewal.renew_at <= until, is_newest())
        if tried:
            query = query.where(ObjectRenewal.object_id.not_in(tried))
        return query if self.tombstones is None else query.where(ObjectRenewal.object_id.not_in(self.tombstones))

    def _first(self, tx: Session, until: Instant) -> Sequence[Select[UUID]]:
        """Return the queries for the objects that were never renewed and whose signature is due by then."""
        return [self.signed_with(*each) for each in spans(tx) if first_due(each[0], self.longest) <= until]

    def signed_with(self, certificate: OwnCertificate, since: Instant | None, until: Instant | None) -> Select[UUID]:
        """Return the query for the objects that a key signed, in its time, and that were never renewed."""
        del certificate
        conditions: list[ColumnElement[bool]] = [~exists().where(ObjectRenewal.object_id == PreservedObject.id)]
        if since is not None:
            conditions.append(PreservedObject.preserved_at > since)
        if until is not None:
            conditions.append(PreservedObject.preserved_at <= until)
        if self.tombstones is not None:
            conditions.append(PreservedObject.id.not_in(self.tombstones))
        return select(PreservedObject.id).where(*conditions)


def spans(tx: Session) -> Sequence[tuple[OwnCertificate, Instant | None, Instant | None]]:
    """Return the certificates that manifests were signed with, each with the time that it signed in: after, until."""
    found = history_of(tx, "manifest")
    begins = [None, *(each.used_since + OVERLAP for each in found[1:])]
    return list(zip(found, begins, [*begins[1:], None], strict=True)) if found else []


def first_due(certificate: OwnCertificate, longest: timedelta) -> Instant:
    """Return when what a certificate has signed is due for its first renewal."""
    lead = lead_of(certificate.not_after - certificate.not_before, longest)
    due: Instant = certificate.not_after - lead
    return due


def is_newest() -> ColumnElement[bool]:
    """Return the condition that a renewal is the newest of its object."""
    later = aliased(ObjectRenewal)
    return ~exists().where(later.object_id == ObjectRenewal.object_id, later.number > ObjectRenewal.number)


def _require(report: Report, object_id: ObjectId) -> None:
    """Demand that a signature holds. Raises: RenewalRefused."""
    if report.outcome is not Outcome.VALID:
        code = next(found.code for found in report.findings if found.outcome is not Outcome.VALID)
        raise RenewalRefused(object_id=str(object_id), finding=code)
