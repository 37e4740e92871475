"""The report on an archive and its two verdicts, as `liuhen verify` has them: unaltered, and complete.

*Unaltered*: what is there is what was logged, byte for byte. *Complete*: nothing that was logged is gone, nothing is
there that was not logged, up to the newest checkpoint that counts. Where the log itself cannot be believed, nothing
establishes that anything is complete.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from archive.fsck.keys import Pinned
from archive.fsck.notes import as_time
from archive.fsck.standing import Standing
from archive.kernel.findings import Outcome, Report, worst

_LACKING: Final = {
    "fsck.cosignature_lost", "fsck.detail_missing", "fsck.entry_count", "fsck.entry_lost", "fsck.job_lost",
    "fsck.journal_detail_missing", "fsck.journal_gap", "fsck.journal_missing", "fsck.link", "fsck.object_missing",
    "fsck.quorum_missing", "fsck.row_missing", "fsck.staged_bytes_lost", "fsck.unclaimed_object", "fsck.unlogged",
    "fsck.upload_lost", "fsck.upload_unlogged",
}  # fmt: skip
"""What speaks against completeness only."""
_BOTH: Final = {
    "fsck.checkpoint", "fsck.checkpoint_not_prefix", "fsck.checkpoint_of_other_log", "fsck.checkpoint_unsigned",
    "fsck.content_missing", "fsck.log_gap", "fsck.manifest_missing", "fsck.published",
}  # fmt: skip
"""What speaks against both."""
_GROUND: Final = {
    "fsck.check_broken", "fsck.checkpoint_fork", "fsck.checkpoint_note", "fsck.checkpoint_root",
    "fsck.checkpoint_signature", "fsck.entry_malformed", "fsck.log_node",
}  # fmt: skip
"""What the statement that anything is complete rests on."""
_SIGNERS: Final = {"fsck.check_broken", "fsck.checkpoint_signature", "fsck.root_unpinned", "fsck.signature"}

CODES: Final = frozenset(_LACKING | _BOTH | _GROUND | _SIGNERS)
"""Every code that is named here."""


@dataclass(frozen=True, slots=True)
class ArchiveReport(Report):
    """What `fsck` found, by whose keys, and up to where."""

    pinned: Pinned = field(default_factory=Pinned)
    standing: Standing = field(default_factory=Standing)

    @property
    def outcomes(self) -> tuple[Outcome, Outcome]:
        """The two verdicts: unaltered, complete."""
        lacking = [each.outcome for each in self.findings if each.code in _LACKING | _BOTH]
        ground = [each.outcome for each in self.findings if each.code in _GROUND]
        is_firm = self.standing.size is not None and all(outcome is Outcome.VALID for outcome in ground)
        complete = worst([Outcome.VALID if is_firm else Outcome.INDETERMINATE, *lacking])
        return worst(each.outcome for each in self.findings if each.code not in _LACKING), complete

    @property
    def is_signer_established(self) -> bool:
        """Whether keys from outside have signed everything that is signed. Keys of the home never establish that."""
        if not self.pinned.is_from_outside or not self.pinned.logs or not self.pinned.roots:
            return False
        signers = [each for each in self.findings if each.code in _SIGNERS or each.code.startswith("signature.")]
        return all(each.outcome is Outcome.VALID for each in signers)

    @property
    def up_to(self) -> tuple[int | None, str | None]:
        """Size and time of the checkpoint that the verdict `complete` goes up to.

        Where a quorum of witnesses is asked for: the newest that it has cosigned. Else the newest of the log.
        """
        if self.standing.witnessed is not None:
            return self.standing.witnessed.size, self.standing.witnessed.time
        return self.standing.size, self.standing.time

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form of docs/guide/auditor.md."""
        unaltered, complete = self.outcomes
        (size, time), witnessed = self.up_to, self.standing.witnessed
        return {
            "outcome": self.outcome.value,
            "unaltered": unaltered.value,
            "complete": complete.value,
            "up_to": {"size": size, "time": time},
            "log": {"origin": self.standing.origin, "size": self.standing.size, "time": self.standing.time},
            "keys": {"from": self._whose, "signer": self._signer},
            "witnessed_by": {} if witnessed is None else {name: as_time(at) for name, at in witnessed.by.items()},
            "held": sorted(self.standing.held),
            "findings": [each.as_json() for each in self.findings],
        }

    def summary(self) -> Sequence[str]:
        """Return the lines that stand below the findings."""
        unaltered, complete = self.outcomes
        (size, time), witnessed = self.up_to, self.standing.witnessed
        until = "" if size is None else f" up to entry {size}, {time or 'without a time'}"
        by = "nobody whose key is pinned" if witnessed is None else ", ".join(sorted(witnessed.by))
        more = "" if size == self.standing.size else f"; the log goes on to entry {self.standing.size}"
        held = [f"goes on from the {size} entries that were given" for size in sorted(self.standing.held)]
        return [
            f"keys: from {self._whose}, signer {self._signer}",
            f"unaltered: {unaltered.value}",
            f"complete{until}: {complete.value}",
            f"witnessed by: {by}{more}",
            *held,
        ]

    @property
    def _whose(self) -> str:
        return "outside" if self.pinned.is_from_outside else "this home"

    @property
    def _signer(self) -> str:
        return "established" if self.is_signer_established else "not established"
