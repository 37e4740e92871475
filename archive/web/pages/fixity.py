"""Fixity rounds: how far they are, what is damaged, and the signed reports of months.

Figures are of the whole archive, and tell nothing of any case; an object is named to who sees it, and has its id for
all others.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.kernel.errors import NotFound
from archive.web.dependencies import ServicesDep, WholeServicesDep
from archive.web.pages.content import disposition
from archive.web.pages.guards import FixityReader
from archive.web.pages.rendering import is_fragment, render
from retention.rounds.reports import report_of
from retention.rounds.standing import damage, open_count, reports, standings

router = APIRouter(prefix="/fixity", include_in_schema=False)

_OPEN: Final = "open"
_ALL: Final = "all"


@router.get("")
def fixity_page(
    request: Request,
    caller: FixityReader,
    services: ServicesDep,
    whole: WholeServicesDep,
    which: Annotated[str, Query(max_length=20)] = _OPEN,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Show how far the round is in each place, damage, and the reports."""
    which = which if which in {_OPEN, _ALL} else _OPEN
    at, rounds = whole.clock.now(), whole.rounds
    is_more = is_fragment(request) and cursor is not None
    with whole.database.read() as tx:
        places = [] if is_more else standings(tx, rounds.places.ids, period=rounds.period, at=at)
        found = damage(tx, only_open=which == _OPEN, cursor=cursor)
        made = [] if is_more else reports(tx)
        open_damage = open_count(tx)
    with services.database.read() as tx:
        names = _seen(tx, [row.damage.object_id for row in found.rows])
    return render(
        request,
        "_fixity_rows.html" if is_more else "fixity.html",
        caller=caller,
        places=places,
        period_days=rounds.period.days,
        copies=bool(rounds.places.copy.name),
        found=found,
        open_damage=open_damage,
        names=names,
        reports=made,
        which=which,
        now=at,
    )


@router.get("/reports/{month}")
def fixity_report_page(request: Request, month: str, caller: FixityReader, services: WholeServicesDep) -> Response:
    """Show the report of a month as it was signed."""
    with services.database.read() as tx:
        row = report_of(tx, month)
    return render(request, "fixity_report.html", caller=caller, row=row, report=json.loads(row.result))


@router.get("/reports/{month}/{name}")
def fixity_report_file(month: str, name: str, caller: FixityReader, services: WholeServicesDep) -> Response:
    """Return the report of a month, or its signature (CAdES, detached), byte for byte."""
    del caller
    with services.database.read() as tx:
        row = report_of(tx, month)
    files = {
        f"fixity-{row.month}.json": (row.result, "application/json"),
        f"fixity-{row.month}.json.p7s": (row.signature, "application/pkcs7-signature"),
    }
    if name not in files:
        raise NotFound
    body, media_type = files[name]
    headers = {"Content-Disposition": disposition("attachment", name), "Cache-Control": "no-store"}
    return Response(body, media_type=media_type, headers=headers)


def _seen(tx: Session, object_ids: Sequence[UUID]) -> Mapping[UUID, tuple[str, str]]:
    """Return name and address of those of the objects that a transaction sees."""
    rows = select(PreservedObject.id, PreservedObject.name, PreservedObject.kind)
    found = tx.execute(rows.where(PreservedObject.id.in_(object_ids)))
    return {row.id: (row.name, f"/{'records' if row.kind == 'record' else 'items'}/{row.id}") for row in found}
