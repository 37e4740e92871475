"""Writing a closed volume down: its rows, its log entry, the use of the seal, and that its papers are bound."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from archive.cases.filing import require_case
from archive.cases.models import CaseLink
from archive.custody.events import record_event
from archive.custody.models import PreservationIntent, PreservedObject
from archive.db.base import insert_row, insert_rows
from archive.jobs.queue import LONG, add_job
from archive.kernel.errors import Conflict
from archive.kernel.ids import CaseId, CertificateId, ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.trust.certificates import CertificateNotFound, certificate_by_sha256, note_use
from archive.volumes.indexing import KIND
from archive.volumes.making import INDEX_PATH, Bound
from archive.volumes.models import Volume, VolumeClosing, VolumeLine
from archive.volumes.rules import VolumeRules
from archive.volumes.terms import VolumeState

EXTEND_VOLUME: Final = "extend_volume"
"""The job that extends the signed records of a closed volume to B-LTA."""
_AT_ONCE: Final = 500


class VolumeChanged(Conflict):
    """A paper was taken out of the case while the volume was being closed: look at it again, then close it."""

    code = "volumes.changed"


def write_closed(
    tx: Session, closing: VolumeClosing, bound: Bound, rules: VolumeRules, *, by: Actor, at: Instant
) -> None:
    """Write a closed volume down, in the caller's transaction, under the lock of its case.

    Raises: VolumeChanged, CertificateNotFound, CertificateEnded.
    """
    told, case_id = bound.index.told, CaseId(closing.case_id)
    case = require_case(tx, case_id)
    for some in _some(bound.index.object_ids):
        _bind(tx, closing, some)
    written = {
        "kind": told["kind"],
        "sequence": told["sequence"],
        "state": VolumeState.CLOSED.value,
        "file_number": told["file_number"],
        "year": closing.year,
        "serial": closing.serial,
        "lines": told["size"],
        "pages": told["pages"],
        "root": told["root"],
        "index_sha256": bound.digests.sha256.hex,
        "retention": told["retention"],
    }
    file_by = None if case.closed_at is None else rules.file_by(case.closed_at)
    entry = NewEntry(
        EntryType.VOLUME_CLOSED,
        by,
        Target(KIND, bound.object_id, "v1"),
        case=case_id,
        digests=bound.digests,
        detail={
            **written,
            "volume": str(closing.volume_id),
            "case_file": str(case_id),
            "object": str(bound.object_id),
            "name": bound.name,
            "unit": str(case.unit_id),
            "closed_at": told["made"],
            "closed_by": str(by.id),
            "file_by": None if file_by is None else file_by.isoformat(),
            "files": dict(bound.files),
            "certificate": bound.seal_sha256,
        },
    )
    _write_object(tx, bound, unit_id=case.unit_id, at=at)
    entry_id = record_event(tx, bound.object_id, entry, at=at)
    closed = {**written, "object_id": bound.object_id, "closed_at": closing.begun_at, "closed_by": by.id}
    closed["file_by"] = file_by
    if tx.get(Volume, closing.volume_id) is None:
        opened = {"id": closing.volume_id, "case_id": case_id, "opened_at": at, "opened_by": by.id}
        insert_row(tx, Volume, **opened, **closed)
    else:
        tx.execute(update(Volume).where(Volume.id == closing.volume_id).values(**closed))
    _write_lines(tx, closing.volume_id, bound)
    seal = certificate_by_sha256(tx, bound.seal_sha256)
    if seal is None:
        raise CertificateNotFound(sha256=bound.seal_sha256)
    note_use(tx, CertificateId(seal.id), entry_id, about=Target(KIND, bound.object_id), at=at)
    tx.execute(delete(VolumeClosing).where(VolumeClosing.volume_id == closing.volume_id))
    tx.execute(delete(PreservationIntent).where(PreservationIntent.object_id == bound.object_id))
    args = {"volume_id": str(closing.volume_id)}
    add_job(tx, EXTEND_VOLUME, args, at=at, queue=LONG, key=f"extend:{closing.volume_id}")


def _bind(tx: Session, closing: VolumeClosing, object_ids: Sequence[ObjectId]) -> None:
    taken = tx.execute(
        update(CaseLink)
        .where(CaseLink.case_id == closing.case_id, CaseLink.object_id.in_(object_ids), CaseLink.volume_id.is_(None))
        .values(volume_id=closing.volume_id)
        .returning(CaseLink.object_id)
    ).all()
    if len(taken) != len(object_ids):
        raise VolumeChanged(volume_id=closing.volume_id)


def _write_object(tx: Session, bound: Bound, *, unit_id: UUID, at: Instant) -> None:
    insert_row(
        tx,
        PreservedObject,
        id=bound.object_id,
        kind=KIND,
        name=bound.name,
        content_path=INDEX_PATH,
        media_type="application/json",
        size_bytes=bound.digests.size_bytes,
        sha256=bound.digests.sha256.hex,
        sha512=bound.digests.sha512.hex,
        preserved_at=at,
        unit_id=unit_id,
    )


def _write_lines(tx: Session, volume_id: UUID, bound: Bound) -> None:
    insert_rows(
        tx,
        VolumeLine,
        [
            {
                "volume_id": volume_id,
                "number": line["number"],
                "object_id": object_id,
                "section": line["section"],
                "title": line["title"],
                "first_page": line.get("first_page"),
                "last_page": line.get("last_page"),
            }
            for line, object_id in zip(bound.index.lines, bound.index.object_ids, strict=True)
        ],
    )


def _some(object_ids: Sequence[ObjectId]) -> Sequence[Sequence[ObjectId]]:
    return [object_ids[at : at + _AT_ONCE] for at in range(0, len(object_ids), _AT_ONCE)]
