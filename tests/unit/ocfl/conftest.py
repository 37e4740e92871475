"""A prepared storage root for each test."""

from pathlib import Path

import pytest

from tests.unit.ocfl.objects import Place, new_place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return new_place(tmp_path)
