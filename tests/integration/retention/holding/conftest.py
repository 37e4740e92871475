import pytest

from tests.support.archive_home import ArchiveHome, clock, deliver, dock, home
from tests.support.holding_scene import HoldingScene, holding_scene

__all__ = ["clock", "deliver", "dock", "home"]


@pytest.fixture
def scene(home: ArchiveHome) -> HoldingScene:
    return holding_scene(home)
