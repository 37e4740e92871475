"""Taking in officers and units from a sheet: everything or nothing, and a dry run that tells every problem by row."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.database import Database, unique_or
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import OfficerId, UnitId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor
from archive.organisation.listings import unit_rows
from archive.organisation.models import Officer, Unit
from archive.organisation.officers import (
    CertificateTaken,
    OfficerFacts,
    change_officer,
    officer_by_certificate,
    write_officer,
)
from archive.organisation.sheets import Columns, SheetRow, parse_day
from archive.organisation.taking_in import Outcome, RowResult, take_in
from archive.organisation.units import (
    AgencyNotFound,
    OrganisationNameTaken,
    UnitNotFound,
    rewrite_unit,
    unit_named,
    write_unit,
)

OFFICER_COLUMNS: Final[Columns] = {
    "certificate_number": ("执法证号", "certificate number"),
    "name": ("姓名", "name"),
    "agency": ("执法机关", "agency"),
    "unit": ("机构", "unit"),
    "categories": ("执法类别", "categories"),
    "area": ("执法区域", "area"),
    "valid_from": ("有效期起", "valid from"),
    "valid_until": ("有效期止", "valid until"),
}
OFFICER_NEEDED: Final = ("certificate_number", "name", "agency")
UNIT_COLUMNS: Final[Columns] = {
    "agency": ("执法机关", "agency"),
    "code": ("机构代码", "code"),
    "name": ("机构名称", "name"),
    "parent": ("上级机构代码", "parent code"),
}
UNIT_NEEDED: Final = ("agency", "code", "name")
_SEPARATORS: Final = re.compile(r"[;；、,，|]+")


class UnitUnknown(InvalidInput):
    """The agency or the unit is not on record under this name or code; record it first."""

    code = "organisation.unit_unknown"


def import_officers(
    database: Database, rows: Sequence[SheetRow], *, is_dry: bool, by: Actor, at: Instant
) -> Sequence[RowResult]:
    """Take officers in, or tell what would happen; with any problem nothing is taken in.

    Raises: nothing for what a row says; that stands in its result.
    """

    def one(tx: Session, cells: Mapping[str, str]) -> tuple[str, Outcome]:
        facts = OfficerFacts(
            certificate_number=cells["certificate_number"],
            name=cells["name"],
            agency=cells["agency"],
            unit=cells["unit"],
            categories=split_categories(cells["categories"]),
            area=cells["area"] or None,
            valid_from=parse_day(cells["valid_from"]),
            valid_until=parse_day(cells["valid_until"]),
        )
        if unit_named(tx, facts.agency, facts.unit) is None:
            raise UnitUnknown
        known = officer_by_certificate(tx, facts.certificate_number)
        if known is None:
            with unique_or(CertificateTaken):
                return str(write_officer(tx, facts, by=by, at=at)), Outcome.NEW
        is_changed = change_officer(tx, OfficerId(known), facts, by=by, at=at)
        return str(known), Outcome.CHANGED if is_changed else Outcome.SAME

    return take_in(database, rows, one, title="name", is_dry=is_dry)


def import_units(
    database: Database, rows: Sequence[SheetRow], *, is_dry: bool, by: Actor, at: Instant
) -> Sequence[RowResult]:
    """Take units in, each below one that is on record or stands higher up in the sheet; else as `import_officers`."""

    def one(tx: Session, cells: Mapping[str, str]) -> tuple[str, Outcome]:
        root = unit_named(tx, cells["agency"], "")
        if root is None:
            raise AgencyNotFound
        agency_id = tx.scalars(select(Unit.agency_id).where(Unit.id == root)).one()
        parent_id = root if not cells["parent"] else _unit_of_code(tx, agency_id, cells["parent"])
        if parent_id is None:
            raise UnitNotFound
        known = _unit_of_code(tx, agency_id, cells["code"])
        if known == root:
            raise OrganisationNameTaken
        if known is None:
            with unique_or(OrganisationNameTaken):
                made = write_unit(tx, parent_id=parent_id, code=cells["code"], name=cells["name"], by=by, at=at)
            return str(made), Outcome.NEW
        is_changed = rewrite_unit(
            tx, known, code=cells["code"], name=cells["name"], parent_id=parent_id, by=by, at=at
        )  # fmt: skip
        return str(known), Outcome.CHANGED if is_changed else Outcome.SAME

    return take_in(database, rows, one, title="name", is_dry=is_dry)


def split_categories(text: str) -> list[str]:
    """Return the categories that stand in one cell, with whatever people put between them."""
    return [part.strip() for part in _SEPARATORS.split(text) if part.strip()]


def officer_rows(tx: Session) -> Sequence[Mapping[str, str]]:
    """Return every officer as a row of a sheet that can be taken in again."""
    return [
        {
            "certificate_number": row.certificate_number,
            "name": row.name,
            "agency": row.agency,
            "unit": row.unit,
            "categories": "；".join(row.categories),
            "area": row.area or "",
            "valid_from": "" if row.valid_from is None else row.valid_from.isoformat(),
            "valid_until": "" if row.valid_until is None else row.valid_until.isoformat(),
        }
        for row in tx.scalars(select(Officer).order_by(Officer.certificate_number))
    ]


def unit_sheet_rows(tx: Session) -> Sequence[Mapping[str, str]]:
    """Return every open unit as a row of a sheet, those above before those below."""
    rows = unit_rows(tx)
    codes = {row.unit.id: row.unit.code for row in rows if not row.is_root}
    return [
        {
            "agency": row.agency.code,
            "code": row.unit.code,
            "name": row.unit.name,
            "parent": codes.get(row.unit.parent_id, "") if row.unit.parent_id is not None else "",
        }
        for row in rows
        if not row.is_root
    ]


def _unit_of_code(tx: Session, agency_id: object, code: str) -> UnitId | None:
    query = select(Unit.id).where(Unit.agency_id == agency_id, Unit.code == code.strip(), Unit.closed_at.is_(None))
    found = tx.scalar(query)
    return None if found is None else UnitId(found)
