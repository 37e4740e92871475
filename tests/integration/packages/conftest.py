"""One house, its package and the copy of its log; each test gets the package anew."""

import shutil
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support.archive_home")

from tests.support.archive_home import clock, deliver, dock, home  # noqa: E402
from tests.support.packages import House  # noqa: E402

__all__ = ["clock", "deliver", "dock", "home", "house", "log", "package", "whole"]


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
