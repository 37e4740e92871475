"""Closing a volume: its index is signed and sealed, its sheets are set and sealed, all is kept as one object.

Three steps, each of which may be the last before a crash: the closing is written down with its file number; the object
is made durable; rows and log entry tell of it in one transaction. Whoever comes next, a person or the job, goes on from
there: an object that is whole is taken as it is, one that is not is made anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.cases.filing import CaseNotFound
from archive.cases.models import Case
from archive.cases.sealing import Seals, seal_of
from archive.custody.models import PreservationIntent
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.jobs.queue import ClaimedJob, add_job, finish_job, hasten_job
from archive.kernel.errors import Conflict, LiuhenError
from archive.kernel.ids import CaseId, ObjectId, VolumeId, new_uuid7, parse_uuid
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from archive.ports.volumes import CloseGuard
from archive.trust.certificates import CertificateEnded
from archive.volumes.binding import VolumeChanged, write_closed
from archive.volumes.indexing import ReadIndex, index_of
from archive.volumes.making import Bound, Seal, people_of, preserve_bound, read_bound, sheet_words
from archive.volumes.models import Volume, VolumeClosing
from archive.volumes.moving import VolumeBeingClosed
from archive.volumes.rules import VolumeKind, VolumeRules
from archive.volumes.sheets import SheetMaker
from archive.volumes.standing import case_file
from signing.pades import DocumentSigner
from signing.seals import round_seal

CLOSE_VOLUME: Final = "close_volume"
"""The job that goes on with a closing that broke off; it is added by the transaction that begins one."""
MAX_REMARKS_CHARACTERS: Final = 1000
MAX_INSPECTOR_CHARACTERS: Final = 100
_ATTEMPT: Final = timedelta(minutes=10)
_FILE_NUMBER_TRIES: Final = 5
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


class FileNumberTaken(Conflict):
    """Several volumes are being closed at once, and another has this file number: try again."""

    code = "volumes.file_number_taken"
    retryable = True


@dataclass(frozen=True, slots=True)
class Closing:
    """What people say when they close a volume: who checked it, and what is to be said of it on its last sheet."""

    inspector: str
    remarks: str = ""


@dataclass(frozen=True, slots=True)
class VolumeCloser:
    """What closes volumes, put together by wiring. `index_signer` holds the key of manifests."""

    database: Database
    objects: OcflRoot
    rules: VolumeRules
    sheets: SheetMaker
    signer: ManifestSigner
    index_signer: DocumentSigner
    seals: Seals
    clock: Clock
    guards: Sequence[CloseGuard] = ()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {CLOSE_VOLUME: self._go_on}

    def close_volume(self, case_id: CaseId, kind: VolumeKind, closing: Closing, *, by: Actor) -> VolumeId:
        """Close a volume of a case file, for good. On return all of it is durable.

        Idempotent: yes, for what broke off: it is gone on with, under the same file number.
        Raises: CaseNotFound, CaseStillOpen, DraftsUnfinished, VolumeEmpty, PagesUnknown, VolumeNotOpened, SealMissing,
            VolumeBeingClosed, VolumeChanged, FileNumberTaken, InvalidInput, TypesettingFault, StorageFull; what guards,
            keys and the authority of time raise.
        """
        volume_id = self._begun(case_id, kind, closing, by=by)
        self.finish_closing(volume_id)
        return volume_id

    def finish_closing(self, volume_id: VolumeId) -> bool:
        """Go on with a closing that was begun; return whether there was one.

        Raises: as `close_volume`.
        """
        with self._attempt(volume_id) as closing:
            if closing is None:
                return False
            bound = self._bound(closing)
            at = self.clock.now()
            with self.database.begin() as tx:
                _lock(tx, CaseId(closing.case_id))
                write_closed(tx, closing, bound, self.rules, by=Actor(closing.begun_by), at=at)
        with self.database.begin() as tx:  # the job that waits in case of a crash has nothing to do any more
            hasten_job(tx, _key(closing.object_id), at=self.clock.now())
        return True

    def _begun(self, case_id: CaseId, kind: VolumeKind, closing: Closing, *, by: Actor) -> VolumeId:
        """Begin, some times over where another volume took the file number just then."""
        for _ in range(_FILE_NUMBER_TRIES):
            with suppress(FileNumberTaken), unique_or(FileNumberTaken):
                return self._begin(case_id, kind, closing, by=by)
        raise FileNumberTaken(kind=kind.value)

    def _begin(self, case_id: CaseId, kind: VolumeKind, closing: Closing, *, by: Actor) -> VolumeId:
        remarks = closing.remarks.strip()[:MAX_REMARKS_CHARACTERS]
        inspector = clean_text(closing.inspector, "name", MAX_INSPECTOR_CHARACTERS)
        at = self.clock.now()
        with self.database.begin() as tx:
            _lock(tx, case_id)
            file = case_file(tx, self.rules, case_id, guards=self.guards, at=at)
            standing = file.volumes[kind]
            if standing.closing is not None:
                _require_free(standing.closing, at)
                return VolumeId(standing.closing.volume_id)
            if standing.obstacles:
                raise standing.obstacles[0]
            volume_id = VolumeId(new_uuid7() if standing.row is None else standing.row.id)
            object_id, year = ObjectId(new_uuid7()), local_day(at).year
            insert_row(tx, PreservationIntent, object_id=object_id, begun_at=at)
            insert_row(
                tx,
                VolumeClosing,
                volume_id=volume_id,
                case_id=case_id,
                kind=kind.value,
                object_id=object_id,
                year=year,
                serial=_next_serial(tx, year),
                remarks=remarks,
                inspector=inspector,
                begun_by=by.id,
                begun_at=at,
            )
            args = {"volume_id": str(volume_id)}
            add_job(tx, CLOSE_VOLUME, args, at=at + _ATTEMPT, key=_key(object_id))
        return volume_id

    @contextmanager
    def _attempt(self, volume_id: VolumeId) -> Iterator[VolumeClosing | None]:
        """Have a closing for oneself; what cannot be closed as it was begun is given up, and may be begun anew."""
        at = self.clock.now()
        with self.database.begin() as tx:
            closing = tx.scalar(select(VolumeClosing).where(VolumeClosing.volume_id == volume_id).with_for_update())
            if closing is not None:
                _require_free(closing, at)
                _hold(tx, volume_id, at + _ATTEMPT)
                tx.expunge(closing)
        try:
            yield closing
        except (VolumeChanged, CertificateEnded):
            with self.database.begin() as tx:
                tx.execute(delete(VolumeClosing).where(VolumeClosing.volume_id == volume_id))
            raise
        except LiuhenError:
            with self.database.begin() as tx:
                _hold(tx, volume_id, None)
            raise

    def _bound(self, closing: VolumeClosing) -> Bound:
        """Return the object of a volume: the one that is there, or one that is made now."""
        object_id = ObjectId(closing.object_id)
        self.objects.repair([object_id])
        if self.objects.exists(object_id):
            return read_bound(self.objects, object_id)
        self.objects.discard_unfinished(object_id)
        with self.database.read() as tx:
            file = case_file(tx, self.rules, CaseId(closing.case_id), at=closing.begun_at)
            certificate = seal_of(tx, file.agency, at=self.clock.now())
            people = people_of(tx, closing)
            beside = sheet_words(tx, file, closing)
            key = self.seals.key_of(certificate)
        index = ReadIndex.of(index_of(file, closing, self.rules, people=people, at=closing.begun_at).body)
        seal = Seal(
            DocumentSigner(key, self.clock, self.seals.room.token),
            round_seal(self.seals.room.typeface, name=file.agency.name, line=self.seals.line),
            file.agency.name,
            certificate.sha256,
        )
        sheets = seal.on_sheets(self.sheets.set_sheets(index.told, beside))
        files = {"index.p7s": self.index_signer.sign_detached(index.body), "index.seal.p7s": seal.over(index.body)}
        return preserve_bound(
            self.objects,
            self.signer,
            index,
            {**files, **sheets},
            seal_sha256=certificate.sha256,
            rules=self.rules,
            at=self.clock.now(),
        )

    def _go_on(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        self.finish_closing(VolumeId(parse_uuid(job.args["volume_id"])))
        report(900)
        with self.database.begin() as tx:
            finish_job(tx, job, at=self.clock.now())


def _lock(tx: Session, case_id: CaseId) -> None:
    if tx.scalar(select(Case.id).where(Case.id == case_id).with_for_update(key_share=True)) is None:
        raise CaseNotFound(case_id=case_id)


def _require_free(closing: VolumeClosing, at: Instant) -> None:
    if closing.until is not None and closing.until > at:
        raise VolumeBeingClosed(kind=closing.kind)


def _hold(tx: Session, volume_id: VolumeId, until: Instant | None) -> None:
    tx.execute(update(VolumeClosing).where(VolumeClosing.volume_id == volume_id).values(until=until))


def _next_serial(tx: Session, year: int) -> int:
    used = [
        tx.scalar(select(func.max(table.serial)).where(table.year == year)) or 0 for table in (Volume, VolumeClosing)
    ]
    return max(used) + 1


def _key(object_id: UUID) -> str:
    return f"close:{object_id}"
