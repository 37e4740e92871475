"""The door before the seal: what has a say in whether a record may be sealed is asked here. No guard means allowed."""

from typing import Protocol

from sqlalchemy.orm import Session

from archive.kernel.ids import CaseId, DraftId


class SealGuard(Protocol):
    """Asked before each seal, in the transaction that would seal."""

    def require_may_seal(self, tx: Session, draft_id: DraftId, *, case_id: CaseId, template: str) -> None:
        """Let a seal pass, or raise why not: an error of its own with a stable code."""
        ...
