"""Archives whose database is lost: rows of every kind that does not come back, the loss, and the commands after it."""

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import JSON, Boolean, Date, Float, Integer, LargeBinary, String, Table, Uuid, make_url, select
from sqlalchemy.types import TypeEngine

from archive.cli.main import run
from archive.db.base import Base, Moment
from archive.documents.drafts import save_draft, values_of
from archive.documents.models import Draft
from archive.kernel.ids import DraftId
from archive.ledger.entries import Actor
from archive.recovery.bringing_back import bring_back
from archive.recovery.comparison import Lost
from archive.wiring import build_services
from archive.wiring.recovery_parts import recovery_of, sources_of
from tests.support import deployment, postgres, schema
from tests.support.archive_home import ArchiveHome
from tests.support.deployment import STORES, environment

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_HAVE_ROWS = {
    "session",
    "enrolment_code",
    "job",
    "event_outbox",
    "event_count",
    "webhook_delivery",
    "notice",
    "upload",
    "draft",
}


def fill_what_is_lost(home: ArchiveHome, lost: list[Lost]) -> None:
    """Put a row into every table whose rows are lost, and another value into every column that is."""
    tables = Base.metadata.tables
    with home.database.begin() as tx:
        draft = tx.scalars(select(Draft).where(Draft.state == "writing")).one()
        values = {**values_of(draft), "place": "库房"}
        save_draft(
            tx, DraftId(draft.id), revision=draft.revision, title="another", values=values, by=Actor(uuid4()), at=AT
        )  # fmt: skip
        connection = tx.connection()
        for line in lost:
            table = tables[line.table]
            is_work = line.table == "intake_claim"  # those of items come back
            if line.missing and (is_work or (line.table not in _HAVE_ROWS and not _has_rows(connection, table))):
                connection.execute(table.insert(), _a_row(connection, table))
            for name in line.columns:
                if name in {
                    "last_used_at",
                    "warned_at",
                    "metadata_header",
                    "failures",
                    "quiet_until",
                    "last_delivered_at",
                }:
                    connection.execute(table.update().values({name: _value(table.c[name].type)}))


def _has_rows(connection: Any, table: Table) -> bool:
    return connection.execute(select(table).limit(1)).first() is not None


def _a_row(connection: Any, table: Table) -> dict[str, Any]:
    row = {}
    for column in table.columns:
        key = next(iter(column.foreign_keys), None)
        if key is None:
            row[column.name] = _value(column.type)
        else:
            row[column.name] = connection.execute(select(key.column).limit(1)).scalar()
    return row


def _value(kind: TypeEngine[Any]) -> Any:
    match kind:
        case Moment():
            return AT
        case Uuid():
            return uuid4()
        case LargeBinary():
            return secrets.token_bytes(32)
        case String():
            return "x"
        case Boolean():
            return False
        case Integer():
            return 1
        case Float():
            return 1.0
        case Date():
            return date(2026, 1, 2)
        case JSON():
            return {}
    raise TypeError(kind)


def lose_database(home: ArchiveHome) -> None:
    """Close the archive and take its database away; an empty one is in its place on PostgreSQL, none on SQLite."""
    url = str(home.settings.effective_database_url)
    home.services.close()
    if make_url(url).get_backend_name() == "sqlite":
        place = Path(str(make_url(url).database))
        for path in place.parent.glob(f"{place.name}*"):
            path.unlink()
    else:
        server = postgres.server_of(url)
        postgres.drop_database(server, url)
        postgres.create_database(server, name=postgres.name_of(url))


@contextmanager
def settings_in_environment(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have commands use the settings of a test's archive."""
    settings = home.settings
    given = {
        **environment(settings),
        "LIUHEN_RESERVE_BYTES": "0",
        "LIUHEN_WITNESS_POLICY": "" if settings.witness_policy is None else str(settings.witness_policy),
    }
    with monkeypatch.context() as patch:
        for name, value in given.items():
            if value:
                patch.setenv(name, str(value))
        yield


def command(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run a command on an archive; return its exit code."""
    with settings_in_environment(home, monkeypatch):
        return run([*map(str, arguments), "--home", str(home.path)])


def recover_and_be_killed(home: ArchiveHome, *, after: int) -> None:
    """Recover in a process of its own that is killed once so many steps are done."""
    child = os.fork()
    if child == 0:
        try:
            services = build_services(home.settings, clock=home.clock, is_recovering=True)
            sources = sources_of(services)
            steps = iter(range(after))

            def progress(_: int, __: int) -> None:
                if next(steps, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            bring_back(
                services.database, recovery_of(services, sources), sources, services.sequencer, services.intake, home=home.path,
                backup_size=None, at=services.clock.now(), progress=progress,
            )  # fmt: skip
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def migrate_empty(home: ArchiveHome) -> None:
    """Make the empty database that a recovery begins with."""
    url = str(home.settings.effective_database_url)
    if make_url(url).get_backend_name() == "sqlite":
        schema.copy_sqlite(Path(str(make_url(url).database)))
    else:
        schema.make(url)


def moved(home: ArchiveHome, base: Path, *, folders: tuple[str, ...]) -> Path:
    """Return a home folder on another machine that has nothing but these folders of the archive."""
    other = base / "home"
    other.mkdir(parents=True)
    for name in folders:
        if name in STORES and deployment.is_in_buckets():
            continue  # they are in nobody's home, and stay where they are
        shutil.copytree(home.path / name, other / name)
    return other
