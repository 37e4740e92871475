"""What keeps a thing beyond its schedule, as its own page shows it: retention marks and holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.cases.models import Case
from archive.kernel.ids import CaseId, ObjectId
from retention.holding.hold_listings import HoldsOn, holds_on_case, holds_on_object
from retention.holding.marks import Marked, marks_by_cases, standing_marks
from retention.holding.models import RetentionMark
from retention.holding.terms import MarkedKind
from retention.schedules.terms import Mark


@dataclass(frozen=True, slots=True)
class Keeping:
    """Marks that stand on a thing, those that stand on a case of it, and the holds that cover it."""

    kind: str
    id: UUID
    marks: Sequence[RetentionMark]
    by_cases: Sequence[tuple[Case, RetentionMark]]
    holds: HoldsOn

    @property
    def is_held(self) -> bool:
        """Whether any hold covers it, seen or not."""
        return bool(self.holds.holds) or self.holds.hidden > 0


def keeping_of_object(tx: Session, object_id: ObjectId) -> Mapping[str, Any]:
    """Return what the box on the page of an item or a text record shows."""
    found = marks_by_cases(tx, object_id)
    cases = {case.id: case for case in tx.scalars(select(Case).where(Case.id.in_({case_id for case_id, _ in found})))}
    by_cases = [(cases[case_id], mark) for case_id, mark in found if case_id in cases]
    marks = standing_marks(tx, Marked(MarkedKind.OBJECT, object_id))
    kept = Keeping("object", object_id, marks, by_cases, holds_on_object(tx, object_id))
    return {"keeping": kept, "mark_choices": list(Mark)}


def keeping_of_case(tx: Session, case_id: CaseId) -> Mapping[str, Any]:
    """Return what the box on the page of a case shows."""
    marks = standing_marks(tx, Marked(MarkedKind.CASE, case_id))
    return {"keeping": Keeping("case", case_id, marks, (), holds_on_case(tx, case_id)), "mark_choices": list(Mark)}
