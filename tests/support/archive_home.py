"""A real archive in a folder of the test: made by wiring, on the database that the test was given, with an enrolled dock.

Fixtures are imported where they are wanted: `from tests.support.archive_home import clock, dock, home  # noqa: F401`.
"""

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import make_url, select, text

from archive.access.accounts import create_account
from archive.access.callers import Caller
from archive.access.policy import Role
from archive.access.sessions import sign_in, signed_in_caller
from archive.cases.filing import open_case
from archive.cases.subjects import KnownSubject, NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.db.base import Base
from archive.db.database import Database
from archive.db.sight import FIRST_UNIT
from archive.fsck import ArchiveReport, Outside, Places, Target, fsck
from archive.fsck.journal import check_journal
from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import CaseId, DockId, EntryId, ObjectId, UploadId
from archive.kernel.instants import Instant
from archive.ledger.entries import OPERATOR, Actor
from archive.ledger.erasure import erase_detail
from archive.ledger.models import LogEntry, LogLeaf
from archive.ledger.publishing import NOTES
from archive.ports.blobs import BlobStore
from archive.settings import Settings
from archive.wiring import Services, build_services, create_home
from archive.wiring.stores import places_of
from ingest.accept import finish_upload
from ingest.docks import enrol_dock, invite_dock
from ingest.manifest import build_manifest, sign_manifest
from ingest.models import Upload
from ingest.receipts import receipt
from ingest.staging import staged_path, sync, write_all
from ingest.uploads import UploadState, create_upload, record_offset
from signing.ed25519 import Ed25519KeyHandle
from tests.support import deployment, schema
from tests.support.deployment import RawStores
from tests.support.unguarded import GUARDED, unguarded

PASSWORD = "correct horse battery staple"
PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


class SteppedClock:
    """The machine's clock, moved by what a test steps it; satisfies `archive.ports.Clock`."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> Instant:
        return datetime.now(UTC) + self._ahead

    def step(self, by: timedelta) -> Instant:
        self._ahead += by
        return self.now()


@dataclass(frozen=True, slots=True)
class EnrolledDock:
    """A dock with its own key, as the archive knows it."""

    id: DockId
    api_key: str
    key: Ed25519KeyHandle

    @property
    def credential(self) -> str:
        return "key:" + self.api_key.split("_")[1]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}", "Tus-Resumable": "1.0.0"}

    def manifest(
        self,
        digests: DigestSet,
        name: str,
        *,
        case: str | None = None,
        device: Mapping[str, str | int] | None = None,
        **fields: Any,
    ) -> bytes:
        usual = {"signed": "2026-03-01T08:00:00Z", "recorded": "2026-03-01T07:30:00Z", "clock_offset_ms": -1500}
        return build_manifest(
            dock_id=fields.pop("dock_id", self.id),
            name=name,
            digests=digests,
            times=fields.pop("times", usual),
            device={"serial": "CAM-0042"} if device is None else device,
            case_number=case,
            **fields,
        )


class ArchiveHome:
    """One archive and what tests do with it. `services` may be built anew with `reopen`, as a restart would."""

    def __init__(self, settings: Settings, clock: SteppedClock) -> None:
        self.settings = settings
        self.clock = clock
        self.services: Services = build_services(settings, clock=clock)

    @property
    def path(self) -> Path:
        return self.settings.home

    @property
    def database(self) -> Any:
        return self.services.database

    @property
    def intake(self) -> Any:
        return self.services.intake

    def reopen(self) -> Services:
        """Close everything and open it again."""
        self.services.close()
        self.services = build_services(self.settings, clock=self.clock)
        return self.services

    # --- docks and deliveries ---------------------------------------------------------------------------------

    def dock(self, name: str = "Dock 1", *, unit_id: UUID = FIRST_UNIT) -> EnrolledDock:
        """Invite and enrol a dock of a unit, with a key of its own."""
        key = Ed25519KeyHandle(Ed25519PrivateKey.generate())
        code = invite_dock(self.database, name=name, unit_id=unit_id, by=OPERATOR, at=self.clock.now())
        enrolment = enrol_dock(self.database, code=code, public_key=key.public_bytes, at=self.clock.now())
        return EnrolledDock(enrolment.dock_id, enrolment.api_key, key)

    def begin(
        self,
        dock: EnrolledDock,
        data: bytes,
        name: str = "a.mp4",
        *,
        case: str | None = None,
        said: bytes | None = None,
        key: Ed25519KeyHandle | None = None,
        announced: str | None = None,
        **fields: Any,
    ) -> UploadState:
        """Create the upload of `data`; `said` are other bytes of that length that the manifest speaks of."""
        digests = digest_of(data if said is None else said)
        manifest = dock.manifest(digests, name, case=case, **fields)
        return create_upload(
            self.intake,
            dock_id=dock.id,
            credential=dock.credential,
            size_bytes=len(data),
            metadata_header="",
            manifest=manifest,
            manifest_signature=sign_manifest(manifest, key or dock.key),
            announced=announced,
        )

    def stage(self, upload_id: UploadId, data: bytes, *, at_byte: int = 0) -> None:
        """Put bytes into the staged file, durable, and store the offset: what the receiver does with a chunk."""
        with staged_path(self.intake.staging, upload_id).open("r+b") as file:
            write_all(file.fileno(), [data], at_byte=at_byte)
            sync(file.fileno())
        record_offset(self.intake, upload_id, offset_bytes=at_byte + len(data))

    def bring(self, dock: EnrolledDock, data: bytes, name: str = "a.mp4", **fields: Any) -> UploadId:
        """Create an upload and make all of its bytes durable; it is complete and not finished."""
        upload_id = self.begin(dock, data, name, **fields).id
        self.stage(upload_id, data)
        return upload_id

    def deliver(self, dock: EnrolledDock, data: bytes, name: str = "a.mp4", **fields: Any) -> ObjectId:
        """Bring a recording all the way into the archive; return the item's id."""
        upload_id = self.bring(dock, data, name, **fields)
        finish_upload(self.intake, upload_id)
        return ObjectId(self.upload(upload_id).object_id)

    def upload(self, upload_id: UploadId) -> Upload:
        with self.database.read() as tx:
            return tx.get_one(Upload, upload_id)

    def receipt(self, dock: EnrolledDock, upload_id: UploadId) -> bytes | None:
        return receipt(self.intake, upload_id, dock_id=dock.id)

    # --- people and cases -------------------------------------------------------------------------------------

    def person(self, role: Role, username: str | None = None, **fields: Any) -> Caller:
        """Make an account, sign it in, and return the caller."""
        name = username or role.value
        create_account(
            self.database,
            username=name,
            display_name=name.title(),
            roles=[role],
            password=PASSWORD,
            by=OPERATOR,
            at=self.clock.now(),
            **fields,
        )
        return self.signed_in(name)

    def signed_in(self, username: str) -> Caller:
        token = sign_in(self.services.sign_ins, username=username, password=PASSWORD, at=self.clock.now())
        with self.database.read() as tx:
            caller = signed_in_caller(tx, token=token, at=self.clock.now())
        assert caller is not None
        return caller

    def case(
        self,
        number: str = "昆市监罚〔2026〕1号",
        title: str = "无证经营案",
        subject: str | KnownSubject | NewSubject = "某某餐饮店",
        by: Actor = OPERATOR,
    ) -> CaseId:
        return open_case(
            self.database,
            self.services.identifiers,
            number=number,
            title=title,
            category=Category.PENALTY,
            subject=NewSubject(subject, SubjectKind.ORGANISATION) if isinstance(subject, str) else subject,
            by=by,
            at=self.clock.now(),
        )

    # --- the log ----------------------------------------------------------------------------------------------

    def sequence(self) -> int:
        return self.services.sequencer.sequence()

    def entries(self) -> list[dict[str, Any]]:
        """Every entry, sequenced or not, oldest id first."""
        with self.database.read() as tx:
            return [json.loads(body) for body in tx.scalars(select(LogEntry.body).order_by(LogEntry.id))]

    def types(self) -> list[str]:
        return [entry["type"] for entry in self.entries()]

    def logged(self) -> list[tuple[int, UUID]]:
        """Index and entry of everything that is sequenced."""
        with self.database.read() as tx:
            return [tuple(row) for row in tx.execute(select(LogLeaf.index, LogLeaf.entry_id).order_by(LogLeaf.index))]

    def erase(self, is_meant: Callable[[dict[str, Any]], bool]) -> int:
        """Erase the details of entries, as the operator does; return how many."""
        self.sequence()
        meant = [EntryId(UUID(entry["id"])) for entry in self.entries() if is_meant(entry)]
        for entry_id in meant:
            erase_detail(
                self.database,
                self.services.journal,
                entry_id,
                reason="asked for by the person",
                authority="个人信息保护法第四十七条",
                by=OPERATOR,
                at=self.clock.now(),
            )
        self.sequence()
        return len(meant)

    # --- looking behind the scenes ----------------------------------------------------------------------------

    def execute(self, sql: str, **values: Any) -> int:
        """Change rows behind the archive's back, also those that triggers keep; return how many."""
        is_guarded = any(table in sql for table in GUARDED) and not sql.startswith("INSERT INTO")
        with unguarded(self.database) if is_guarded else self.database.begin() as tx:
            return int(tx.execute(text(sql), values).rowcount)

    def rows(self, sql: str, **values: Any) -> list[Any]:
        with self.database.read() as tx:
            return list(tx.execute(text(sql), values).all())

    def count(self, table: str, condition: str = "1 = 1", **values: Any) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table} WHERE {condition}", **values)[0][0])

    def id_value(self, value: UUID) -> str:
        """The form in which this database takes an id in raw SQL."""
        return value.hex if self.database.is_sqlite else str(value)

    @property
    def raw(self) -> RawStores:
        """The stores past the archive: `home.raw / "store"` is a folder, or what reads and writes as one."""
        return RawStores.of(self.settings)

    def file_of(self, object_id: ObjectId, logical_path: str) -> Path:
        """Return the stored file itself, past the archive; a program that wants one on this machine borrows it."""
        return self.raw / "store" / self.services.objects.content_key(object_id, logical_path)

    def local_file(self, object_id: ObjectId, logical_path: str) -> Path:
        """Return a file of this machine with what is stored, as workers get it; for reading only."""
        return self.stored_file(
            self.services.stores.originals, self.services.objects.content_key(object_id, logical_path)
        )

    def stored_renditions(self) -> set[Path]:
        """Every file in the store of renditions, but what looks found: one for each look, named by its digest."""
        files = {path for path in (self.raw / "renditions").rglob("*") if path.is_file()}
        found = {path for path in files if path.parent.name.startswith("found-")}
        assert all(path.stem == hashlib.sha256(path.read_bytes()).hexdigest() for path in found)
        assert len({path.parent for path in found}) == len(found)
        return files - found

    def stored_file(self, store: BlobStore, key: str) -> Path:
        with store.borrow(key) as path:
            return path

    @property
    def places(self) -> Places:
        return places_of(self.settings, self.clock)

    def fsck(self, outside: Outside | None = None, held: Sequence[tuple[str, str]] = ()) -> ArchiveReport:
        root, now = self.path / "ca" / "root.cert.pem", self.clock.now()
        return fsck(Target(self.path, self.database, root, outside, held, self.places, now=now))

    def faults(self) -> list[Finding]:
        return [finding for finding in self.fsck().findings if finding.outcome is not Outcome.VALID]

    def assert_sound(self) -> None:
        assert [(fault.code, fault.message, fault.where) for fault in self.faults()] == []

    def assert_journal_sound(self) -> None:
        with self.database.snapshot() as tx:
            faults = [
                found
                for found in check_journal(tx.connection(), self.places, self.path / "keys" / "journal.key")
                if found.outcome is not Outcome.VALID
            ]
        told = [(fault.code, fault.message, fault.where) for fault in faults]
        assert told == [], told


def new_settings(base: Path, database_url: str, **given: Any) -> Settings:
    usual = {"reserve_bytes": 0, "terms": "off"}  # terms of use are asked where a test is about them
    return Settings(home=base / "home", database_url=database_url, **{**usual, **given})


def make_home(base: Path, database_url: str, clock: SteppedClock | None = None, **given: Any) -> ArchiveHome:
    """Make an archive under `base` as `liuhen init` does, and open it."""
    own = {**given, **({"database_url": database_url} if database_url else {})}
    told = deployment.archive_settings(base, given=own)
    given = {"database_url": "", **told, **own}
    settings = new_settings(base, **given)
    url = make_url(settings.effective_database_url)
    if url.get_backend_name() == "sqlite":
        schema.copy_sqlite(Path(str(url.database)))
    create_home(settings)
    deployment.write_down(settings.home, told)
    # The origin that was drawn stands in the home's own file, where every process finds it.
    return ArchiveHome(new_settings(base, **given), clock or SteppedClock())


@functools.cache
def _new_files() -> tuple[Settings, tuple[tuple[Path, int, bytes | None], ...]]:
    """Return settings and folder of a new archive, but for its database and checkpoints: path, mode, bytes."""
    with tempfile.TemporaryDirectory(prefix="liuhen-home-") as folder:
        made = make_home(Path(folder), "")
        filled = {name for name in Base.metadata.tables if made.count(name)}
        assert filled == {"agency", "unit", "log_checkpoint"}, "a copy has to write that too"
        made.services.close()
        home = Path(folder) / "home"
        of_its_own = {home / "log" / "checkpoint", *(home / "log-entries" / NOTES).glob("*")}
        return made.settings, tuple(
            (path.relative_to(home), path.stat().st_mode & 0o777, None if path.is_dir() else path.read_bytes())
            for path in sorted(home.rglob("*"))
            if path not in of_its_own and not path.name.startswith("liuhen.sqlite3")
        )


def copy_home(base: Path, database_url: str, clock: SteppedClock) -> ArchiveHome:
    """Make an archive as `make_home` does, on a database of the newest schema; keys are the same in all copies."""
    home = base / "home"
    home.mkdir(mode=0o700)
    mould, files = _new_files()
    for path, mode, data in files:
        if data is None:
            (home / path).mkdir(mode=mode)
        else:
            descriptor = os.open(home / path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "wb") as copy:
                copy.write(data)
    told = deployment.copied_store(mould, base)
    deployment.write_down(home, told)
    made = ArchiveHome(new_settings(base, database_url, **told), clock)
    made.services.sequencer.recover()
    return made


def flip(path: Path, *, at: int | None = None, bit: int = 0) -> None:
    """Flip one bit of a stored file, whatever its mode."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1 << bit
    path.chmod(0o644)
    path.write_bytes(data)


def doom_commits(database: Database, table: str = "log_entry") -> None:
    """Make every transaction that inserts into `table` fail at its commit: a foreign key is checked only there."""
    for statement in (
        "CREATE TABLE IF NOT EXISTS nowhere (id INTEGER PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS doomed (nowhere INTEGER REFERENCES nowhere (id) DEFERRABLE INITIALLY DEFERRED)",
        *(
            [f"CREATE TRIGGER doom AFTER INSERT ON {table} BEGIN INSERT INTO doomed VALUES (1); END"]
            if database.is_sqlite
            else [
                (
                    "CREATE OR REPLACE FUNCTION doom() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN INSERT INTO doomed VALUES (1); RETURN NULL; END $$"
                ),
                f"CREATE TRIGGER doom AFTER INSERT ON {table} EXECUTE FUNCTION doom()",
            ]
        ),
    ):
        with database.begin() as tx:
            tx.execute(text(statement))


def spare_commits(database: Database, table: str = "log_entry") -> None:
    """Take back what `doom_commits` did."""
    with database.begin() as tx:
        tx.execute(text("DROP TRIGGER doom" + ("" if database.is_sqlite else f" ON {table}")))


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def home(database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    structlog.configure(processors=[structlog.processors.JSONRenderer(default=str)])  # no coloured tracebacks
    made = copy_home(tmp_path, database_url, clock)
    yield made
    made.services.close()


@pytest.fixture
def dock(home: ArchiveHome) -> EnrolledDock:
    return home.dock()


@pytest.fixture
def deliver(home: ArchiveHome, dock: EnrolledDock) -> Callable[..., ObjectId]:
    """`deliver(data, name, case=None)`: a recording through the real use cases; returns the item's id."""

    def delivered(data: bytes, name: str = "a.mp4", case: str | None = None, **fields: Any) -> ObjectId:
        return home.deliver(dock, data, name, case=case, **fields)

    return delivered
