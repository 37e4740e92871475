"""Archives that took long to make: made once in a run, and every test gets a copy of its own."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from archive.settings import Settings
from tests.support import deployment, postgres
from tests.support.archive_home import ArchiveHome, SteppedClock, new_settings


@dataclass(frozen=True, slots=True)
class _Mould:
    base: Path
    database_url: str
    settings: Settings
    ahead: timedelta


class Moulds:
    """The moulds of one run, by name and database."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        """Take where the moulds are made."""
        self._folders = folders
        self._made: dict[tuple[Any, str], _Mould] = {}

    def copy(
        self, make: Callable[[Path, str, SteppedClock], ArchiveHome], base: Path, database_url: str, clock: SteppedClock
    ) -> ArchiveHome:
        """Return a copy of what `make` makes under `base` on a database: there is nothing in `base` yet but that."""
        backend = make_url(database_url).get_backend_name()
        mould = self._made.get((make, backend))
        if mould is None:
            mould = self._made[make, backend] = self._make(make, database_url)
        shutil.copytree(mould.base, base, dirs_exist_ok=True)
        if backend == "postgresql":
            server = postgres.server_of(database_url)
            postgres.drop_database(server, database_url)
            name, template = postgres.name_of(database_url), postgres.name_of(mould.database_url)
            postgres.create_database(server, template=template, name=name)
        given = deployment.copied_store(mould.settings, base)
        deployment.write_down(base / "home", given)
        if (policy := mould.settings.witness_policy) is not None:
            given["witness_policy"] = base / policy.relative_to(mould.base)
        if clock.ahead < mould.ahead:  # its log has a checkpoint of then
            clock.step(mould.ahead - clock.ahead)
        return ArchiveHome(new_settings(base, database_url, **given), clock)

    def _make(self, make: Callable[[Path, str, SteppedClock], ArchiveHome], database_url: str) -> _Mould:
        base = self._folders.mktemp("mould")
        if make_url(database_url).get_backend_name() == "sqlite":
            url = f"sqlite+pysqlite:///{base / Path(str(make_url(database_url).database)).name}"
        else:
            url = postgres.create_database(postgres.server_of(database_url))
        clock = SteppedClock()
        home = make(base, url, clock)
        home.services.close()
        return _Mould(base, url, home.settings, clock.ahead)


@pytest.fixture(scope="session")
def moulds(tmp_path_factory: pytest.TempPathFactory) -> Moulds:
    return Moulds(tmp_path_factory)
