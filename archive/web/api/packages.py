"""Packages over REST, for programs that a person with the right to export has signed in: ask, look, fetch.

The package of a case is built by a job. Each download is granted, and written down, by itself.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from archive.cases.filing import CaseNotFound, case_by_number
from archive.kernel.ids import CaseId, PackageId
from archive.kernel.instants import format_instant
from archive.packages.building import MAX_PURPOSE_CHARACTERS
from archive.packages.requests import PackageView, ask_for_package, grant_download, package_view
from archive.web.api.document import SESSION, refusals
from archive.web.api.v1.routes import ApiRoute
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.guards import DownloadIdPath, Exporter, PackageIdPath
from archive.web.pages.packages import ZIP_TYPE, serve_package
from archive.wiring import Services

router = APIRouter(
    prefix="/api/v1",
    tags=["packages"],
    route_class=ApiRoute,
    dependencies=[Depends(SESSION)],
    responses=refusals(401, 403, 404, 429),
)

_ZIP: Final = {"content": {ZIP_TYPE: {"schema": {"type": "string", "format": "binary"}}}}


class PackageWanted(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")

    purpose: Annotated[
        str,
        Field(min_length=1, max_length=MAX_PURPOSE_CHARACTERS, description="What the copy is for; it is written down."),
    ]
    renditions: Annotated[StrictBool, Field(description="Take the playable copies along.")] = False


class PackageRead(BaseModel):
    """A package and how far it is."""

    id: str
    state: Annotated[str, Field(description="`waiting`, `building`, `retrying`, `failed`, `ready` or `removed`.")]
    percent: Annotated[int | None, Field(description="While it is being built, once something can be said.")]
    cause: Annotated[str | None, Field(description="The code of what it failed of.")]
    name: Annotated[str, Field(description="Of the file that comes with a download.")]
    renditions: bool
    asked_at: str
    made_at: str | None
    removed_after: Annotated[str | None, Field(description="While it is ready: when it is removed.")]
    size_bytes: Annotated[int | None, Field(description="Length of the ZIP.")]
    object_count: int | None
    checkpoint_size: Annotated[int | None, Field(description="Entries of the log that its proofs are under.")]


class DownloadRead(BaseModel):
    """Where a package can be fetched by whoever asked, once or in parts, for 4 hours."""

    id: str
    location: str


@router.post(
    "/cases/{number:path}/packages",
    operation_id="ask_for_package",
    responses=refusals(400, 409, 413, 422),
    status_code=202,
    dependencies=[by_account(Cost.HEAVY)],
)
def package_wanted(
    number: str, body: PackageWanted, caller: Exporter, services: ServicesDep, answer: Response
) -> PackageRead:
    """Grant the export of the case with this number, and have its package built."""
    with services.database.read() as tx:
        case = case_by_number(tx, number)
    if case is None:
        raise CaseNotFound(number=number)
    package_id = ask_for_package(
        services.database,
        CaseId(case.id),
        by=caller,
        purpose=body.purpose,
        with_renditions=body.renditions,
        at=services.clock.now(),
    )
    answer.headers["Location"] = f"/api/v1/packages/{package_id}"
    return _read(services, package_id)


@router.get("/packages/{package_id}", operation_id="read_package")
def package_read(package_id: PackageIdPath, caller: Exporter, services: ServicesDep) -> PackageRead:
    """Return how far a package is."""
    del caller
    return _read(services, package_id)


@router.post(
    "/packages/{package_id}/downloads",
    operation_id="grant_package_download",
    responses=refusals(409),
    status_code=201,
    dependencies=[by_account(Cost.HEAVY)],
)
def download_granted(
    package_id: PackageIdPath, caller: Exporter, services: ServicesDep, answer: Response
) -> DownloadRead:
    """Grant one download of a package that is ready; it is written down."""
    download_id = grant_download(services.database, package_id, by=caller, at=services.clock.now())
    location = f"/api/v1/packages/{package_id}/downloads/{download_id}"
    answer.headers["Location"] = location
    return DownloadRead(id=str(download_id), location=location)


@router.api_route(
    "/packages/{package_id}/downloads/{download_id}",
    methods=["GET"],
    operation_id="fetch_package",
    response_class=Response,
    responses={
        200: _ZIP,
        206: {"description": "The range that was asked for.", **_ZIP},
        416: {"description": "There is nothing in that range."},
    },
)
def package_fetched(
    request: Request, package_id: PackageIdPath, download_id: DownloadIdPath, caller: Exporter, services: ServicesDep
) -> Response:
    """Return the package as one ZIP; a range of it where one is asked for, so that what broke off can go on."""
    return serve_package(request, package_id, download_id, caller, services)


def _read(services: Services, package_id: PackageId) -> PackageRead:
    with services.database.read() as tx:
        return _told(package_view(tx, package_id), services)


def _told(view: PackageView, services: Services) -> PackageRead:
    row = view.row
    is_kept = view.state == "ready" and row.made_at is not None
    return PackageRead(
        id=str(row.id),
        state=view.state,
        percent=view.percent,
        cause=view.cause,
        name=f"{row.name}.zip",
        renditions=row.with_renditions,
        asked_at=format_instant(row.asked_at),
        made_at=None if row.made_at is None else format_instant(row.made_at),
        removed_after=format_instant(row.made_at + services.packages.keep) if is_kept and row.made_at else None,
        size_bytes=row.size_bytes,
        object_count=row.object_count,
        checkpoint_size=row.checkpoint_size,
    )
