"""Packages on request: asked for by a person, built by a job, fetched under a grant, removed after days.

The entries of the grant stand in the transaction of the job's row; each download is granted and written down anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.cases.models import Case, CaseLink
from archive.custody.accesses import record_access
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.base import insert_row
from archive.db.database import Database
from archive.db.sight import unbound
from archive.jobs.listings import jobs_by_key
from archive.jobs.models import Job
from archive.jobs.queue import PACKAGE, add_job
from archive.kernel.errors import Conflict, Forbidden, NotFound
from archive.kernel.ids import CaseId, DownloadId, ObjectId, PackageId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.kernel.names import safe_file_name
from archive.kernel.texts import clean_text
from archive.ledger.entries import EntryType, NewEntry, Target
from archive.packages.building import MAX_PURPOSE_CHARACTERS, CaseMissing, NewPackage, write_grant
from archive.packages.models import CasePackage, PackageDownload
from archive.retrieval.decisions import admission_to
from archive.retrieval.rules import GrantKind, RetrievalRules

BUILD_PACKAGE: Final = "build_package"
LIFETIME: Final = timedelta(hours=4)
_MOST_LISTED: Final = 20
_NAME_CHARACTERS: Final = 100


class PackageRestricted(Forbidden):
    """Something in this case is restricted: whoever is cleared for all of it exports it."""

    code = "package.restricted"


class PackageNeedsApproval(Forbidden):
    """Something in this case is copied after a head of unit has approved it; ask for each of these first."""

    code = "package.needs_approval"


class PackageMissing(NotFound):
    """There is no such package, it is not ready, or it was removed; ask for it again."""

    code = "package.not_found"


class DownloadMissing(NotFound):
    """There is no such download, it is not yours, or it has ended; begin again from the case."""

    code = "package.download_not_found"


class PackageUnderWay(Conflict):
    """A package of this case that you asked for is being built; wait for it."""

    code = "package.under_way"


@dataclass(frozen=True, slots=True)
class PackageView:
    """A package and how far it is: `state` is waiting, building, retrying, failed, ready or removed.

    `percent` is None where nothing can be said yet; `cause` is the code of what it failed of.
    """

    row: CasePackage
    state: str
    percent: int | None = None
    cause: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether something will still change without anybody's doing."""
        return self.state in {"waiting", "building", "retrying"}


def ask_for_package(
    database: Database,
    case_id: CaseId,
    *,
    by: Caller,
    purpose: str,
    with_renditions: bool,
    rules: RetrievalRules,
    at: Instant,
) -> PackageId:
    """Have the package of a case built, for a purpose.

    Guarantees: on return the entries of the grant, the package's row and its job are committed together.
    Raises: Forbidden, InvalidInput without a purpose, CaseMissing, PackageRestricted, PackageNeedsApproval,
        PackageUnderWay.
    """
    require(by.roles, Capability.EXPORT_CONTENT)
    purpose = clean_text(purpose, "purpose", MAX_PURPOSE_CHARACTERS)
    package_id = PackageId(new_uuid7())
    with database.begin() as tx:
        case = tx.get(Case, case_id)
        if case is None:
            raise CaseMissing
        if not _sees_all_of(tx, case_id):
            raise PackageRestricted
        filed = tx.scalars(select(CaseLink.object_id).where(CaseLink.case_id == case_id)).all()
        if not _may_copy(tx, filed, by=by, rules=rules, at=at):
            raise PackageNeedsApproval
        if any(view.goes_on and view.row.account_id == by.account_id for view in packages_of(tx, case_id)):
            raise PackageUnderWay
        new = NewPackage(package_id, case_id, by.actor, purpose, with_renditions)
        entry_id = write_grant(tx, new, at=at)
        insert_row(
            tx,
            CasePackage,
            id=package_id,
            case_id=case_id,
            account_id=by.account_id,
            purpose=purpose,
            with_renditions=with_renditions,
            entry_id=entry_id,
            asked_at=at,
            state="asked",
            name=package_name(case.number, at),
        )
        add_job(
            tx, BUILD_PACKAGE, {"package_id": str(package_id)}, at=at, queue=PACKAGE, key=package_job_key(package_id)
        )
    return package_id


def package_name(number: str, at: Instant) -> str:
    """Return what the ZIP of a case is called, without its ending: number and day, safe on every file system."""
    day = f"-{at.date().isoformat()}"
    # A number may hold slashes, of which a safe name keeps only what follows the last one; dots would end the name.
    flat = "".join("_" if char in "/\\." else char for char in number)
    return safe_file_name(flat)[:_NAME_CHARACTERS] + day


def package_job_key(package_id: UUID) -> str:
    """Return the key of the job that builds a package."""
    return f"{BUILD_PACKAGE}:{package_id}"


def packages_of(tx: Session, case_id: CaseId) -> Sequence[PackageView]:
    """Return the newest packages of a case, newest first."""
    rows = tx.scalars(
        select(CasePackage).where(CasePackage.case_id == case_id).order_by(CasePackage.id.desc()).limit(_MOST_LISTED)
    ).all()
    jobs = jobs_by_key(tx, [package_job_key(row.id) for row in rows])
    return [_view(row, jobs) for row in rows]


def package_view(tx: Session, package_id: PackageId) -> PackageView:
    """Return one package. Raises: PackageMissing."""
    row = tx.get(CasePackage, package_id)
    if row is None:
        raise PackageMissing
    return _view(row, jobs_by_key(tx, [package_job_key(package_id)]))


def _view(row: CasePackage, jobs: Mapping[str, Job]) -> PackageView:
    job = jobs.get(package_job_key(row.id))
    if row.state != "asked" or job is None:
        return PackageView(row, row.state if row.state != "asked" else "failed")
    if job.state == "dead":
        return PackageView(row, "failed", cause=(job.last_error or "").partition(":")[0] or None)
    if job.state == "running":
        return PackageView(row, "building", job.progress_permille // 10 or None)
    return PackageView(row, "retrying" if job.attempt else "waiting")


def granted_objects(tx: Session, row: CasePackage) -> frozenset[UUID]:
    """Return the objects whose export was granted together with a package."""
    events = select(CustodyEvent.object_id).where(
        CustodyEvent.case_id == row.case_id,
        CustodyEvent.type == EntryType.ACCESS_EXPORT.value,
        CustodyEvent.actor_id == row.account_id,
        CustodyEvent.at == row.asked_at,
    )
    return frozenset(ObjectId(found) for found in tx.scalars(events))


def grant_download(
    database: Database, package_id: PackageId, *, by: Caller, rules: RetrievalRules, at: Instant
) -> DownloadId:
    """Grant a person one download of a package that is ready, for 4 hours, while all in it may be copied.

    Guarantees: on return the grant and its log entry are committed together.
    Raises: Forbidden, PackageMissing, PackageNeedsApproval.
    """
    require(by.roles, Capability.EXPORT_CONTENT)
    download_id = DownloadId(new_uuid7())
    with database.begin() as tx:
        row = _ready(tx, package_id)
        if not _may_copy(tx, granted_objects(tx, row), by=by, rules=rules, at=at):
            raise PackageNeedsApproval
        case_id = CaseId(row.case_id)
        detail = {
            "purpose": row.purpose,
            "package": str(package_id),
            "download": str(download_id),
            "until": format_instant(at + LIFETIME),
        }
        entry = NewEntry(EntryType.ACCESS_EXPORT, by.actor, Target("case", case_id), case=case_id, detail=detail)
        insert_row(
            tx,
            PackageDownload,
            id=download_id,
            package_id=package_id,
            account_id=by.account_id,
            entry_id=record_access(tx, entry, at=at),
            granted_at=at,
            expires_at=at + LIFETIME,
        )
    return download_id


def active_download(
    tx: Session, package_id: PackageId, download_id: DownloadId, *, by: Caller, at: Instant
) -> CasePackage:
    """Return the package of the caller's own download while that lasts.

    Raises: DownloadMissing, also for other people's downloads; PackageMissing.
    """
    found = select(PackageDownload.id).where(
        PackageDownload.id == download_id,
        PackageDownload.package_id == package_id,
        PackageDownload.account_id == by.account_id,
        PackageDownload.expires_at > at,
    )
    if tx.scalar(found) is None:
        raise DownloadMissing
    return _ready(tx, package_id)


def _ready(tx: Session, package_id: PackageId) -> CasePackage:
    row = tx.get(CasePackage, package_id)
    if row is None or row.state != "ready":
        raise PackageMissing
    with unbound(tx):
        packed = granted_objects(tx, row)
    if not _sees(tx, packed):  # whoever fetches it reads everything in it
        raise PackageMissing
    return row


def _sees_all_of(tx: Session, case_id: CaseId) -> bool:
    with unbound(tx):
        filed = set(tx.scalars(select(CaseLink.object_id).where(CaseLink.case_id == case_id)))
    return _sees(tx, filed)


def _may_copy(tx: Session, object_ids: Collection[UUID], *, by: Caller, rules: RetrievalRules, at: Instant) -> bool:
    kept = (PreservedObject.id.in_(object_ids), PreservedObject.destroyed_at.is_(None))
    rows = tx.scalars(select(PreservedObject).where(*kept)).all()
    return all(admission_to(tx, row, GrantKind.EXPORT, by=by, rules=rules, at=at).is_open for row in rows)


def _sees(tx: Session, object_ids: Collection[UUID]) -> bool:
    """Return whether the transaction's sight has reach of all of these."""
    query = select(func.count()).select_from(PreservedObject).where(PreservedObject.id.in_(object_ids))
    return tx.scalar(query) == len(object_ids)
