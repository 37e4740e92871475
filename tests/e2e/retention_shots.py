"""Pictures of retention: what is kept until when, what falls due, what it costs."""

from pathlib import Path

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot
from tests.support.seed import Bureau
from tests.support.seed_retention import plan_everything

_MADE: set[Path] = set()


def _place(route: str, address: str = "") -> Place:
    def made(bureau: Bureau) -> str:
        if bureau.services.settings.home not in _MADE:
            plan_everything(bureau)
            _MADE.add(bureau.services.settings.home)
        return address or route

    return Place(route, made)


_OVERVIEW, _DUE, _COSTS = _place("/retention"), _place("/retention/due"), _place("/retention/costs")
_WAITING = _place("/retention", "/retention?which=waiting")

RETENTION_SHOTS = [
    Shot("retention", Role.RECORDS_MANAGER, _OVERVIEW),
    Shot("retention-390", Role.RECORDS_MANAGER, _OVERVIEW, width=390, languages=("zh",)),
    Shot("retention-due", Role.RECORDS_MANAGER, _DUE),
    Shot("retention-due-390", Role.RECORDS_MANAGER, _DUE, width=390, languages=("zh",)),
    Shot("retention-waiting", Role.RECORDS_MANAGER, _WAITING),
    Shot("retention-costs", Role.RECORDS_MANAGER, _COSTS),
    Shot("retention-costs-390", Role.RECORDS_MANAGER, _COSTS, width=390, languages=("zh",)),
]
