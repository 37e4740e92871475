"""The job that builds a package, the folder where packages wait for whoever asked, and their removal.

Beside the folder of each package lies the list of its files, by which it is handed out as a ZIP.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from archive.cases.models import CaseLink
from archive.custody.models import PreservedObject
from archive.evidence.models import Rendition
from archive.jobs.queue import ClaimedJob, end_job, finish_job
from archive.kernel.errors import DISK_FULL, InvalidInput, StorageFull
from archive.kernel.ids import CaseId, ObjectId, PackageId, parse_uuid
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry, Target
from archive.packages.building import Packager, write_package
from archive.packages.models import CasePackage, PackageDownload
from archive.packages.requests import BUILD_PACKAGE, PackageMissing, granted_objects, package_job_key, package_view
from archive.packages.zipping import Member, StoredZip
from signing.keyfiles import PRIVATE, replace_durably

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]

_LIST: Final = ".files.json"
_DESTROYED: Final = "package.object_destroyed: something that it was to hold is being destroyed"
_ID_CHARACTERS: Final = 36
"""What each name in the folder begins with, also those of files that a kill left half written."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Builds packages in `folder`, hands them out, and removes them `keep` after they were made.

    Units: `reserve_bytes` of the disk stay free.
    """

    packager: Packager
    folder: Path
    keep: timedelta
    reserve_bytes: int

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {BUILD_PACKAGE: self.build}

    def build(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        """Build the package that was asked for; what an attempt before this one left is built anew.

        Raises: StorageFull; as `write_package`.
        """
        package_id = PackageId(parse_uuid(job.args["package_id"]))
        with self.packager.database.read() as tx:
            row = package_view(tx, package_id).row
            granted, wanted_bytes = granted_objects(tx, row), _size_bytes(tx, row)
            tx.expunge_all()
        out = self._place(package_id)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(out, ignore_errors=True)  # put in place, and not written down any more
        self._require_room(wanted_bytes)
        with _full_disk_named():
            made = write_package(
                self.packager,
                CaseId(row.case_id),
                out,
                package_id=package_id,
                by=Actor(row.account_id),
                with_renditions=row.with_renditions,
                granted=granted,
                report=report,
            )
            replace_durably(self._list(package_id), _listed(made.files), mode=PRIVATE)
        at = self.packager.clock.now()
        facts = {
            "object_count": made.object_count,
            "checkpoint_size": made.checkpoint_size,
            "size_bytes": StoredZip(out, made.files, top=row.name, at=at).size_bytes,
        }
        detail = {
            "kind": "package",
            "package": str(package_id),
            "objects": made.object_count,
            "checkpoint": made.checkpoint_size,
            "size": facts["size_bytes"],
            "tagmanifest-sha256.txt": made.tag_manifest_sha256,
        }
        with self.packager.database.begin() as tx:
            tx.execute(
                update(CasePackage).where(CasePackage.id == package_id).values(state="ready", made_at=at, **facts)
            )
            _tell(tx, EntryType.DERIVATIVE_CREATED, row, detail, at=at)
            finish_job(tx, job, at=at)

    def opened(self, row: CasePackage) -> StoredZip:
        """Return the ZIP of a package that is ready. Raises: PackageMissing where its files are gone."""
        try:
            told = json.loads(self._list(row.id).read_bytes())
            files = [Member(path, size_bytes, crc32) for path, size_bytes, crc32 in told]
        except (OSError, ValueError) as exc:
            raise PackageMissing from exc
        if row.made_at is None:
            raise PackageMissing
        return StoredZip(self._place(row.id), files, top=row.name, at=row.made_at)

    def drop_holding(self, tx: Session, object_id: ObjectId, *, at: Instant) -> None:
        """Remove the packages that hold an object, in the caller's transaction; their files go with the next sweep.

        One that is being built comes to nothing.
        """
        holding = select(CasePackage).join(CaseLink, CaseLink.case_id == CasePackage.case_id)
        rows = holding.where(CaseLink.object_id == object_id, CasePackage.state != "removed")
        for row in tx.scalars(rows.order_by(CasePackage.id).with_for_update(of=CasePackage)).all():
            if row.state == "asked":
                end_job(tx, package_job_key(row.id), why=_DESTROYED, at=at)
                continue
            tx.execute(update(CasePackage).where(CasePackage.id == row.id).values(state="removed", removed_at=at))
            _tell(tx, EntryType.DERIVATIVE_DROPPED, row, {"kind": "package", "package": str(row.id)}, at=at)

    def sweep(self) -> None:
        """Remove packages that are older than they are kept, and what jobs that were given up have left.

        One that somebody may fetch at the moment stays until that has ended.
        """
        at = self.packager.clock.now()
        if not self.folder.exists():
            return
        with self.packager.database.read() as tx:
            due = tx.scalars(_due(at, self.keep)).all()
        for package_id in due:
            with self.packager.database.begin() as tx:
                row = tx.get_one(CasePackage, package_id, with_for_update=True)
                if row.state != "ready":
                    continue
                row.state, row.removed_at = "removed", at
                _tell(tx, EntryType.DERIVATIVE_DROPPED, row, {"kind": "package", "package": str(row.id)}, at=at)
        for path in list(self.folder.iterdir()):
            if self._is_left(path):
                _remove(path)

    def _is_left(self, path: Path) -> bool:
        """Whether something in the folder belongs to a package that is gone or will not be."""
        try:
            package_id = PackageId(parse_uuid(path.name.removeprefix(".")[:_ID_CHARACTERS]))
        except InvalidInput:
            return False
        with self.packager.database.read() as tx:
            try:
                return package_view(tx, package_id).state in {"removed", "failed"}
            except PackageMissing:
                return False

    def _require_room(self, wanted_bytes: int) -> None:
        if shutil.disk_usage(self.folder).free < wanted_bytes + self.reserve_bytes:
            raise StorageFull("There is no room for the package", wanted_bytes=wanted_bytes)

    def _place(self, package_id: UUID) -> Path:
        return self.folder / str(package_id)

    def _list(self, package_id: UUID) -> Path:
        return self.folder / f"{package_id}{_LIST}"


def _due(at: Instant, keep: timedelta) -> Select[UUID]:
    fetching = select(PackageDownload.package_id).where(PackageDownload.expires_at > at)
    return select(CasePackage.id).where(
        CasePackage.state == "ready", CasePackage.made_at <= at - keep, CasePackage.id.not_in(fetching)
    )


def _size_bytes(tx: Session, row: CasePackage) -> int:
    """Return how much room a package takes at least."""
    originals = select(func.sum(PreservedObject.size_bytes)).join(CaseLink, CaseLink.object_id == PreservedObject.id)
    size_bytes = int(tx.scalar(originals.where(CaseLink.case_id == row.case_id)) or 0)
    if row.with_renditions:
        made = select(func.sum(Rendition.size_bytes)).join(CaseLink, CaseLink.object_id == Rendition.object_id)
        size_bytes += int(tx.scalar(made.where(CaseLink.case_id == row.case_id)) or 0)
    return size_bytes


def _tell(tx: Session, kind: EntryType, row: CasePackage, detail: Mapping[str, object], *, at: Instant) -> None:
    case_id = CaseId(row.case_id)
    append_entry(tx, NewEntry(kind, ARCHIVE, Target("case", case_id), case=case_id, detail=detail), at=at)


def _listed(files: Sequence[Member]) -> bytes:
    return json.dumps([[each.path, each.size_bytes, each.crc32] for each in files], ensure_ascii=False).encode()


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in DISK_FULL:
            raise StorageFull from exc
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
