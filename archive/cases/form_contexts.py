"""What the check of a form has to know beside it: the day, the officers that it names, and the days of its case."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.cases.models import Act
from archive.cases.terms import Stage
from archive.documents.drafts import values_of
from archive.documents.form_context import FormContext, OfficerStanding
from archive.documents.models import Draft
from archive.kernel.ids import CaseId
from archive.organisation.models import Officer
from archive.ports.clock import Clock

_FIRST: Final = {"filed_on": Stage.FILING, "seized_on": Stage.SEIZURE, "preserved_on": Stage.PRESERVATION}
_LAST: Final = {"notified_on": Stage.NOTICE, "decided_on": Stage.DECISION, "served_on": Stage.SERVICE}


@dataclass(frozen=True, slots=True)
class FormContexts:
    """Finds the context of a draft in the register of officers and in the acts of its case."""

    clock: Clock

    def __call__(self, tx: Session, row: Draft) -> FormContext:
        """Return what is known around a draft now. Days that the case does not know are left out."""
        return FormContext(
            today=local_day(self.clock.now()),
            officers=_officers(tx, sorted(set(_numbers_in(values_of(row))))),
            case_days=case_days(tx, CaseId(row.case_id)),
        )


def _numbers_in(value: Any) -> Iterator[str]:
    """Yield the numbers of enforcement certificates that values name."""
    match value:
        case Mapping():
            number = value.get("certificate_number")
            if isinstance(number, str):
                yield number
            for part in value.values():
                yield from _numbers_in(part)
        case list():
            for part in value:
                yield from _numbers_in(part)


def _officers(tx: Session, numbers: Sequence[str]) -> Mapping[str, OfficerStanding]:
    found = tx.scalars(select(Officer).where(Officer.certificate_number.in_(numbers)))
    return {
        row.certificate_number: OfficerStanding(
            row.name,
            row.valid_from,
            row.valid_until,
            None if row.suspended_at is None else local_day(row.suspended_at),
        )
        for row in found
    }


def case_days(tx: Session, case_id: CaseId) -> Mapping[str, date]:
    """Return the days that the acts of a case tell, by the names of `template_parts.CaseDay`."""
    acts = tx.execute(
        select(Act.stage, func.min(Act.started_at), func.max(Act.started_at))
        .where(Act.case_id == case_id)
        .group_by(Act.stage)
    ).all()
    first = {stage: at for stage, at, _ in acts}
    last = {stage: at for stage, _, at in acts}
    known = {name: first.get(stage.value) for name, stage in _FIRST.items()}
    known |= {name: last.get(stage.value) for name, stage in _LAST.items()}
    return {name: local_day(at) for name, at in known.items() if at is not None}
