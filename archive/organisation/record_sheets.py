"""Training and examinations as sheets: taken in as `archive.organisation.taking_in` does it, and given out."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.organisation.models import Officer, OfficerRecord
from archive.organisation.officers import OfficerNotFound, locked_officer, officer_by_certificate
from archive.organisation.records import (
    MOST_HOURS_TENTHS,
    MOST_SCORE_TENTHS,
    RecordFacts,
    RecordKind,
    RecordResult,
    parse_tenths,
    same_record,
    tenths_text,
    values_of,
    write_record,
)
from archive.organisation.sheets import Columns, DayUnreadable, SheetRow, parse_day
from archive.organisation.taking_in import Outcome, RowResult, take_in, word_of

RECORD_COLUMNS: Final[Columns] = {
    "certificate_number": ("执法证号", "certificate number"),
    "name": ("姓名", "name"),
    "kind": ("类别", "kind"),
    "subject": ("内容", "subject"),
    "held_on": ("日期", "date"),
    "hours": ("学时", "hours"),
    "score": ("成绩", "score"),
    "result": ("结果", "result"),
    "organiser": ("组织单位", "organiser"),
    "number": ("证书编号", "record number"),
    "valid_until": ("有效期止", "valid until"),
}
RECORD_NEEDED: Final = ("certificate_number", "kind", "subject", "held_on")
_KINDS: Final = {RecordKind.TRAINING.value: "培训", RecordKind.EXAMINATION.value: "考试"}
_RESULTS: Final = {RecordResult.PASSED.value: "合格", RecordResult.FAILED.value: "不合格"}


class NameDiffers(InvalidInput):
    """The certificate number is that of somebody with another name."""

    code = "organisation.name_differs"


def import_records(
    database: Database, rows: Sequence[SheetRow], *, is_dry: bool, by: Actor, at: Instant
) -> Sequence[RowResult]:
    """Add the records that are not there yet, or tell what would happen; with any problem nothing is added.

    Raises: nothing for what a row says; that stands in its result.
    """

    def one(tx: Session, cells: Mapping[str, str]) -> tuple[str, Outcome]:
        officer_id = officer_by_certificate(tx, cells["certificate_number"])
        if officer_id is None:
            raise OfficerNotFound
        officer = locked_officer(tx, officer_id)
        if cells["name"] and cells["name"] != officer.name:
            raise NameDiffers
        held_on = parse_day(cells["held_on"])
        if held_on is None:
            raise DayUnreadable
        facts = RecordFacts(
            kind=RecordKind(word_of(cells["kind"], _KINDS)),
            subject=cells["subject"],
            held_on=held_on,
            hours_tenths=parse_tenths(cells["hours"], most=MOST_HOURS_TENTHS),
            score_tenths=parse_tenths(cells["score"], most=MOST_SCORE_TENTHS),
            result=RecordResult(word_of(cells["result"], _RESULTS)) if cells["result"] else None,
            organiser=cells["organiser"],
            certificate_number=cells["number"],
            valid_until=parse_day(cells["valid_until"]),
        )
        known = same_record(tx, officer_id, values_of(facts, at=at))
        if known is not None:
            return str(known), Outcome.SAME
        return str(write_record(tx, officer_id, facts, by=by, at=at)), Outcome.NEW

    return take_in(database, rows, one, title="name", is_dry=is_dry)


def record_rows(tx: Session) -> Sequence[Mapping[str, str]]:
    """Return every record that stands as a row of a sheet that can be taken in again."""
    rows = tx.execute(
        select(OfficerRecord, Officer.certificate_number, Officer.name)
        .join(Officer, Officer.id == OfficerRecord.officer_id)
        .where(OfficerRecord.withdrawn_at.is_(None))
        .order_by(Officer.certificate_number, OfficerRecord.held_on, OfficerRecord.id)
    )
    return [
        {
            "certificate_number": certificate_number,
            "name": name,
            "kind": _KINDS.get(row.kind, row.kind),
            "subject": row.subject,
            "held_on": row.held_on.isoformat(),
            "hours": tenths_text(row.hours_tenths),
            "score": tenths_text(row.score_tenths),
            "result": "" if row.result is None else _RESULTS.get(row.result, row.result),
            "organiser": row.organiser,
            "number": row.certificate_number,
            "valid_until": "" if row.valid_until is None else row.valid_until.isoformat(),
        }
        for row, certificate_number, name in rows
    ]
