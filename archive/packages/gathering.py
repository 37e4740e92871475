"""What belongs into the package of a case: its rows, its objects, and every entry of the log about them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid, column, select, table
from sqlalchemy.orm import Session

from archive.cases.models import Act, Case, CaseLink, Subject
from archive.custody.models import CustodyEvent, PreservedObject
from archive.documents.models import TextRecord
from archive.evidence.models import EvidenceItem, Rendition
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import Unavailable
from archive.kernel.ids import CaseId
from archive.ledger.cosigning import settled_head
from archive.ledger.models import LogCheckpoint, LogDetail, LogEntry, LogLeaf
from archive.ledger.policy import NO_WITNESSES, WitnessPolicy
from archive.ledger.proof import TlogProof
from archive.ledger.proofs import NodeTable
from archive.ledger.tree import inclusion_proof

_ABOUT: Final = re.compile(rb'"(?:case|obj)":(?:\{"id":)?"([0-9a-f-]{36})"')
"""The ids that a canonical entry is about; a quote within a string is escaped, so this matches fields only."""
_SIZED_BY: Final = {"item": "object.preserved", "record": "record.filed"}


class NotCoveredYet(Unavailable):
    """No checkpoint covers all entries of this case yet: the sequencer must run (`liuhen serve`); try again."""

    code = "package.not_covered_yet"


@dataclass(frozen=True, slots=True)
class GatheredEntry:
    """An entry with its proof, and what opens its commitment unless that was erased."""

    index: int
    entry_id: UUID
    body: bytes
    fields: Mapping[str, Any]
    proof: TlogProof
    detail: bytes | None
    salt: bytes | None


@dataclass(frozen=True, slots=True)
class GatheredObject:
    """An object of the case. `entries` are the indices of all entries about it."""

    row: PreservedObject
    item: EvidenceItem | None
    record: TextRecord | None
    act_id: UUID | None
    method: str
    renditions: Sequence[Rendition]
    entries: Sequence[int]


@dataclass(frozen=True, slots=True)
class GatheredTombstone:
    """An object of the case that was destroyed, or is being: what it was, and the indices of all entries about it."""

    row: PreservedObject
    entries: Sequence[int]


@dataclass(frozen=True, slots=True)
class GatheredCase:
    """Everything that is known of a case, as of one checkpoint; `note` is that, signed and cosigned."""

    case: Case
    subject: Subject
    acts: Sequence[Act]
    objects: Sequence[GatheredObject]
    destroyed: Sequence[GatheredTombstone]
    entries: Sequence[GatheredEntry]
    checkpoint: LogCheckpoint
    note: bytes

    def entries_of(self, gathered: GatheredObject) -> Sequence[GatheredEntry]:
        """Return the entries about one object, in the order of the log."""
        wanted = set(gathered.entries)
        return [entry for entry in self.entries if entry.index in wanted]


def gather_case(tx: Session, case_id: CaseId, *, policy: WitnessPolicy = NO_WITNESSES) -> GatheredCase:
    """Read a case as of the newest checkpoint that the policy lets count; reads the whole log once, in bounded memory.

    Raises: NotCoveredYet when there is none, or it does not cover the intake of one of the case's objects.
    """
    settled = settled_head(tx, policy=policy)
    if settled is None:
        raise NotCoveredYet
    checkpoint, note = settled
    case = tx.get_one(Case, case_id)
    links = dict(tx.execute(select(CaseLink.object_id, CaseLink.act_id).where(CaseLink.case_id == case_id)).all())
    by_id = _entries_about(tx, case_id, set(links), checkpoint.size)
    rows = tx.scalars(
        select(PreservedObject)
        .join(CaseLink, CaseLink.object_id == PreservedObject.id)
        .where(CaseLink.case_id == case_id)
        .order_by(PreservedObject.preserved_at, PreservedObject.id)
    ).all()
    objects = [
        _object(tx, row, links[row.id], sorted(by_id.get(row.id, ()))) for row in rows if row.destroyed_at is None
    ]
    destroyed = [GatheredTombstone(row, sorted(by_id.get(row.id, ()))) for row in rows if row.destroyed_at is not None]
    entries = [_entry(tx, index, checkpoint.size, note) for index in sorted(set().union(*by_id.values()))]
    types = {entry.index: entry.fields["type"] for entry in entries}
    for found in objects:
        if _SIZED_BY[found.row.kind] not in {types[index] for index in found.entries}:
            raise NotCoveredYet(object_id=str(found.row.id))
    acts = tx.scalars(select(Act).where(Act.case_id == case_id).order_by(Act.started_at, Act.id)).all()
    subject = tx.get_one(Subject, case.subject_id)
    return GatheredCase(case, subject, acts, objects, destroyed, entries, checkpoint, note)


def _entries_about(tx: Session, case_id: UUID, object_ids: set[UUID], size: int) -> dict[UUID, set[int]]:
    """Return the indices of the entries below `size` by the id that they are about."""
    found: dict[UUID, set[int]] = {case_id: set()}
    wanted = {str(known).encode(): known for known in (case_id, *object_ids)}
    log = select(LogLeaf.index, LogEntry.body).join(LogEntry, LogEntry.id == LogLeaf.entry_id)
    for index, body in tx.execute(log.where(LogLeaf.index < size).execution_options(yield_per=1000)):
        for told in _ABOUT.findall(body):
            if told in wanted:
                found.setdefault(wanted[told], set()).add(index)
    # An entry about a rendition names the original only in its detail; the custody event knows.
    events = (
        select(CustodyEvent.object_id, LogLeaf.index)
        .join(LogLeaf, LogLeaf.entry_id == CustodyEvent.entry_id)
        .join(CaseLink, CaseLink.object_id == CustodyEvent.object_id)
        .where(CaseLink.case_id == case_id, LogLeaf.index < size)
    )
    for object_id, index in tx.execute(events):
        found.setdefault(object_id, set()).add(index)
    return found


def _entry(tx: Session, index: int, size: int, note: bytes) -> GatheredEntry:
    row = tx.execute(
        select(LogLeaf.entry_id, LogEntry.body, LogDetail.detail, LogDetail.salt)
        .join(LogEntry, LogEntry.id == LogLeaf.entry_id)
        .outerjoin(LogDetail, LogDetail.entry_id == LogLeaf.entry_id)
        .where(LogLeaf.index == index)
    ).one()
    hashes = inclusion_proof(index, size, reader=NodeTable(tx))
    return GatheredEntry(
        index=index,
        entry_id=row.entry_id,
        body=row.body,
        fields=parse_canonical(row.body),
        proof=TlogProof.of(index=index, hashes=hashes, note=note),
        detail=row.detail,
        salt=row.salt,
    )


_DOCK: Final = table("dock", column("id", Uuid()), column("kind"))  # the table belongs to intake, which stands above


def _object(tx: Session, row: PreservedObject, act_id: UUID | None, entries: Sequence[int]) -> GatheredObject:
    item = tx.get(EvidenceItem, row.id)
    kind = None if item is None else tx.scalar(select(_DOCK.c.kind).where(_DOCK.c.id == item.dock_id))
    return GatheredObject(
        row=row,
        item=item,
        record=tx.get(TextRecord, row.id),
        act_id=act_id,
        method="filed" if item is None else str(kind or "station"),
        renditions=tx.scalars(select(Rendition).where(Rendition.object_id == row.id).order_by(Rendition.kind)).all(),
        entries=entries,
    )
