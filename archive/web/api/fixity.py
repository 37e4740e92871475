"""Fixity rounds for programs: how far they are, damage, and the signed reports of months. By a person's session."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from archive.kernel.instants import format_instant
from archive.web.api.document import SESSION, file_of, refusals
from archive.web.dependencies import WholeServicesDep
from archive.web.pages.guards import FixityReader
from retention.rounds.reports import report_of
from retention.rounds.standing import DamageRow, damage, reports, whole_standing

router = APIRouter(prefix="/api/v1/fixity", tags=["fixity"], dependencies=[Depends(SESSION)])

Month = Annotated[str, Path(description="A month of the bureau's calendar.", examples=["2026-11"], max_length=20)]


class PlaceRead(BaseModel):
    """How far the round is in one place. Sizes are in bytes, of originals but for what was read."""

    id: Annotated[str, Field(description="`originals`, or the id of the place of a second copy.")]
    name: str
    objects: int
    size_bytes: int
    checked: Annotated[int, Field(description="Re-read within the period.")]
    fresh: Annotated[int, Field(description="Taken in within the period and not re-read yet.")]
    overdue: int
    asked: Annotated[int, Field(description="To be read before all others.")]
    unread: Annotated[int, Field(description="Could not be judged at the last try.")]
    oldest: Annotated[str | None, Field(description="Since when the oldest was not re-read.")]
    read_day_bytes: Annotated[int, Field(description="Read in the last 24 hours.")]
    needed_day_bytes: Annotated[int, Field(description="What the even pace reads in 24 hours.")]
    damaged: Annotated[int, Field(description="Damaged and not repaired.")]
    trouble: Annotated[str | None, Field(description="Code of what keeps the place from being read.")]
    trouble_at: str | None


class FixityRead(BaseModel):
    """How far rounds are."""

    period_days: int
    open_damage: int
    places: list[PlaceRead]


class FaultRead(BaseModel):
    """What was found in a part of an object; names of files are left out."""

    code: str
    outcome: str
    part: str


class DamageRead(BaseModel):
    """Damage of an object in a place."""

    id: str
    object_id: str
    place_id: str
    place: str
    state: Annotated[str, Field(description="found, quarantined or repaired.")]
    findings: list[FaultRead]
    found_at: str
    quarantined_at: str | None
    repaired_at: str | None
    good_place_id: Annotated[str | None, Field(description="Where the good bytes came from.")]
    trouble: Annotated[str | None, Field(description="Code of why it is not repaired.")]


class DamageList(BaseModel):
    """Damage, the newest first. `next` is the cursor of what follows."""

    damage: list[DamageRead]
    next: str | None


class ReportRead(BaseModel):
    """A report of a month."""

    id: str
    month: str
    made_at: str


class ReportList(BaseModel):
    """Reports, the newest first."""

    reports: list[ReportRead]


@router.get("", operation_id="read_fixity", responses=refusals(401, 403))
def fixity(caller: FixityReader, services: WholeServicesDep, answer: Response) -> FixityRead:
    """Return how far the round is in each place."""
    del caller
    answer.headers["Cache-Control"] = "no-store"
    rounds = services.rounds
    told = whole_standing(services.database, rounds.places.ids, period=rounds.period, at=services.clock.now())
    return FixityRead.model_validate(told)


@router.get("/damage", operation_id="list_fixity_damage", responses=refusals(400, 401, 403))
def fixity_damage(
    caller: FixityReader,
    services: WholeServicesDep,
    answer: Response,
    *,
    only_open: Annotated[bool, Query(alias="open", description="Only what is not repaired.")] = False,
    cursor: Annotated[str | None, Query(description="The `next` of the answer before.", max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many rows at most.")] = 50,
) -> DamageList:
    """Return damage, the newest first."""
    del caller
    answer.headers["Cache-Control"] = "no-store"
    with services.database.read() as tx:
        found = damage(tx, only_open=only_open, cursor=cursor, limit=limit)
    return DamageList(damage=[_damage(row) for row in found.rows], next=found.next_cursor)


@router.get("/reports", operation_id="list_fixity_reports", responses=refusals(401, 403))
def fixity_reports(caller: FixityReader, services: WholeServicesDep, answer: Response) -> ReportList:
    """Return the reports of the last five years, the newest first."""
    del caller
    answer.headers["Cache-Control"] = "no-store"
    with services.database.read() as tx:
        rows = reports(tx)
    found = [ReportRead(id=str(row.id), month=row.month, made_at=format_instant(row.made_at)) for row in rows]
    return ReportList(reports=found)


@router.get(
    "/reports/{month}",
    operation_id="read_fixity_report",
    response_class=Response,
    responses={200: file_of("application/json"), **refusals(401, 403, 404)},
)
def fixity_report(month: Month, caller: FixityReader, services: WholeServicesDep) -> Response:
    """Return the report of a month, byte for byte as it was signed."""
    del caller
    with services.database.read() as tx:
        row = report_of(tx, month)
    return Response(row.result, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get(
    "/reports/{month}/signature",
    operation_id="read_fixity_report_signature",
    response_class=Response,
    responses={200: file_of("application/pkcs7-signature"), **refusals(401, 403, 404)},
)
def fixity_report_signature(month: Month, caller: FixityReader, services: WholeServicesDep) -> Response:
    """Return the archive's signature over the report of a month (CAdES, detached, DER)."""
    del caller
    with services.database.read() as tx:
        row = report_of(tx, month)
    return Response(row.signature, media_type="application/pkcs7-signature", headers={"Cache-Control": "no-store"})


def _damage(row: DamageRow) -> DamageRead:
    found = row.damage
    return DamageRead(
        id=str(found.id),
        object_id=str(found.object_id),
        place_id=found.place,
        place=row.place,
        state=found.state,
        findings=[FaultRead.model_validate(each) for each in row.findings],
        found_at=format_instant(found.found_at),
        quarantined_at=None if found.quarantined_at is None else format_instant(found.quarantined_at),
        repaired_at=None if found.repaired_at is None else format_instant(found.repaired_at),
        good_place_id=found.good_place,
        trouble=found.trouble,
    )
