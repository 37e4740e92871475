"""The door before a volume is closed: what has a say in it is asked here. No guard means allowed."""

from typing import Protocol

from sqlalchemy.orm import Session

from archive.kernel.ids import CaseId


class CloseGuard(Protocol):
    """Asked before a volume of a case file is closed, in the transaction that begins it."""

    def require_may_close(self, tx: Session, case_id: CaseId, *, kind: str) -> None:
        """Let it pass, or raise why not: an error of its own with a stable code. `kind` is `main` or `sub`."""
        ...
