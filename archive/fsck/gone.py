"""What was destroyed, and what is being destroyed, by what the log tells of it."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from archive.fsck.raw import entries
from archive.kernel.findings import Finding, Outcome

_BEGUN, _LEFT, _DONE = "disposal.begun", "disposal.withdrawn", "disposal.done"


@dataclass(frozen=True, slots=True)
class Gone:
    """Ids of objects: `done` were destroyed, `begun` are being destroyed, or broke off at it and are gone on with."""

    done: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()

    def has(self, object_id: str) -> bool:
        """Whether nothing can be said of what a store holds of an object, because it goes or went."""
        return object_id in self.done or object_id in self.begun

    def softened(self, found: Finding) -> Finding:
        """Return a fault of an object that is being destroyed as what it is: not known before that has ended."""
        of_begun = any(f"%3a{object_id}" in found.where for object_id in self.begun)
        return replace(found, outcome=Outcome.INDETERMINATE) if found.outcome is Outcome.INVALID and of_begun else found


def read_gone(connection: Connection) -> Gone:
    """Read the log for what was destroyed."""
    newest: dict[str, tuple[str, str]] = {}
    for entry in entries(connection, {_BEGUN, _LEFT, _DONE}):
        object_id = str(entry.told("obj", "id"))
        newest[object_id] = max(newest.get(object_id, ("", "")), (entry.id, entry.type))
    return Gone(
        done=frozenset(object_id for object_id, (_, kind) in newest.items() if kind == _DONE),
        begun=frozenset(object_id for object_id, (_, kind) in newest.items() if kind == _BEGUN),
    )
