"""What falls due, and what was renewed: few lines for any number of objects, since what ages together is one line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from archive.documents.models import RecordExtension
from archive.kernel.instants import Instant
from archive.ledger.anchors import RENEW_BEFORE as ANCHORS_BEFORE
from archive.ledger.anchors import AnchorStanding
from archive.trust.listings import ending_certificates
from retention.renewals.faults import faults
from retention.renewals.models import ObjectRenewal, OwnCertificate, RenewalFault
from retention.renewals.objects import ObjectRenewals, first_due, is_newest, spans
from retention.renewals.own_keys import newest_of
from retention.renewals.records import never_extended
from retention.renewals.terms import Aging, Due, RenewedBy, lead_of

_KEYS: Final = {"root": Aging.ROOT_KEY, "manifest": Aging.MANIFEST_KEY, "timestamp": Aging.TIMESTAMP_KEY}
_MOST_LINES: Final = 200
_LOOKED_BACK: Final = timedelta(days=366)
"""Certificates of people that ended longer ago are not in use any more."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was renewed: how many of a kind, from when to when, and until when that lasts."""

    kind: Aging
    count: int
    first: Instant
    last: Instant
    ends_at: Instant | None
    ref: str = ""


@dataclass(frozen=True, slots=True)
class RenewalListing:
    """What tells what ages. `anchors` says how the log is anchored; `unending` are keys without an end, by name."""

    objects: ObjectRenewals
    anchors: Callable[[Session], AnchorStanding]
    unending: Callable[[], Sequence[tuple[Aging, str]]]
    longest: timedelta

    def due(self, tx: Session, until: Instant) -> Sequence[Due]:
        """Return everything that is due by then, the first first; then what has no end and is only told."""
        found = [
            *self._manifests(tx, until),
            *self._records(tx, until),
            *self._anchored(tx, until),
            *self._own(tx, until),
            *_of_people(tx, until),
        ]
        codes = {row.kind: row.code for row in faults(tx) if not row.ref}
        told = [_with_fault(each, codes) for each in found]
        ages = sorted(told, key=lambda each: (each.due_at, each.kind, each.ref))
        return [*ages, *(Due(kind, 1, None, None, RenewedBy.NOTHING, ref) for kind, ref in self.unending())]

    def done(self, tx: Session, since: Instant) -> Sequence[Done]:
        """Return what was renewed since then, the newest first."""
        return sorted([*_objects_done(tx, since), *_records_done(tx, since), *_keys_done(tx, since)], key=_newest_first)

    def faults(self, tx: Session) -> Sequence[RenewalFault]:
        """Return what could not be renewed, the longest first."""
        return faults(tx)

    # ---- kinds -----------------------------------------------------------------------------------------------------

    def _manifests(self, tx: Session, until: Instant) -> list[Due]:
        found = []
        for certificate, since, before in spans(tx):
            due_at = first_due(certificate, self.longest)
            if due_at <= until:
                never = self.objects.signed_with(certificate, since, before).subquery()
                count = tx.scalar(select(func.count()).select_from(never)) or 0
                found.append(Due(Aging.MANIFEST, count, due_at, certificate.not_after, RenewedBy.ITSELF))
        newest = (
            select(func.count(), func.min(ObjectRenewal.renew_at), ObjectRenewal.ends_at)
            .where(ObjectRenewal.renew_at <= until, is_newest())
            .group_by(ObjectRenewal.ends_at)
            .order_by(ObjectRenewal.ends_at)
            .limit(_MOST_LINES)
        )
        if self.objects.tombstones is not None:
            newest = newest.where(ObjectRenewal.object_id.not_in(self.objects.tombstones))
        found += [Due(Aging.MANIFEST, *row, RenewedBy.ITSELF) for row in tx.execute(newest)]
        return [each for each in found if each.count]

    def _records(self, tx: Session, until: Instant) -> list[Due]:
        later = aliased(RecordExtension)
        is_last = ~(
            select(later.object_id)
            .where(later.object_id == RecordExtension.object_id, later.number > RecordExtension.number)
            .exists()
        )
        extended = (
            select(func.count(), func.min(RecordExtension.renew_at), RecordExtension.ends_at)
            .where(RecordExtension.renew_at <= until, is_last)
            .group_by(RecordExtension.ends_at)
            .order_by(RecordExtension.ends_at)
            .limit(_MOST_LINES)
        )
        found = [Due(Aging.RECORD, *row, RenewedBy.ITSELF) for row in tx.execute(extended)]
        never = never_extended(longest=self.longest, until=until).subquery()
        by_end = select(func.count(), never.c.ends).group_by(never.c.ends).order_by(never.c.ends).limit(_MOST_LINES)
        return found + [
            Due(Aging.RECORD, count, ends - self.longest, ends, RenewedBy.ITSELF) for count, ends in tx.execute(by_end)
        ]

    def _anchored(self, tx: Session, until: Instant) -> list[Due]:
        standing = self.anchors(tx)
        if standing.ends is None or standing.ends - ANCHORS_BEFORE > until:
            return []
        due_at = standing.ends - ANCHORS_BEFORE
        return [Due(Aging.ANCHOR, standing.anchors, due_at, standing.ends, RenewedBy.ITSELF, fault=standing.fault)]

    def _own(self, tx: Session, until: Instant) -> list[Due]:
        found = []
        for kind, aging in _KEYS.items():
            row = newest_of(tx, kind)
            if row is None:
                continue
            due_at = row.not_after - lead_of(row.not_after - row.not_before, self.longest)
            by = RenewedBy.OPERATOR if aging is Aging.ROOT_KEY else RenewedBy.ITSELF
            if due_at <= until:
                found.append(Due(aging, 1, due_at, row.not_after, by, row.sha256))
        return found


def _of_people(tx: Session, until: Instant) -> list[Due]:
    """Return the certificates of officers and seals: whoever holds them is told of their end (`certificate_ends`)."""
    rows = ending_certificates(tx, at=until - _LOOKED_BACK, within=_LOOKED_BACK)
    return [
        Due(Aging.CERTIFICATE, 1, row.not_after, row.not_after, RenewedBy.PEOPLE, str(row.id))
        for row in rows
        if row.holder_id is not None
    ][:_MOST_LINES]


def _objects_done(tx: Session, since: Instant) -> list[Done]:
    query = (
        select(func.count(), func.min(ObjectRenewal.at), func.max(ObjectRenewal.at), ObjectRenewal.ends_at)
        .where(ObjectRenewal.at >= since)
        .group_by(ObjectRenewal.ends_at)
        .limit(_MOST_LINES)
    )
    return [Done(Aging.MANIFEST, *row) for row in tx.execute(query)]


def _records_done(tx: Session, since: Instant) -> list[Done]:
    query = (
        select(func.count(), func.min(RecordExtension.at), func.max(RecordExtension.at), RecordExtension.ends_at)
        .where(RecordExtension.at >= since, RecordExtension.number > 1)
        .group_by(RecordExtension.ends_at)
        .limit(_MOST_LINES)
    )
    return [Done(Aging.RECORD, *row) for row in tx.execute(query)]


def _keys_done(tx: Session, since: Instant) -> list[Done]:
    rows = tx.scalars(select(OwnCertificate).where(OwnCertificate.used_since >= since))
    return [Done(_KEYS[row.kind], 1, row.used_since, row.used_since, row.not_after, row.sha256) for row in rows]


def _with_fault(found: Due, codes: "dict[str, str]") -> Due:
    code = found.fault or codes.get(found.kind.value)
    return Due(found.kind, found.count, found.due_at, found.ends_at, found.by, found.ref, code)


def _newest_first(each: Done) -> Any:
    return (-each.last.timestamp(), each.kind, each.ref)
