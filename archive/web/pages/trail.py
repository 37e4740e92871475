"""The custody trail of an object as people read it, its place in the log, and the last check of its bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from archive.cases.listings import cases_of_events
from archive.cases.models import Case
from archive.custody.events import TrailRow, custody_trail
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import ARCHIVE, EntryType
from archive.ledger.models import LogCheckpoint
from archive.ledger.proofs import head
from archive.web.i18n import Catalogue
from archive.web.pages.people import actor_names
from retention.rounds.models import ORIGINALS
from retention.rounds.standing import CheckOfObject, checks_of

_PRESERVED: Final = {EntryType.OBJECT_PRESERVED.value, EntryType.RECORD_FILED.value}
_CHECKED: Final = {EntryType.FIXITY_OK.value, EntryType.FIXITY_FAIL.value}


@dataclass(frozen=True, slots=True)
class TrailLine:
    """One event with names instead of ids. `detail` is empty once it was erased."""

    row: TrailRow
    actor: str
    case: Case | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LastCheck:
    """The newest check of the bytes."""

    outcome: str
    at: Instant
    actor: str


@dataclass(frozen=True, slots=True)
class Trail:
    """What is known of an object's life. `preserved` is the event that made it part of the archive.

    `checks` are when rounds last re-read it, in each place; `archive` is what the archive itself is called, who did.
    """

    lines: Sequence[TrailLine]
    checkpoint: LogCheckpoint | None
    checks: Sequence[CheckOfObject]
    archive: str

    @property
    def is_settled(self) -> bool:
        """Whether every event has its place in the log."""
        return all(line.row.log_index is not None for line in self.lines)

    @property
    def preserved(self) -> TrailLine | None:
        """The event with which the object became part of the archive."""
        return next((line for line in self.lines if line.row.type in _PRESERVED), None)

    @property
    def last_check(self) -> LastCheck | None:
        """The newest check of the original, or None when its bytes were never read again."""
        told = (line for line in reversed(self.lines) if line.row.type in _CHECKED)
        line = next((line for line in told if line.detail.get("place_id", ORIGINALS) == ORIGINALS), None)
        found = next((check for check in self.checks if check.place_id == ORIGINALS), None)
        if found is not None and found.checked_at is not None and (line is None or found.checked_at > line.row.at):
            return LastCheck(str(found.outcome), found.checked_at, self.archive)
        if line is None:
            return None
        held = line.row.type == EntryType.FIXITY_OK.value
        # A check whose findings were erased said at least that it did not end as valid.
        outcome = "valid" if held else str(line.detail.get("outcome", "indeterminate"))
        return LastCheck(outcome, line.row.at, line.actor)


def object_trail(tx: Session, object_id: ObjectId, *, texts: Catalogue) -> Trail:
    """Return the trail of an object, oldest event first."""
    rows = custody_trail(tx, object_id)
    names = actor_names(tx, {ARCHIVE.id, *(row.actor_id for row in rows)}, texts=texts)
    cases = cases_of_events(tx, object_id)
    lines = [TrailLine(row, names[row.actor_id], cases.get(row.entry_id), row.detail or {}) for row in rows]
    return Trail(lines, head(tx), checks_of(tx, object_id), names[ARCHIVE.id])
