"""Taking a case away: asking for its package, watching it being built, fetching it as one ZIP."""

from typing import Final

from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.cases import listings
from archive.kernel.ids import DownloadId, PackageId
from archive.packages.building import MAX_PURPOSE_CHARACTERS
from archive.packages.requests import (
    PackageNeedsApproval,
    PackageUnderWay,
    active_download,
    ask_for_package,
    grant_download,
)
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.cases import show_case
from archive.web.pages.content import Blob, disposition, serve
from archive.web.pages.forms import FormDep
from archive.web.pages.guards import CaseIdPath, DownloadIdPath, Exporter, PackageIdPath, Reader
from archive.web.pages.package_lines import package_lines
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.wiring import Services

router = APIRouter(include_in_schema=False)

_METHODS: Final = ["GET", "HEAD"]
ZIP_TYPE: Final = "application/zip"


@router.get("/cases/{case_id}/packages")
def packages_part(request: Request, case_id: CaseIdPath, caller: Reader, services: ServicesDep) -> Response:
    """Show the packages of a case again, while one is being built."""
    keep = services.packages.keep
    with services.database.read() as tx:
        view = listings.case_view(tx, case_id)
        lines = package_lines(tx, case_id, keep=keep, texts=reader_texts(request))
    return render(request, "_packages.html", caller=caller, view=view, packages=lines)


@router.post("/cases/{case_id}/packages", dependencies=[by_account(Cost.HEAVY)])
def package_asked(
    request: Request, case_id: CaseIdPath, form: FormDep, caller: Exporter, services: ServicesDep
) -> Response:
    """Grant the export of a case for a purpose, and have its package built."""
    form.panel = "package"
    purpose = form.text("purpose", most=MAX_PURPOSE_CHARACTERS)
    if form.is_good:
        try:
            ask_for_package(
                services.database,
                case_id,
                by=caller,
                purpose=purpose,
                with_renditions=bool(form.value("renditions")),
                rules=services.retrievals.rules,
                at=services.clock.now(),
            )
        except PackageUnderWay:
            form.refuse("purpose", "error.package.under_way")
        except PackageNeedsApproval:
            form.refuse("purpose", "error.package.needs_approval")
        else:
            return go_to(f"/cases/{case_id}?done=package_asked#packages")
    return show_case(request, case_id, caller, services, form=form, status=422)


@router.post("/packages/{package_id}/downloads", dependencies=[by_account(Cost.HEAVY)])
def package_download_posted(package_id: PackageIdPath, caller: Exporter, services: ServicesDep) -> Response:
    """Grant one download of a package, and send it."""
    download_id = grant_download(
        services.database, package_id, by=caller, rules=services.retrievals.rules, at=services.clock.now()
    )
    return go_to(f"/packages/{package_id}/downloads/{download_id}")


@router.api_route("/packages/{package_id}/downloads/{download_id}", methods=_METHODS)
def package_file(
    request: Request, package_id: PackageIdPath, download_id: DownloadIdPath, caller: Exporter, services: ServicesDep
) -> Response:
    """Serve a package as one ZIP, whole or in part."""
    return serve_package(request, package_id, download_id, caller, services)


def serve_package(
    request: Request, package_id: PackageId, download_id: DownloadId, caller: Caller, services: Services
) -> Response:
    """Answer with the ZIP of the caller's own download, or the range that is asked for.

    Raises: DownloadMissing, PackageMissing.
    """
    with services.database.read() as tx:
        row = active_download(tx, package_id, download_id, by=caller, at=services.clock.now())
        tx.expunge(row)
    made = services.packages.opened(row)
    blob = Blob(made.size_bytes, f'"{package_id}"', ZIP_TYPE, made.open)
    return serve(request, blob, headers={"Content-Disposition": disposition("attachment", f"{row.name}.zip")})
