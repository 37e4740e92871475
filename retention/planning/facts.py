"""What schedules ask about objects, found in a few queries whatever their number."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.cases.models import Act, Case, CaseLink
from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem
from archive.volumes.models import Volume
from retention.holding.models import RetentionMark
from retention.schedules.algebra import Facts
from retention.schedules.terms import Mark


def facts_of(tx: Session, object_ids: Sequence[UUID]) -> Mapping[UUID, Facts]:
    """Return what is known of each of these objects; one that is not there has no facts."""
    cases: dict[UUID, dict[UUID, Any]] = defaultdict(dict)
    stages: dict[UUID, set[str]] = defaultdict(set)
    for row in tx.execute(
        select(CaseLink.object_id, Case.id, Case.category, Case.closed_at, Act.stage)
        .join(Case, Case.id == CaseLink.case_id)
        .outerjoin(Act, Act.id == CaseLink.act_id)
        .where(CaseLink.object_id.in_(object_ids))
    ):
        cases[row.object_id][row.id] = row
        stages[row.object_id] |= set() if row.stage is None else {row.stage}
    for row in tx.execute(
        select(Volume.object_id, Case.id, Case.category, Case.closed_at)
        .join(Case, Case.id == Volume.case_id)
        .where(Volume.object_id.in_(object_ids))
    ):
        cases[row.object_id][row.id] = row
    referred = {*object_ids, *(case_id for of_object in cases.values() for case_id in of_object)}
    marks: dict[UUID, set[Mark]] = defaultdict(set)
    for ref_id, mark in tx.execute(
        select(RetentionMark.ref_id, RetentionMark.mark).where(
            RetentionMark.ref_id.in_(referred), RetentionMark.removed_at.is_(None)
        )
    ):
        marks[ref_id].add(Mark(mark))
    rows = tx.execute(
        select(
            PreservedObject.id,
            PreservedObject.kind,
            PreservedObject.preserved_at,
            EvidenceItem.kind.label("content"),
            EvidenceItem.received_at,
            EvidenceItem.recorded_at,
        )
        .outerjoin(EvidenceItem, EvidenceItem.object_id == PreservedObject.id)
        .where(PreservedObject.id.in_(object_ids))
    )
    return {
        row.id: Facts(
            kind=row.content or row.kind,
            received_at=row.received_at or row.preserved_at,
            recorded_at=row.recorded_at,
            marks=frozenset(marks[row.id].union(*(marks[case_id] for case_id in cases[row.id]))),
            categories=frozenset(case.category for case in cases[row.id].values()),
            stages=frozenset(stages[row.id]),
            closings=tuple(case.closed_at for case in cases[row.id].values()),
        )
        for row in rows
    }
