"""Plans as a test wants them, made by the planner: each by a schedule that asks for just that. They only grow."""

from typing import Final
from uuid import UUID

from retention.planning.planner import RetentionPlanner
from retention.schedules.algebra import Rule
from retention.schedules.terms import Basis
from tests.support.archive_home import ArchiveHome
from tests.support.schedule_in_force import Given, Schedules, rule

OVER: Final = rule("over", 1, Basis.RECORDED)
"""Its time is over for what a dock has recorded in March 2026, and in a month for everything else."""
LATER: Final = rule("later", 600, Basis.RECEIVED)
FOR_EVER: Final = rule("for-ever", None, Basis.RECEIVED)
CASE_FILE: Final = rule("case-file", 600, Basis.CASE_CLOSED)
"""Its clock has not begun for what is filed under no case, or under one that is open."""


def plan(home: ArchiveHome, *object_ids: UUID, by: tuple[Rule, ...] = (OVER,)) -> None:
    """Plan objects by these rules alone."""
    RetentionPlanner(home.database, home.clock, Schedules(Given(by))).plan_now(object_ids)
