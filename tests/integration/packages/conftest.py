"""One house, its package and the copy of its log; each test gets the package anew."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive_home import clock, deliver, dock, home
from tests.support.packages import House
from tests.support.real_packages import RealArchive, real_archive

__all__ = ["clock", "deliver", "dock", "home", "house", "log", "package", "whole"]


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealArchive]:
    """A real archive on SQLite, with one case."""
    with real_archive(tmp_path_factory.mktemp("real")) as archive:
        yield archive


@pytest.fixture(scope="session")
def exported(real: RealArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of its case; not to be changed."""
    return real.package(tmp_path_factory.mktemp("exported") / "case")


@pytest.fixture(scope="session")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealArchive]:
    """Another archive, with other keys, into which the same was put."""
    with real_archive(tmp_path_factory.mktemp("forger")) as archive:
        yield archive


@pytest.fixture(scope="session")
def forged(forger: RealArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the same case out of the forger's archive; not to be changed."""
    return forger.package(tmp_path_factory.mktemp("forged") / "case")


@pytest.fixture(scope="session")
def house() -> House:
    return House.make(1)


@pytest.fixture(scope="session")
def whole(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.package(tmp_path_factory.mktemp("whole") / "package")


@pytest.fixture(scope="session")
def log(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.mirror(tmp_path_factory.mktemp("log"))


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "package"))
