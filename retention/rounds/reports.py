"""The report of a month: what was re-read, the oldest check, what was damaged and repaired; signed by the archive.

Made on the first of the next month, for the bureau's calendar; months that nobody made one for are made up for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.jobs.queue import FIXITY, ClaimedJob, renew_job, repeat_job
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import digest_of
from archive.kernel.errors import Conflict, InvalidInput, NotFound
from archive.kernel.ids import new_uuid7
from archive.kernel.instants import BUREAU_ZONE, Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry, Target
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from retention.rounds.due import weight_of
from retention.rounds.models import FixityBatch, FixityDamage, FixityReport
from retention.rounds.places import PlacesInUse, place_names
from retention.rounds.standing import standings

REPORT_FIXITY: Final = "report_fixity"
_MOST_MONTHS: Final = 12
_MOST_DAMAGE: Final = 1000
_MINUTES_PAST: Final = timedelta(minutes=10)

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


class ReportMade(Conflict):
    """There is a report of this month already; it was not made anew."""

    code = "fixity_report.made"


class ReportNotFound(NotFound):
    """There is no report of this month."""

    code = "fixity_report.not_found"


class MonthNotOver(InvalidInput):
    """The report of a month is made when the month is over."""

    code = "fixity_report.month_not_over"


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the bureau's calendar: from its first moment to that of the next one."""

    begins: Instant
    ends: Instant

    @classmethod
    def of(cls, text: str) -> "Month":
        """Parse `2026-11`. Raises: InvalidInput."""
        try:
            first = datetime.strptime(text, "%Y-%m").replace(tzinfo=BUREAU_ZONE)
        except ValueError as exc:
            raise InvalidInput("A month is written as 2026-11", given=text[:20]) from exc
        return cls(first, _next(first))

    @classmethod
    def with_moment(cls, at: Instant) -> "Month":
        """Return the month that a moment is in."""
        local = at.astimezone(BUREAU_ZONE)
        first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(first, _next(first))

    def before(self) -> "Month":
        """Return the month before."""
        return Month.with_moment(self.begins - timedelta(hours=1))

    def __str__(self) -> str:
        """Render as `2026-11`."""
        return f"{self.begins:%Y-%m}"


@dataclass(frozen=True, slots=True)
class FixityReports:
    """The job that makes reports, of an archive with the log `origin`."""

    database: Database
    clock: Clock
    signer: ManifestSigner
    origin: str
    places: PlacesInUse
    period: timedelta

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {REPORT_FIXITY: self._work}

    def begin(self) -> None:
        """Make sure that each month gets its report. Idempotent; for the worker's start."""
        with self.database.begin() as tx:
            renew_job(tx, REPORT_FIXITY, {}, at=self.clock.now(), queue=FIXITY, key=REPORT_FIXITY)

    def due(self) -> Sequence[Month]:
        """Return the months that are over and have no report, the oldest first: at most twelve."""
        with self.database.read() as tx:
            made = set(tx.scalars(select(FixityReport.month)))
            begins = [
                each
                for each in (
                    tx.scalar(select(func.min(FixityBatch.at))),
                    tx.scalar(select(func.min(FixityDamage.found_at))),
                )
                if each is not None
            ]
        found: list[Month] = []
        month = Month.with_moment(self.clock.now()).before()
        while begins and month.ends > min(begins) and len(found) < _MOST_MONTHS:
            if str(month) not in made:
                found.append(month)
            month = month.before()
        return found[::-1]

    def make(self, month: Month, *, by: Actor = ARCHIVE) -> FixityReport:
        """Make and sign the report of a month; return its row, which is written down with its log entry.

        Raises: MonthNotOver, ReportMade.
        """
        at, report_id = self.clock.now(), new_uuid7()
        if month.ends > at:
            raise MonthNotOver(month=str(month))
        places = self.places.ids
        with self.database.read() as tx:
            told = self._told(tx, month, places, report_id=report_id, at=at)
        result = canonical_json(told)
        signature = self.signer.sign_detached(result)
        digests = {"sha256": digest_of(result).sha256.hex, "signature_sha256": digest_of(signature).sha256.hex}
        values = {"id": report_id, "month": str(month), "made_at": at, "result": result, "signature": signature}
        with unique_or(ReportMade), self.database.begin() as tx:
            insert_row(tx, FixityReport, **values)
            # Whole, so that the report comes back when the database is lost.
            detail = {"month": str(month), **digests, "result": result.decode(), "signature": signature.hex()}
            entry = NewEntry(EntryType.FIXITY_REPORTED, by, Target("fixity_report", report_id), detail=detail)
            append_entry(tx, entry, at=at)
        with self.database.read() as tx:
            return tx.get_one(FixityReport, report_id)

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        for month in self.due():
            try:
                self.make(month)
            except ReportMade:
                continue
            report(0)
        at = self.clock.now()
        with self.database.begin() as tx:
            repeat_job(tx, job, until=Month.with_moment(at).ends + _MINUTES_PAST)

    def _told(
        self, tx: Session, month: Month, places: Sequence[str], *, report_id: UUID, at: Instant
    ) -> dict[str, Any]:
        return {
            "v": 1,
            "id": str(report_id),
            "origin": self.origin,
            "month": str(month),
            "from": format_instant(month.begins),
            "until": format_instant(month.ends),
            "made": format_instant(at),
            "period_days": self.period.days,
            "places": self._places(tx, month, places, at=at),
            "damage": _damage(tx, month),
        }

    def _places(self, tx: Session, month: Month, places: Sequence[str], *, at: Instant) -> list[dict[str, Any]]:
        """Return the figures of each place in use, and of others that something was read or damaged in."""
        names = place_names(tx)
        within = (FixityBatch.at >= month.begins, FixityBatch.at < month.ends)
        sums = func.sum(FixityBatch.objects), func.sum(FixityBatch.size_bytes)
        read = {
            place: (int(objects), int(size))
            for place, objects, size in tx.execute(
                select(FixityBatch.place, *sums).where(*within).group_by(FixityBatch.place)
            )
        }
        found, repaired = (
            _counts(tx, column >= month.begins, column < month.ends)
            for column in (FixityDamage.found_at, FixityDamage.repaired_at)
        )
        still = _counts(tx, FixityDamage.repaired_at.is_(None))
        others = sorted({*read, *found, *repaired, *still} - set(places))
        told = []
        for each in standings(tx, [*places, *others], period=self.period, at=at):
            checked, checked_bytes = read.get(each.id, (0, 0))
            told.append(
                {
                    "place": names.get(each.id, each.id),
                    "place_id": each.id,
                    "objects": each.objects,
                    "bytes": weight_of(tx, each.id)[1],
                    "checked": checked,
                    "checked_bytes": checked_bytes,
                    "oldest": None if each.oldest is None else format_instant(each.oldest),
                    "overdue": each.overdue,
                    "unread": each.unread,
                    "damaged": found.get(each.id, 0),
                    "repaired": repaired.get(each.id, 0),
                    "open": still.get(each.id, 0),
                }
            )
        return told


def report_of(tx: Session, month: str) -> FixityReport:
    """Return the report of a month (`2026-11`). Raises: ReportNotFound."""
    row = tx.scalar(select(FixityReport).where(FixityReport.month == month))
    if row is None:
        raise ReportNotFound(month=month[:20])
    return row


def _counts(tx: Session, *conditions: Any) -> dict[str, int]:
    rows = select(FixityDamage.place, func.count()).where(*conditions).group_by(FixityDamage.place)
    return {place: int(count) for place, count in tx.execute(rows)}


def _damage(tx: Session, month: Month) -> list[dict[str, Any]]:
    """Return damage that was found or repaired in a month, or is open: ids and times, the oldest 1,000."""
    touched = (
        FixityDamage.found_at.between(month.begins, month.ends)
        | FixityDamage.repaired_at.between(month.begins, month.ends)
        | FixityDamage.repaired_at.is_(None)
    )
    rows = select(FixityDamage).where(touched, FixityDamage.found_at < month.ends)
    rows = rows.order_by(FixityDamage.found_at, FixityDamage.id).limit(_MOST_DAMAGE)
    return [
        {
            "id": str(row.id),
            "object": str(row.object_id),
            "place_id": row.place,
            "state": row.state,
            "found": format_instant(row.found_at),
            "repaired": None if row.repaired_at is None else format_instant(row.repaired_at),
        }
        for row in tx.scalars(rows)
    ]


def _next(first: datetime) -> datetime:
    """Return the first moment of the month after the one that begins then."""
    return (first + timedelta(days=31)).replace(day=1)
