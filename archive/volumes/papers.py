"""What is filed under a case and bound in no volume yet, with all that a catalogue says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.cases.models import Act, CaseLink
from archive.cases.terms import RecordForm, Stage
from archive.custody.models import PreservedObject
from archive.documents.models import Draft, RecordScan, TextRecord
from archive.evidence.models import EvidenceItem
from archive.kernel.ids import CaseId
from archive.organisation.models import Officer
from archive.volumes.arranging import Paper
from archive.volumes.models import VolumePlace
from archive.volumes.rules import VolumeKind

RECORD: Final = "record"


@dataclass(frozen=True, slots=True)
class FiledPaper:
    """A paper with what its line says: whose it is, its number, its original, how long footage is, why it was moved.

    `kind` is `record`, or that of an evidence item. `is_made_here`: written, signed and set in this archive; of others
    `scan` is what was seen of their pages, once that was looked at.
    Units: milliseconds, bytes.
    """

    paper: Paper
    kind: str
    original: PreservedObject
    author: str
    number: str | None = None
    duration_ms: int | None = None
    is_made_here: bool = False
    moved_because: str | None = None
    scan: Mapping[str, Any] | None = None


def filed_papers(tx: Session, case_id: CaseId, *, agency: str) -> Mapping[UUID, FiledPaper]:
    """Return the papers of a case that no closed volume has, by object; records made here are the agency's."""
    places = _places(tx, case_id)
    return {**_records(tx, case_id, agency, places), **_items(tx, case_id, places)}


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Where somebody put a paper, and why."""

    volume: VolumeKind | None = None
    place: int | None = None
    reason: str | None = None


_Places = Mapping[UUID, _Chosen]
_NOWHERE: Final = _Chosen()


def _places(tx: Session, case_id: CaseId) -> _Places:
    rows = tx.execute(
        select(VolumePlace.object_id, VolumePlace.kind, VolumePlace.place, VolumePlace.reason)
        .where(VolumePlace.case_id == case_id)
        .order_by(VolumePlace.id)
    )
    return {
        object_id: _Chosen(None if kind is None else VolumeKind(kind), place, reason)
        for object_id, kind, place, reason in rows
    }


def _records(tx: Session, case_id: CaseId, agency: str, places: _Places) -> Mapping[UUID, FiledPaper]:
    rows = tx.execute(
        select(TextRecord, PreservedObject, Draft.number, Draft.id.is_not(None), RecordScan.found)
        .join(PreservedObject, PreservedObject.id == TextRecord.object_id)
        .join(CaseLink, CaseLink.object_id == TextRecord.object_id)
        .outerjoin(Draft, Draft.id == TextRecord.object_id)
        .outerjoin(RecordScan, RecordScan.object_id == TextRecord.object_id)
        .where(CaseLink.case_id == case_id, CaseLink.volume_id.is_(None), PreservedObject.destroyed_at.is_(None))
    )
    found = {}
    for record, original, number, is_here, scan in rows:
        chosen = places.get(record.object_id, _NOWHERE)
        form = RecordForm(record.form) if record.form in set(RecordForm) else RecordForm.OTHER
        paper = Paper(
            record.object_id,
            record.title,
            record.filed_at,
            form=form,
            pages=record.pages,
            volume=chosen.volume,
            place=chosen.place,
        )
        author = agency if is_here else ""
        found[record.object_id] = FiledPaper(
            paper,
            RECORD,
            original,
            author,
            number,
            is_made_here=is_here,
            moved_because=chosen.reason,
            scan=scan,
        )
    return found


def _items(tx: Session, case_id: CaseId, places: _Places) -> Mapping[UUID, FiledPaper]:
    rows: Sequence[Any] = tx.execute(
        select(EvidenceItem, PreservedObject, Act.stage, Officer.name)
        .join(PreservedObject, PreservedObject.id == EvidenceItem.object_id)
        .join(CaseLink, CaseLink.object_id == EvidenceItem.object_id)
        .outerjoin(Act, Act.id == CaseLink.act_id)
        .outerjoin(Officer, Officer.certificate_number == EvidenceItem.officer_number)
        .where(CaseLink.case_id == case_id, CaseLink.volume_id.is_(None), PreservedObject.destroyed_at.is_(None))
    ).all()
    found = {}
    for item, original, stage, officer in rows:
        chosen = places.get(item.object_id, _NOWHERE)
        paper = Paper(
            item.object_id,
            original.name,
            item.recorded_at or item.received_at,
            stage=Stage(stage) if stage in set(Stage) else None,
            volume=chosen.volume,
            place=chosen.place,
        )
        author = officer or item.device_serial or ""
        found[item.object_id] = FiledPaper(
            paper, item.kind, original, author, duration_ms=item.duration_ms, moved_because=chosen.reason
        )
    return found
