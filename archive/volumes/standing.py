"""Where the case file of a case stands: its volumes as they would be closed now, what stops it, what is closed."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.cases.filing import require_case
from archive.cases.models import Case, CaseLink
from archive.cases.sealing import SealMissing, seal_of
from archive.custody.models import PreservedObject
from archive.db.sight import unbound
from archive.documents.drafts import DraftState
from archive.documents.issuing import agency_of_unit
from archive.documents.models import Draft
from archive.kernel.errors import Conflict, LiuhenError, NotFound
from archive.kernel.ids import CaseId, VolumeId
from archive.kernel.instants import Instant
from archive.organisation.models import Agency
from archive.ports.volumes import CloseGuard
from archive.volumes.arranging import Arranged, arrange
from archive.volumes.index import VolumeEmpty
from archive.volumes.models import Volume, VolumeClosing
from archive.volumes.papers import FiledPaper, filed_papers
from archive.volumes.rules import VolumeKind, VolumeRules
from archive.volumes.terms import VolumeState

_WORKED_ON = (DraftState.WRITING.value, DraftState.SET.value)


class VolumeNotFound(NotFound):
    """There is no such volume, or it is not yours to see."""

    code = "volumes.not_found"


class CaseStillOpen(Conflict):
    """The case is not closed yet: write down the day on which it was (结案), then close its volumes."""

    code = "volumes.case_still_open"


class DraftsUnfinished(Conflict):
    """Text records of the case are not finished: sign and file them, or give them up."""

    code = "volumes.drafts_unfinished"


class PagesUnknown(Conflict):
    """Nobody knows yet how many pages some papers have; they are counted by the worker, or cannot be read."""

    code = "volumes.pages_unknown"


class VolumeNotOpened(Conflict):
    """A volume of this kind is closed; what came after it goes into the next one, which is opened with a reason."""

    code = "volumes.not_opened"


@dataclass(frozen=True, slots=True)
class Standing:
    """A volume as it would be closed now, and those of its kind that are closed.

    `obstacles` are the errors that closing it would raise. `row` is that of a volume opened after another one;
    `is_new`: there is none, and papers have come after the last one was closed.
    """

    arranged: Arranged
    sequence: int
    row: Volume | None
    is_new: bool
    closing: VolumeClosing | None
    closed: Sequence[Volume]
    obstacles: Sequence[LiuhenError]

    @property
    def kind(self) -> VolumeKind:
        """Main or sub volume."""
        return self.arranged.kind


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The case file of a case: both volumes, the facts of the papers in them, and when it has to be filed.

    All papers are in it, since they have their numbers and pages whoever looks; `hidden` are those that the
    transaction's sight does not reach, of which nothing more is shown.
    """

    case: Case
    agency: Agency
    papers: Mapping[UUID, FiledPaper]
    volumes: Mapping[VolumeKind, Standing]
    file_by: date | None
    hidden: AbstractSet[UUID] = frozenset()

    @property
    def closed(self) -> Sequence[Volume]:
        """All volumes that are closed, in their order."""
        return [row for standing in self.volumes.values() for row in standing.closed]


def case_file(
    tx: Session, rules: VolumeRules, case_id: CaseId, *, guards: Sequence[CloseGuard] = (), at: Instant
) -> CaseFile:
    """Return the case file of a case. Raises: CaseNotFound, AgencyNotFound."""
    case = require_case(tx, case_id)
    linked = select(CaseLink.object_id).where(CaseLink.case_id == case_id)
    seen = set(tx.scalars(select(PreservedObject.id).where(PreservedObject.id.in_(linked))))
    with unbound(tx):
        file = _case_file(tx, rules, case, guards=guards, at=at)
        return replace(file, hidden=set(tx.scalars(linked)) - seen)


def _case_file(tx: Session, rules: VolumeRules, case: Case, *, guards: Sequence[CloseGuard], at: Instant) -> CaseFile:
    case_id = CaseId(case.id)
    agency = agency_of_unit(tx, case.unit_id)
    papers = filed_papers(tx, case_id, agency=agency.name)
    arranged = arrange((found.paper for found in papers.values()), rules)
    rows = volumes_of(tx, case_id)
    closings = {row.kind: row for row in tx.scalars(select(VolumeClosing).where(VolumeClosing.case_id == case_id))}
    unfinished = tx.scalar(
        select(func.count()).select_from(Draft).where(Draft.case_id == case_id, Draft.state.in_(_WORKED_ON))
    )
    standings = {}
    for kind in VolumeKind:
        of_kind = [row for row in rows if row.kind == kind.value]
        closed = [row for row in of_kind if row.state == VolumeState.CLOSED.value]
        row = next((row for row in of_kind if row.state == VolumeState.OPEN.value), None)
        is_new = row is None and bool(closed) and bool(arranged[kind].lines)
        obstacles = list(_obstacles(case, arranged[kind], unfinished=unfinished or 0, is_new=is_new))
        obstacles += [*_guarded(tx, guards, case_id, kind), *_unsealed(tx, agency, at)]
        standings[kind] = Standing(
            arranged[kind], len(closed) + 1, row, is_new, closings.get(kind.value), closed, obstacles
        )
    file_by = None if case.closed_at is None else rules.file_by(case.closed_at)
    return CaseFile(case, agency, papers, standings, file_by)


def volumes_of(tx: Session, case_id: CaseId) -> Sequence[Volume]:
    """Return the volumes of a case that have a row, by kind and sequence."""
    return tx.scalars(select(Volume).where(Volume.case_id == case_id).order_by(Volume.kind, Volume.sequence)).all()


def closed_volume(tx: Session, volume_id: VolumeId) -> Volume:
    """Return a volume that is closed. Raises: VolumeNotFound."""
    row = tx.scalar(select(Volume).where(Volume.id == volume_id, Volume.state == VolumeState.CLOSED.value))
    if row is None:
        raise VolumeNotFound(volume_id=volume_id)
    return row


def _obstacles(case: Case, arranged: Arranged, *, unfinished: int, is_new: bool) -> Iterator[LiuhenError]:
    if case.closed_at is None:
        yield CaseStillOpen()
    if unfinished:
        yield DraftsUnfinished(count=unfinished)
    if not arranged.lines:
        yield VolumeEmpty()
    if arranged.unpaged:
        yield PagesUnknown(count=len(arranged.unpaged))
    if is_new:
        yield VolumeNotOpened()


def _guarded(tx: Session, guards: Sequence[CloseGuard], case_id: CaseId, kind: VolumeKind) -> Iterator[LiuhenError]:
    for guard in guards:
        try:
            guard.require_may_close(tx, case_id, kind=kind.value)
        except LiuhenError as exc:
            yield exc


def _unsealed(tx: Session, agency: Agency, at: Instant) -> Iterator[LiuhenError]:
    try:
        seal_of(tx, agency, at=at)
    except SealMissing as exc:
        yield exc
