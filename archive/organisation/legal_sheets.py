"""Reviewers and lawyers as sheets: taken in as `archive.organisation.taking_in` does it, and given out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.database import Database, unique_or
from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.organisation.importing import UnitUnknown
from archive.organisation.legal_staff import (
    LegalFacts,
    LegalKind,
    LegalNumberTaken,
    change_legal_staff,
    legal_staff_by_number,
    write_legal_staff,
)
from archive.organisation.models import LegalStaff
from archive.organisation.sheets import Columns, DayUnreadable, SheetRow, parse_day
from archive.organisation.taking_in import Outcome, RowResult, take_in, word_of
from archive.organisation.units import unit_named

LEGAL_COLUMNS: Final[Columns] = {
    "number": ("人员编号", "number"),
    "name": ("姓名", "name"),
    "kind": ("类别", "kind"),
    "agency": ("执法机关", "agency"),
    "unit": ("机构", "unit"),
    "qualification_number": ("法律职业资格证号", "qualification number"),
    "qualified_on": ("资格取得日期", "qualified on"),
    "licence_number": ("律师执业证号", "licence number"),
    "since": ("任职日期", "since"),
    "until": ("任职截止", "until"),
    "account": ("账号", "account"),
}
LEGAL_NEEDED: Final = ("number", "name", "kind", "agency", "since")
_KINDS: Final = {
    LegalKind.REVIEWER.value: "法制审核人员",
    LegalKind.GOVERNMENT_LAWYER.value: "公职律师",
    LegalKind.LEGAL_ADVISER.value: "法律顾问",
}


class AccountUnknown(InvalidInput):
    """There is no account of this user name."""

    code = "organisation.account_unknown"


def import_legal_staff(
    database: Database,
    rows: Sequence[SheetRow],
    *,
    account_named: Callable[[Session, str], UUID | None],
    is_dry: bool,
    by: Actor,
    at: Instant,
) -> Sequence[RowResult]:
    """Take reviewers and lawyers in, or tell what would happen; with any problem nothing is taken in.

    Raises: nothing for what a row says; that stands in its result.
    """

    def one(tx: Session, cells: Mapping[str, str]) -> tuple[str, Outcome]:
        since = parse_day(cells["since"])
        if since is None:
            raise DayUnreadable
        if unit_named(tx, cells["agency"], cells["unit"]) is None:
            raise UnitUnknown
        account_id = account_named(tx, cells["account"]) if cells["account"] else None
        if cells["account"] and account_id is None:
            raise AccountUnknown
        facts = LegalFacts(
            number=cells["number"],
            name=cells["name"],
            kind=LegalKind(word_of(cells["kind"], _KINDS)),
            agency=cells["agency"],
            unit=cells["unit"],
            qualification_number=cells["qualification_number"] or None,
            qualified_on=parse_day(cells["qualified_on"]),
            licence_number=cells["licence_number"] or None,
            since=since,
            until=parse_day(cells["until"]),
            account_id=account_id,
        )
        known = legal_staff_by_number(tx, facts.number)
        if known is None:
            with unique_or(LegalNumberTaken):
                made = write_legal_staff(tx, facts, has_account=_was_named, by=by, at=at)
            return str(made), Outcome.NEW
        is_changed = change_legal_staff(tx, known, facts, has_account=_was_named, by=by, at=at)
        return str(known), Outcome.CHANGED if is_changed else Outcome.SAME

    return take_in(database, rows, one, title="name", is_dry=is_dry)


def legal_sheet_rows(
    tx: Session, *, usernames: Callable[[Session, Collection[UUID]], Mapping[UUID, str]]
) -> Sequence[Mapping[str, str]]:
    """Return everybody of the legal staff as a row of a sheet that can be taken in again."""
    rows = tx.scalars(select(LegalStaff).order_by(LegalStaff.number)).all()
    names = usernames(tx, {row.account_id for row in rows if row.account_id is not None})
    return [
        {
            "number": row.number,
            "name": row.name,
            "kind": _KINDS.get(row.kind, row.kind),
            "agency": row.agency,
            "unit": row.unit,
            "qualification_number": row.qualification_number or "",
            "qualified_on": "" if row.qualified_on is None else row.qualified_on.isoformat(),
            "licence_number": row.licence_number or "",
            "since": row.since.isoformat(),
            "until": "" if row.until is None else row.until.isoformat(),
            "account": "" if row.account_id is None else names.get(row.account_id, ""),
        }
        for row in rows
    ]


def _was_named(tx: Session, account_id: UUID) -> bool:
    """Say yes: whoever names an account has found it in this transaction."""
    del tx, account_id
    return True
