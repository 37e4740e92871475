"""Repair of damage: from a good copy that was read whole first, file by file, and read again afterwards.

1. the damaged object is read; whole again means that others have repaired it   2. the other copy is read and judged
whole: bytes, catalogue, signature, log   3. what is damaged is kept aside, and the entry says where   4. good bytes
take its place, hashed on the way   5. the object is read again   6. the entry says that it is repaired.

Killed or refused at any step it is gone on with at the next try: each step finds what was done. Nothing damaged is
written anywhere, and what cannot be repaired stays as it is and stays an alarm, with the reason.
"""

import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.custody.events import preserved_object
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.database import Database
from archive.kernel.canonical import parse_canonical
from archive.kernel.digests import DigestSet, hash_stream
from archive.kernel.errors import InvalidInput, LiuhenError, Unavailable
from archive.kernel.findings import Outcome
from archive.kernel.ids import EntryId, ObjectId
from archive.kernel.instants import Instant, parse_instant
from archive.ledger.entries import ARCHIVE, Actor
from archive.ledger.models import LogLeaf
from archive.ocfl.layout import ROOT_FILES, is_root_inventory, object_root
from archive.ports.clock import Clock
from retention.copies import ADDING
from retention.fixity import Fixity, judged
from retention.models import CopyPlace, ObjectCopy
from retention.rounds.due import recheck
from retention.rounds.mending_plan import FileToMend, Plan, plan
from retention.rounds.models import ORIGINALS, PLACE_NOT_IN_USE, FixityCheck, FixityDamage, FixityMend
from retention.rounds.outcomes import QUARANTINED, Where, tell_quarantined, tell_repaired
from retention.rounds.places import Place, PlacesInUse, place_names
from retention.rounds.reading import MANIFEST, Original, Reading, read_object

NO_SECOND_COPY: Final = "fixity.no_second_copy"
NO_GOOD_COPY: Final = "fixity.no_good_copy"
GOOD_UNREAD: Final = "fixity.good_copy_unread"
NOT_IN_FILES: Final = "fixity.not_in_files"
STRAY_FILE: Final = "fixity.stray_file"
NOT_REPAIRED: Final = "fixity.not_repaired"
_PASSES: Final = 2
_FRESH: Final = timedelta(days=1)
_TIMES_FOR_OLD: Final = 24
_BATCH: Final = 20
_SIGNED_WITHIN: Final = timedelta(minutes=10)


class PlaceAway(Unavailable):
    """The place holds no storage root: see that it is mounted and the right one."""

    code = "fixity.place_away"


@dataclass(frozen=True, slots=True)
class Repairs:
    """What repairs damage. What could not be repaired is tried again after `again`."""

    database: Database
    clock: Clock
    places: PlacesInUse
    trust_roots_pem: bytes
    again: timedelta = timedelta(hours=1)

    def retry(self, *, by: Actor = ARCHIVE) -> int:
        """Try to repair up to 20 damaged objects that were not tried lately; return how many were repaired."""
        due = select(FixityDamage.id).where(FixityDamage.repaired_at.is_(None), self._is_due(self.clock.now()))
        with self.database.read() as tx:
            ids = list(tx.scalars(due.order_by(FixityDamage.found_at, FixityDamage.id).limit(_BATCH)))
        return sum(self.repair(each, by=by) for each in ids)

    def repair(self, damage_id: UUID, *, by: Actor = ARCHIVE, is_asked: bool = False) -> bool:
        """Repair a damaged object where that can be done; return whether it is whole now. Idempotent.

        On return the outcome is written down: the entry of the repair, or the code of what is in its way. Damage that
        another is at work on, or that was tried lately, is left alone unless it `is_asked` for.
        """
        if not self._claim(damage_id, is_asked=is_asked):
            return False
        with self.database.read() as tx:
            damage = tx.get_one(FixityDamage, damage_id)
            row, names = preserved_object(tx, ObjectId(damage.object_id)), place_names(tx)
            known = tx.get(FixityCheck, (damage.object_id, damage.place))
        if known is not None and known.since is None:
            return False  # about to be destroyed
        work = _Repair(self, damage, row, names, 0 if known is None else known.head, by)
        try:
            trouble = work.run()
        except LiuhenError as exc:
            trouble = exc.code
        except OSError:
            trouble = GOOD_UNREAD
        if trouble is None:
            return True
        this = (FixityDamage.id == damage_id, FixityDamage.repaired_at.is_(None))
        with self.database.begin() as tx:
            tx.execute(update(FixityDamage).where(*this).values(trouble=trouble[:64], tried_at=self.clock.now()))
        return False

    def _claim(self, damage_id: UUID, *, is_asked: bool) -> bool:
        at = self.clock.now()
        this = (FixityDamage.id == damage_id, FixityDamage.repaired_at.is_(None))
        claimed = update(FixityDamage).where(*this, *([] if is_asked else [self._is_due(at)])).values(tried_at=at)
        with self.database.begin() as tx:
            return bool(tx.execute(claimed).rowcount == 1)  # type: ignore[attr-defined]

    def _is_due(self, at: Instant) -> ColumnElement[bool]:
        """Return the condition that it is time for another try: of damage that stays, ever more seldom."""
        tried, is_fresh = FixityDamage.tried_at, FixityDamage.found_at > at - _FRESH
        return or_(
            tried.is_(None), and_(is_fresh, tried <= at - self.again), tried <= at - self.again * _TIMES_FOR_OLD
        )  # fmt: skip


def require_there(place: Place) -> None:
    """Refuse to judge objects of a place that holds no storage root at all. Raises: PlaceAway, StoreUnavailable."""
    if not place.store.exists(list(ROOT_FILES)[-1]):
        raise PlaceAway(place=place.name)


@dataclass(frozen=True, slots=True)
class _Repair:
    """One try to repair one damage."""

    repairs: Repairs
    damage: FixityDamage
    row: PreservedObject
    names: Any
    least_head: int
    by: Actor

    def run(self) -> str | None:
        """Return None once the object is whole, else why not. Raises: what stores raise."""
        target = self.repairs.places.opened(self.damage.place)
        if target is None:
            return PLACE_NOT_IN_USE
        require_there(target)
        present = self._read(target)  # 1
        if present.report.outcome is Outcome.VALID:
            self._told_whole(present)
            return None
        good = self._good()  # 2
        if isinstance(good, str):
            return good
        files: list[dict[str, Any]] = []
        versions: dict[str, str] = {}
        try:
            for _ in range(_PASSES):
                what = self._plan(target, present, *good)
                if not what.files and not what.strays:
                    return NOT_IN_FILES
                self._keep_aside(target, what, present, good[0])  # 3
                files += self._mend(target, what, present, good[0], versions)  # 4
                present = self._read(target)  # 5
                if present.report.outcome is Outcome.VALID:
                    self._told_repaired(target, present, good[0], files, versions)  # 6
                    return None
        finally:
            target.mended.settle()
        has_strays = any(found.code == "ocfl.extra_file" for found in present.report.findings)
        return STRAY_FILE if has_strays else NOT_REPAIRED

    def _read(self, place: Place) -> Reading:
        return read_object(place.objects, Original.of(self.row), least_head=self.least_head)

    def _good(self) -> tuple[Place, Reading] | str:
        """Return the other copy, read and judged whole, or why there is none."""
        object_id, others = ObjectId(self.row.id), self.repairs.places.others(self.damage.place)
        trouble = NO_SECOND_COPY
        for each in others:
            place = self.repairs.places.opened(each)
            if place is None:
                continue
            require_there(place)
            reading = read_object(place.objects, Original.of(self.row))
            fixity = Fixity(self.repairs.database, place.objects, self.repairs.clock, self.repairs.trust_roots_pem)
            outcome = judged(fixity, object_id, reading, at=_signed_at(reading)).outcome
            if outcome is Outcome.VALID:
                return place, reading
            trouble = NO_GOOD_COPY if outcome is Outcome.INVALID else GOOD_UNREAD
            with self.repairs.database.begin() as tx:
                recheck(tx, [object_id], self.repairs.clock.now(), place=each)  # it is damaged too
        return trouble

    def _plan(self, target: Place, present: Reading, good: Place, reading: Reading) -> Plan:
        with self.repairs.database.read() as tx:
            is_current = good.id == ORIGINALS or not _waits_to_be_copied(tx, self.row.id, good.id)
        look = functools.partial(_look, target, object_root(ObjectId(self.row.id)))
        return plan(
            present.examined, reading.examined, least_head=self.least_head, is_current=is_current, look=look
        )  # fmt: skip

    def _keep_aside(self, target: Place, what: Plan, present: Reading, good: Place) -> None:
        root, kept = object_root(ObjectId(self.row.id)), []
        for path in (*(file.path for file in what.files), *what.strays):
            name = f"{self.damage.id}/{path}"
            keep = target.mender.set_aside if path in what.strays else target.mender.keep_aside
            place = keep(f"{root}/{path}", name)
            kept.append({"path": path, "kept": place, **_digest_of(present, path)})
        with self.repairs.database.begin() as tx:
            tell_quarantined(
                tx, self.row, self._where(target), self.damage, good=self._where(good), files=kept, by=self.by,
                at=self.repairs.clock.now(),
            )  # fmt: skip

    def _mend(
        self, target: Place, what: Plan, present: Reading, good: Place, versions: dict[str, str]
    ) -> list[dict[str, Any]]:
        root, mended = object_root(ObjectId(self.row.id)), []
        for file in what.files:
            key = f"{root}/{file.path}"
            self._hold()
            version = self._put(target, key, file, present, good)
            if version is not None:
                versions[key] = version
            told = {"path": file.path, "size": file.size_bytes, "sha512": file.sha512}
            mended.append({**told, **({} if version is None else {"version": version})})
        target.mended.try_out(versions)
        return mended

    def _put(self, target: Place, key: str, file: FileToMend, present: Reading, good: Place) -> str | None:
        data = file.data
        if data is not None and is_root_inventory(key):
            before = present.examined.small.get(file.path)
            if before is not None or not target.store.exists(key):
                # Only where it is still what was read: a version that was added meanwhile is not taken back.
                expected = None if before is None else hashlib.sha512(before).hexdigest()
                target.store.replace_if(key, data, expected_sha512=expected)
                return None
        opened = functools.partial(_open, good, key, data)
        return target.mender.mend(key, opened, size_bytes=file.size_bytes, sha512=file.sha512)

    def _hold(self) -> None:
        """Let others see that somebody is at work on it."""
        with self.repairs.database.begin() as tx:
            this = update(FixityDamage).where(FixityDamage.id == self.damage.id)
            tx.execute(this.values(tried_at=self.repairs.clock.now()))

    def _told_whole(self, present: Reading) -> None:
        good = self.damage.good_place if self.damage.state == QUARANTINED else None
        where = None if good is None else Where(good, self.names.get(good, good))
        at = self.repairs.clock.now()
        with self.repairs.database.begin() as tx:
            place = Where(self.damage.place, self.names.get(self.damage.place, self.damage.place))
            tell_repaired(
                tx, self.row, place, self.damage, good=where, files=[], head=present.head, by=self.by, at=at
            )  # fmt: skip

    def _told_repaired(
        self,
        target: Place,
        present: Reading,
        good: Place,
        files: Sequence[dict[str, Any]],
        versions: dict[str, str],
    ) -> None:
        at = self.repairs.clock.now()
        with self.repairs.database.begin() as tx:
            entry_id = tell_repaired(
                tx, self.row, self._where(target), self.damage, good=self._where(good), files=files, head=present.head,
                by=self.by, at=at,
            )  # fmt: skip
            if entry_id is not None:
                _write_mended(tx, target.id, versions, entry_id)

    @staticmethod
    def _where(place: Place) -> Where:
        return Where(place.id, place.name)


def _waits_to_be_copied(tx: Session, object_id: UUID, place: str) -> bool:
    """Return whether the log tells of a version that a copy may lack: one that is due there, or not looked at yet."""
    here = CopyPlace.id == UUID(place)
    is_due = (ObjectCopy.object_id == object_id, ObjectCopy.place_id == UUID(place), ObjectCopy.due_index.is_not(None))
    if tx.scalar(select(ObjectCopy.object_id).where(*is_due)) is not None:
        return True
    scanned = select(CopyPlace.scanned).where(here).scalar_subquery()
    fresh = (
        select(CustodyEvent.entry_id)
        .outerjoin(LogLeaf, LogLeaf.entry_id == CustodyEvent.entry_id)
        .where(CustodyEvent.object_id == object_id, CustodyEvent.type.in_(ADDING))
        .where(or_(LogLeaf.index.is_(None), LogLeaf.index >= scanned))
    )
    return tx.scalar(fresh.limit(1)) is not None


def _signed_at(reading: Reading) -> Instant | None:
    """Return when the item manifest was signed, by its own words: certificates end, and what they signed stays."""
    try:
        told = parse_canonical(reading.kept[MANIFEST])
        return parse_instant(told["times"]["received"]) + _SIGNED_WITHIN
    except (InvalidInput, KeyError, TypeError, OverflowError):
        return None


def _look(place: Place, root: str, path: str) -> DigestSet | None:
    try:
        with place.store.open(f"{root}/{path}") as source:
            return hash_stream(source)
    except (LiuhenError, OSError):
        return None


def _open(good: Place, key: str, data: bytes | None) -> BinaryIO:
    return io.BytesIO(data) if data is not None else good.store.open(key)


def _digest_of(present: Reading, path: str) -> dict[str, Any]:
    """Return size and digest of a damaged file, where it could be read."""
    found, small = present.examined.digests.get(path), present.examined.small.get(path)
    if found is not None:
        return {"size": found.size_bytes, "sha512": found.sha512.hex}
    return {} if small is None else {"size": len(small), "sha512": hashlib.sha512(small).hexdigest()}


def _write_mended(tx: Session, place: str, versions: dict[str, str], entry_id: EntryId) -> None:
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    for key, version in versions.items():
        added = insert(FixityMend).values(place=place, key=key, version=version, entry_id=entry_id)
        changed = {"version": version, "entry_id": entry_id}
        tx.execute(added.on_conflict_do_update(index_elements=[FixityMend.place, FixityMend.key], set_=changed))
