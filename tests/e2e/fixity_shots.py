"""Pictures of fixity rounds: how far they are, what is damaged, the report of a month."""

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot
from tests.support.seed import Bureau
from tests.support.seed_fixity import read_everything


def _rounds_address(bureau: Bureau) -> str:
    read_everything(bureau)
    return "/fixity?which=all"


_rounds = Place("/fixity", _rounds_address)
_report = Place("/fixity/reports/{month}", lambda bureau: f"/fixity/reports/{read_everything(bureau)}")

FIXITY_SHOTS = (
    Shot("fixity", Role.RECORDS_MANAGER, _rounds),
    Shot("fixity-390", Role.OPERATOR, _rounds, width=390, languages=("zh",)),
    Shot("fixity-report", Role.AUDITOR, _report),
)
