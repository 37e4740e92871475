from collections.abc import Iterator

import pytest

from retention.planning.planner import RetentionPlanner
from tests.support.archive_home import ArchiveHome, clock, deliver, dock, home
from tests.support.schedule_in_force import Schedules

__all__ = ["clock", "deliver", "dock", "home"]


@pytest.fixture
def schedules() -> Schedules:
    return Schedules()


@pytest.fixture
def planner(home: ArchiveHome, schedules: Schedules) -> Iterator[RetentionPlanner]:
    yield RetentionPlanner(home.database, home.clock, schedules)
