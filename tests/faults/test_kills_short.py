"""The campaign `kills` in short: one death in each phase, on the real service. The long one: `./dev campaign kills`."""

import random

import pytest

from tests.campaign.kills.campaign import Load, run
from tests.campaign.kills.plan import PHASES, ROLE_OF, STEPS, Plan


@pytest.mark.long("a minute and a half; the long one is a campaign")
def test_nothing_acknowledged_is_lost_by_a_death_in_any_phase() -> None:
    chance = random.Random(20260302)
    # The first step of a phase without delay: a test has to die where it says.
    rounds = [Plan(ROLE_OF[phase], phase, STEPS[phase][0]) for phase in PHASES]
    chance.shuffle(rounds)
    result = run(rounds, database="sqlite", chance=chance, load=Load(docks=2, most_each=1), least=0)
    assert result.wrong == []
    assert {phase: result.hits(phase) for phase in PHASES if result.hits(phase) == 0} == {}
    assert any(found.receipt for found in result.ledger.deliveries)
