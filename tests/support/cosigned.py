"""An archive whose checkpoints real witnesses cosign by file, as where they have no network: no process, no port."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.kernel.clock import SystemClock
from archive.ledger.cosigning import cosigned, import_cosigned, request_for
from archive.ledger.witness import Witness, create_witness
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home


@dataclass(frozen=True, slots=True)
class CosignedHome:
    """The archive, and its witnesses `w1`, `w2`, … that a policy names."""

    home: ArchiveHome
    witnesses: Sequence[Witness]

    def cosign(self, *numbers: int) -> bytes:
        """Have witnesses (all, or those numbered from 1) cosign the newest checkpoint; return it as it is published."""
        home = self.home
        for number in numbers or range(1, len(self.witnesses) + 1):
            with home.database.read() as tx:
                asked = request_for(tx, home.services.policy, name=f"w{number}")
            answer = cosigned(asked.note.to_bytes(), self.witnesses[number - 1].cosign(asked))
            with home.database.begin() as tx:
                import_cosigned(
                    tx, answer, logs=home.services.trust.logs, policy=home.services.policy, at=home.clock.now()
                )
        home.services.sequencer.republish()
        return (home.path / "log" / "checkpoint").read_bytes()


def policy_of(witnesses: Sequence[Witness], threshold: int) -> str:
    """The lines of a policy that asks for so many of the witnesses."""
    names = [f"w{number}" for number in range(1, len(witnesses) + 1)]
    lines = [f"witness {name} {witness.keys[0]}" for name, witness in zip(names, witnesses, strict=True)]
    return "\n".join([*lines, f"group all {threshold} {' '.join(names)}", "quorum all", ""])


def cosigned_home(
    base: Path, database_url: str, clock: SteppedClock, *, count: int = 2, threshold: int = 1, **given: Any
) -> CosignedHome:
    """Make an archive with so many witnesses, of which its policy asks for some."""
    witnesses = [
        create_witness(base / f"w{number}", name=f"witness.example/w{number}", clock=SystemClock())
        for number in range(1, count + 1)
    ]
    policy = base / "policy.txt"
    policy.write_text(policy_of(witnesses, threshold))
    home = make_home(base, database_url, clock, witness_policy=policy, **given)
    for witness in witnesses:
        for key in home.services.trust.logs:
            witness.store.add_log(key)
    return CosignedHome(home, witnesses)
