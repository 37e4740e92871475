"""Which tests a deployment leaves out, each with the reason why: what is left out without one is an error.

    @pytest.mark.files("...")     about folders themselves: left out where archives are in buckets
    @pytest.mark.sqlite("...")    about SQLite itself: left out where the test would be on PostgreSQL
    @pytest.mark.postgres("...")  the other way round
    @pytest.mark.local("...")     about a server without a broker: left out where there is one

A test that asks for PostgreSQL itself is left out where the run is on SQLite alone.
"""

from typing import Final

import pytest

from tests.support import deployment

REASON: Final = pytest.StashKey[str]()
_ON_POSTGRES: Final = {"postgres_url", "postgres_server", "postgres_template"}


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out of the run what the deployment has no place for, and say so to pytest."""
    left_out = []
    for item in items:
        if reason := reason_against(item):
            item.stash[REASON] = reason
            left_out.append(item)
    if left_out:
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=left_out)


def reason_against(item: pytest.Item) -> str | None:
    """Return why this test has no place on the deployment, None where it has."""
    call = getattr(item, "callspec", None)
    database = ({} if call is None else call.params).get("database_url", deployment.databases()[0])
    applies = {
        "files": deployment.is_in_buckets(),
        "sqlite": database != "sqlite",
        "postgres": database != "postgres",
        "local": deployment.is_brokered(),
    }
    for name, is_so in applies.items():
        if is_so and (mark := item.get_closest_marker(name)) is not None:
            return _reason(item, mark)
    if deployment.databases() == ("sqlite",) and _ON_POSTGRES & set(getattr(item, "fixturenames", ())):
        return "asks for PostgreSQL itself"
    return None


def _reason(item: pytest.Item, mark: pytest.Mark) -> str:
    if len(mark.args) != 1 or not isinstance(mark.args[0], str):
        raise pytest.UsageError(f"{item.nodeid}: the mark {mark.name} says why, in one string")
    return mark.args[0]
