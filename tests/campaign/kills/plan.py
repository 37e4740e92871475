"""Which deaths are tried: for each phase its steps, and a mixture of deliberate and random moments."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.campaign.kills.service import ROLES, SUPERVISOR

PHASES: Final = (
    "chunk",
    "finish",
    "commit",
    "sequencing",
    "journal",
    "publication",
    "anchoring",
    "job",
    "rendition",
)
"""The phases that have to be hit. `essence` is recorded beside them."""
ROLE_OF: Final = {
    "chunk": "web",
    "finish": "web",
    "commit": "web",
    "sequencing": "sequencer",
    "journal": "sequencer",
    "publication": "sequencer",
    "anchoring": "sequencer",
    "job": "worker",
    "rendition": "worker",
    "essence": "worker",
}
MEANING: Final = {
    "chunk": "a request's bytes are being received, written, made durable",
    "finish": "the last byte is durable, the OCFL object is being written, the transaction has not begun",
    "commit": "from the first row of the item to the end of its transaction and the removal of the staged name",
    "sequencing": "the sequencer's transaction: entries have their places, the checkpoint is being signed",
    "journal": "the round's segment of the journal is being made durable, its checkpoint is not committed yet",
    "publication": "the sequencer has committed a checkpoint and not published it yet",
    "anchoring": "a checkpoint is being stamped, and the stamp written and chained",
    "job": "a media job is claimed, its rendition not begun",
    "rendition": "ffmpeg runs, or its result is stored and written down",
    "essence": "the proof that rendition and original hold the same packets is being made",
}
WHOLE_SERVICE: Final = "all"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a phase. Units: seconds. `most_skip`: how often it may pass unhurt before."""

    point: str
    most_skip: int = 0
    most_delay_s: float = 0.0


STEPS: Final[dict[str, tuple[Step, ...]]] = {
    "chunk": (
        Step("chunk.write_all", 8),
        Step("chunk.write_all", 8, 0.02),
        Step("chunk.sync", 4),
        Step("chunk.record_offset", 4),
        Step("chunk.record_offset", 4, 0.004),
    ),
    "finish": (
        Step("finish.begun", 1),
        Step("finish.committing", 1, 0.002),
        Step("finish.committed", 1),
        Step("finish.link", 9),
        Step("finish.fsync", 40),
        Step("finish.fsync", 40, 0.002),
    ),
    "commit": (
        Step("commit.begun", 1),
        Step("commit.committing", 1),
        Step("commit.committing", 1, 0.004),
        Step("commit.committed", 1),
        Step("commit.unlink", 1),
    ),
    "sequencing": (Step("sequencing.begun", 2), Step("sequencing.begun", 2, 0.004)),
    "journal": (
        Step("journal.begun", 2),
        Step("journal.fsync", 4),
        Step("journal.committing", 2),
        Step("journal.committing", 2, 0.003),
    ),
    "publication": (
        Step("publication.begun", 3),
        Step("publication.begun", 3, 0.002),
        Step("publication.fsync", 3),
        Step("publication.replace", 2),
    ),
    "anchoring": (Step("anchoring.begun"), Step("anchoring.begun", 0, 0.004), Step("anchoring.fsync", 5)),
    "job": (
        Step("job.begun", 2),
        Step("job.begun", 2, 0.05),
        Step("job.probe", 1, 0.05),
        Step("job.program", 2, 0.02),
    ),
    "rendition": (
        Step("rendition.begun", 2),
        Step("rendition.program", 2, 0.08),
        Step("rendition.store", 2),
        Step("rendition.link", 1),
        Step("rendition.committing", 1, 0.004),
        Step("rendition.committed", 1),
    ),
    "essence": (Step("essence.program", 1, 0.05),),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One round: who is to die, and where; without a step at a random moment."""

    victim: str
    phase: str = ""
    step: Step | None = None
    skip: int = 0
    delay_s: float = 0.0


def plans(rounds: int, *, chance: random.Random) -> list[Plan]:
    """Return the rounds in random order: every phase as often as the others, and the rest at random moments."""
    each = max(1, rounds * 7 // 10 // len(PHASES))
    made = [deliberate(phase, chance=chance) for phase in PHASES for _ in range(each)]
    rest = rounds - len(made)
    others = iter(_others(chance))
    made += [next(others) for _ in range(rest)]
    chance.shuffle(made)
    return made[:rounds]


def deliberate(phase: str, *, chance: random.Random) -> Plan:
    """Return a death in one phase: mostly of the process that is in it, sometimes of the whole service."""
    step = chance.choice(STEPS[phase])
    victim = ROLE_OF[phase] if chance.random() < 0.8 else WHOLE_SERVICE
    return Plan(
        victim,
        phase,
        step,
        skip=chance.randint(0, step.most_skip),
        delay_s=chance.uniform(0, step.most_delay_s) if step.most_delay_s else 0.0,
    )


def _others(chance: random.Random) -> Iterator[Plan]:
    while True:
        yield Plan(SUPERVISOR)
        yield from (Plan(role) for role in ROLES)
        yield deliberate("essence", chance=chance)
        yield Plan(WHOLE_SERVICE)
