"""The report of a move: a line for each object, and the sums, which must balance before anything changes.

It balances when every object of the catalogue that was not destroyed is verified in the new place, and nothing else is
left over. The lines are CSV, the sums canonical JSON that names the CSV by its digest and is signed as manifests are.
"""

import csv
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from archive.custody.models import PreservedObject
from archive.kernel.canonical import canonical_json
from archive.kernel.instants import format_instant
from retention.moving.models import MovedObject, StoreMove
from retention.moving.parts import MoveParts
from retention.moving.terms import ObjectState
from signing.keyfiles import fsync_directory, full_disk_told, replace_durably

COLUMNS: Final = ("object", "kind", "outcome", "version", "bytes", "sha512", "verified", "fault")
_AT_ONCE: Final = 5_000
_MODE: Final = 0o444


@dataclass(frozen=True, slots=True)
class Balance:
    """How many objects there are in the catalogue, how many of them were destroyed, and what became of the others.

    `due` wait and `moved` are copied and not verified; `unknown` are those that the move does not know: once it has
    switched they came later, and were never in the old place. `lingering` were destroyed, and their copy is there.
    """

    is_switched: bool
    catalogue: int
    destroyed: int
    due: int
    moved: int
    verified: int
    missing: int
    different: int
    lingering: int = 0

    @property
    def unknown(self) -> int:
        """How many objects of the catalogue the move does not know."""
        known = self.due + self.moved + self.verified + self.missing + self.different
        return self.catalogue - self.destroyed - known

    @property
    def balances(self) -> bool:
        """Whether all that is to be moved is verified."""
        known = self.catalogue - self.destroyed - (self.unknown if self.is_switched else 0)
        return self.verified == known and not self.lingering

    @property
    def faults(self) -> int:
        """How many objects are missing or different."""
        return self.missing + self.different

    @property
    def waiting(self) -> int:
        """How many objects are to be copied or verified."""
        return self.due + self.moved + (0 if self.is_switched else self.unknown)


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written: its sums as signed JSON, and the files."""

    balance: Balance
    result: bytes
    signature: bytes
    csv: Path


def balance(tx: Session, move: StoreMove, tombstones: Select[UUID] | None) -> Balance:
    """Count what became of everything, as this transaction sees it."""
    own = select(MovedObject.state, func.count()).where(MovedObject.move_id == move.id)
    destroyed = lingering = 0
    if tombstones is not None:
        own = own.where(MovedObject.object_id.not_in(tombstones))
        destroyed = _count(tx, select(func.count()).where(PreservedObject.id.in_(tombstones)))
        lingering = _count(tx, select(func.count()).select_from(lingering_copies(move.id, tombstones).subquery()))
    counts = dict(tx.execute(own.group_by(MovedObject.state)).tuples().all())
    told = {state.value: counts.get(state.value, 0) for state in ObjectState}
    catalogue = _count(tx, select(func.count(PreservedObject.id)))
    switched = tx.scalar(select(StoreMove.switched_at).where(StoreMove.id == move.id))
    return Balance(
        is_switched=switched is not None, catalogue=catalogue, destroyed=destroyed, lingering=lingering, **told
    )


def lingering_copies(move_id: UUID, tombstones: Select[UUID]) -> Select[UUID]:
    """Return the query for the objects that were destroyed after they had been copied, and whose copy is there."""
    here = (MovedObject.move_id == move_id, MovedObject.head > 0, MovedObject.cleared_at.is_(None))
    return select(MovedObject.object_id).where(*here, MovedObject.object_id.in_(tombstones))


def make_report(parts: MoveParts, move: StoreMove, step: str) -> Report:
    """Write the report of a move as it stands to files of their own, durably; return it.

    In `<folder>/<id of the move>/<step>.csv`, `.json` and `.json.p7s`; an older one of the same step is replaced.
    Raises: StorageFull; what the signer raises.
    """
    folder = parts.folder / str(move.id)
    with full_disk_told(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    at, file = parts.clock.now(), folder / f"{step}.csv"
    with parts.database.snapshot() as tx:
        found = balance(tx, move, parts.tombstones)
        rows, sha256 = _write_csv(tx, move, parts.tombstones, file)
    told = {
        "v": 1,
        "move": str(move.id),
        "origin": parts.origin,
        "step": step,
        "from": move.from_place,
        "to": move.to_place,
        "made": format_instant(at),
        **asdict(found),
        "unknown": found.unknown,
        "balances": found.balances,
        "csv": {"name": file.name, "rows": rows, "sha256": sha256},
    }
    result = canonical_json(told)
    signature = parts.signer.sign_detached(result)
    replace_durably(folder / f"{step}.json", result, mode=_MODE)
    replace_durably(folder / f"{step}.json.p7s", signature, mode=_MODE)
    return Report(found, result, signature, file)


def keep_report(tx: Session, move: StoreMove, report: Report) -> dict[str, Any]:
    """Write a report into its move's row, in the caller's transaction; return what the log tells of it, whole."""
    kept = update(StoreMove).where(StoreMove.id == move.id)
    tx.execute(kept.values(report=report.result, report_signature=report.signature))
    return {"report": report.result.decode(), "signature": report.signature.hex()}


def _count(tx: Session, query: Select[int]) -> int:
    return int(tx.scalar(query) or 0)


def _write_csv(tx: Session, move: StoreMove, tombstones: Select[UUID] | None, file: Path) -> tuple[int, str]:
    """Write a line for each object of the catalogue; return how many, and the SHA-256 of the file."""
    fresh, hasher, count = file.with_suffix(".new"), hashlib.sha256(), 0
    with full_disk_told(file):
        fresh.unlink(missing_ok=True)  # of a process that was killed
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            for lines in _lines(tx, move, tombstones):
                count += len(lines)
                data = _as_csv(lines if count > len(lines) else [COLUMNS, *lines])
                hasher.update(data)
                out.write(data)
            if not count:
                data = _as_csv([COLUMNS])
                hasher.update(data)
                out.write(data)
            out.flush()
            os.fsync(out.fileno())
        fresh.chmod(_MODE)
        fresh.replace(file)
        fsync_directory(file.parent)
    return count, hasher.hexdigest()


def _lines(tx: Session, move: StoreMove, tombstones: Select[UUID] | None) -> Iterator[list[tuple[Any, ...]]]:
    last = UUID(int=0)
    of_move = (MovedObject.object_id == PreservedObject.id) & (MovedObject.move_id == move.id)
    query = select(PreservedObject, MovedObject).outerjoin(MovedObject, of_move).order_by(PreservedObject.id)
    while True:
        found = tx.execute(query.where(PreservedObject.id > last).limit(_AT_ONCE)).all()
        if not found:
            return
        last = found[-1][0].id
        ids = [original.id for original, _ in found]
        gone = set() if tombstones is None else set(tx.scalars(tombstones.where(_first_column(tombstones).in_(ids))))
        unknown = "unknown" if move.switched_at is None else "later"
        yield [_line(original, row, "destroyed" if original.id in gone else unknown) for original, row in found]
        tx.expunge_all()


def _first_column(query: Select[UUID]) -> Any:
    return next(iter(query.selected_columns))


def _line(original: PreservedObject, row: MovedObject | None, otherwise: str) -> tuple[Any, ...]:
    about = (str(original.id), original.kind)
    if row is None or otherwise == "destroyed":
        return (*about, otherwise, "", original.size_bytes, original.sha512, "", "")
    verified = "" if row.verified_at is None else format_instant(row.verified_at)
    return (*about, row.state, row.head, original.size_bytes, original.sha512, verified, row.fault or "")


def _as_csv(lines: list[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
