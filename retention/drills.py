"""The restore drill: random objects and a random case are restored from the second copy alone, and judged.

What came of it is signed by the archive, kept and logged. A drill that could check nothing is indeterminate.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from archive.cases.models import CaseLink
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.jobs.queue import COPY, ClaimedJob, finish_job, hasten_job, renew_job, repeat_job
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import digest_of
from archive.kernel.errors import Conflict, LiuhenError, NotFound, StorageFull, Unavailable
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, worst
from archive.kernel.ids import CaseId, ObjectId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import ARCHIVE, Actor, EntryType, NewEntry, Target
from archive.ledger.trustfile import TrustFile
from archive.ocfl.root import OcflRoot
from archive.packages.building import BytesDiffer, Packager, write_package
from archive.packages.verification.check import Given, check_package
from archive.ports.blobs import StoreBroken
from retention.copies import Copies, NoCopyConfigured
from retention.fixity import Fixity, examine
from retention.models import CopyPlace, ObjectCopy, RestoreDrill
from retention.rounds.due import recheck
from retention.rounds.places import copy_place_id

RUN_DRILL: Final = "run_drill"
_UNTIL_COPIED: Final = timedelta(hours=1)
_AFTER_NONE: Final = timedelta(days=1)
_OF_THE_LOG: Final = frozenset({"checkpoint.no_quorum_asked"})
"""What a package leaves open for want of witnesses, whichever copy it is built from."""
_MOST_FINDINGS: Final = 20
_CASES_TRIED: Final = 5
_PREFIX: Final = "drill-"

Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


class DrillUnderWay(Conflict):
    """A restore drill is under way on this host; wait for it."""

    code = "drill.under_way"


@dataclass(frozen=True, slots=True)
class Drills:
    """What drills, and the job that does it `every` so often (never without).

    The package of the case is built by `packager` in `work`, verified with `trust` and the entries in `log`, and
    removed; `reserve_bytes` of the disk stay free. Each time `count` objects are taken.
    """

    copies: Copies
    packager: Packager
    trust: TrustFile
    trust_roots_pem: bytes
    log: Path
    work: Path
    every: timedelta
    count: int
    reserve_bytes: int

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job, those of the copy too."""
        return {RUN_DRILL: self._work, **self.copies.handlers}

    def begin(self) -> None:
        """Make sure that drills are held from now on. Idempotent; for the worker's start."""
        if self._is_on:
            now = self.copies.clock.now()
            with self.copies.database.begin() as tx:
                renew_job(tx, RUN_DRILL, {}, at=now, queue=COPY, key=RUN_DRILL)
                hasten_job(tx, RUN_DRILL, at=now)

    def run(self, *, by: Actor = ARCHIVE, count: int | None = None) -> RestoreDrill:
        """Hold a drill now; return its row, which is written down with its log entry.

        Raises: NoCopyConfigured, DrillUnderWay; StorageFull where the result cannot be kept.
        """
        clock, database = self.copies.clock, self.copies.database
        with self._alone(), _workspace(self.work) as folder:
            began, started, drill_id = clock.now(), time.monotonic(), new_uuid7()
            missing: list[Finding] = []
            try:
                objects = self.copies.opened()
                checked = [self._check_object(objects, each) for each in self._some_objects(count or self.count)]
                if not checked:
                    missing.append(indeterminate("drill.no_object", "Nothing is in the copy yet"))
                case, why_not = self._check_case(objects, folder / "package")
                missing += why_not
            except (Unavailable, StorageFull) as exc:
                checked, case = [], None
                missing.append(indeterminate(exc.code, exc.message))
            outcomes = [each["outcome"] for each in checked]
            outcomes += [] if case is None else [case["restored"]]
            outcomes += [found.outcome.value for found in missing]
            outcome = worst(Outcome(each) for each in outcomes)
            ended = clock.now()
            told = {
                "v": 1,
                "id": str(drill_id),
                "origin": self.packager.origin,
                "place": self.copies.place,
                "began": format_instant(began),
                "ended": format_instant(ended),
                "seconds": _seconds(started),
                "outcome": outcome.value,
                "objects": checked,
                "case": case,
                "findings": _findings(missing),
            }
        result = canonical_json(told)
        facts = {"place": self.copies.place[:300], "outcome": outcome.value}
        signature = self.packager.signer.sign_detached(result)
        digests = {"sha256": digest_of(result).sha256.hex, "signature_sha256": digest_of(signature).sha256.hex}
        with database.begin() as tx:
            values = {"id": drill_id, "drilled_at": ended, "result": result, "signature": signature}
            insert_row(tx, RestoreDrill, **values, **facts)
            about = {"case": None if case is None else case["id"], "objects": [each["id"] for each in checked]}
            # Whole, so that the result comes back when the database is lost.
            detail = {**facts, **digests, **about, "result": result.decode(), "signature": signature.hex()}
            entry = NewEntry(EntryType.STORE_DRILLED, by, Target("restore_drill", drill_id), detail=detail)
            append_entry(tx, entry, at=ended)
            # What the drill could not restore, the round looks at first, and has it repaired.
            damaged = [UUID(each["id"]) for each in checked if each["outcome"] == Outcome.INVALID.value]
            place = copy_place_id(tx, self.copies.place)
            if place is not None:
                recheck(tx, damaged, ended, place=place)
        with database.read() as tx:
            return tx.get_one(RestoreDrill, drill_id)

    def newest(self, tx: Session) -> RestoreDrill | None:
        """Return the newest drill of the copy that is in use now; None where there was none."""
        of_this = select(RestoreDrill).where(RestoreDrill.place == self.copies.place[:300])
        return tx.scalar(of_this.order_by(RestoreDrill.drilled_at.desc(), RestoreDrill.id.desc()).limit(1))

    @property
    def _is_on(self) -> bool:
        return bool(self.copies.place) and bool(self.every)

    def _work(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        clock, database = self.copies.clock, self.copies.database
        if not self._is_on:
            with database.begin() as tx:
                finish_job(tx, job, at=clock.now())
            return
        with database.read() as tx:
            newest, is_copied = self.newest(tx), tx.scalar(self._copied().limit(1)) is not None
        now, due = clock.now(), None if newest is None else self._next(newest)
        if due is None or due <= now:
            due = self._next(self.run()) if is_copied else now + _UNTIL_COPIED
        report(900)
        with database.begin() as tx:
            repeat_job(tx, job, until=due)

    def _next(self, drill: RestoreDrill) -> Instant:
        """Return when the next drill is due: soon after one that could not be held to its end."""
        is_held = drill.outcome != Outcome.INDETERMINATE.value
        return drill.drilled_at + (self.every if is_held else min(self.every, _AFTER_NONE))

    # ---- what is taken ---------------------------------------------------------------------------------------------

    def _copied(self) -> Select[UUID]:
        here = CopyPlace.place == self.copies.place[:300]
        query = select(ObjectCopy.object_id).join(CopyPlace, CopyPlace.id == ObjectCopy.place_id)
        query = query.join(PreservedObject, PreservedObject.id == ObjectCopy.object_id)
        return query.where(here, ObjectCopy.head > 0, PreservedObject.destroyed_at.is_(None))

    def _some_objects(self, count: int) -> Sequence[ObjectId]:
        """Return random objects of which there is a copy. Nobody can know before which these are."""
        with self.copies.database.read() as tx:
            known = tx.scalar(select(func.count()).select_from(self._copied().subquery())) or 0
            places = secrets.SystemRandom().sample(range(known), min(count, known))
            ordered = self._copied().order_by(ObjectCopy.object_id)
            found = [tx.scalar(ordered.offset(place).limit(1)) for place in sorted(places)]
        return [ObjectId(each) for each in found if each is not None]

    def _some_cases(self) -> Sequence[tuple[CaseId, int]]:
        """Return some random cases all of whose objects are copied, each with the bytes of these."""
        other = aliased(CaseLink)
        gone = select(PreservedObject.id).where(PreservedObject.destroyed_at.is_not(None))
        not_copied = exists().where(
            other.case_id == CaseLink.case_id,
            other.object_id.not_in(self._copied()),
            other.object_id.not_in(gone),
        )
        whole = select(CaseLink.case_id).where(~not_copied).distinct()
        with self.copies.database.read() as tx:
            known = tx.scalar(select(func.count()).select_from(whole.subquery())) or 0
            chosen = []
            for place in secrets.SystemRandom().sample(range(known), min(_CASES_TRIED, known)):
                case_id = tx.scalar(whole.order_by(CaseLink.case_id).offset(place).limit(1))
                if case_id is None:
                    continue
                sizes = select(func.sum(PreservedObject.size_bytes))
                sizes = sizes.join(CaseLink, CaseLink.object_id == PreservedObject.id)
                chosen.append((CaseId(case_id), int(tx.scalar(sizes.where(CaseLink.case_id == case_id)) or 0)))
        return chosen

    # ---- what is checked -------------------------------------------------------------------------------------------

    def _check_object(self, objects: OcflRoot, object_id: ObjectId) -> dict[str, Any]:
        started = time.monotonic()
        fixity = Fixity(self.copies.database, objects, self.copies.clock, self.trust_roots_pem)
        try:
            row, report = examine(fixity, object_id)
            found = [*report.findings, *self._version(objects, object_id)]
        except StoreBroken as exc:
            found = [invalid(exc.code, exc.message)]
        except NotFound:
            found = [invalid("drill.object_unknown", "The catalogue does not know an object of the copy")]
        except (Unavailable, OSError) as exc:
            found = [indeterminate("drill.unreadable", f"The copy cannot be read: {type(exc).__name__}")]
        else:
            about = {"kind": row.kind, "size": row.size_bytes}
            return {"id": str(object_id), **about, **_told(found), "seconds": _seconds(started)}
        return {"id": str(object_id), **_told(found), "seconds": _seconds(started)}

    def _version(self, objects: OcflRoot, object_id: ObjectId) -> Iterator[Finding]:
        """Hold the copy's newest version against the one that was written down."""
        with self.copies.database.read() as tx:
            known = tx.scalar(
                self._copied().with_only_columns(ObjectCopy.head).where(ObjectCopy.object_id == object_id)
            )
        with contextlib.suppress(NotFound, StoreBroken):  # told already by what came before
            if objects.read_inventory(object_id).head < (known or 0):
                yield invalid("drill.version_missing", "The copy lacks a version that was copied")

    def _check_case(self, objects: OcflRoot, out: Path) -> tuple[dict[str, Any] | None, list[Finding]]:
        """Build and verify the package of a random case; return what is told of it, or why there is none."""
        cases = self._some_cases()
        if not cases:
            return None, [indeterminate("drill.no_case", "There is no case all of whose objects are copied")]
        room = shutil.disk_usage(self.work).free - self.reserve_bytes
        case_id = next((each for each, size_bytes in cases if size_bytes < room), None)
        if case_id is None:
            return None, [indeterminate("drill.no_room", "There is no room on this host to rebuild a case")]
        started, about = time.monotonic(), {"id": str(case_id)}
        packager = replace(self.packager, objects=objects)
        try:
            made = write_package(packager, case_id, out, package_id=new_uuid7(), by=ARCHIVE, with_renditions=False)
            given = Given(trust=self.trust, log=self.log)
            report = check_package(out, given=given, now=self.copies.clock.now())
        except (BytesDiffer, StoreBroken, NotFound) as exc:
            found = Report((invalid(exc.code, exc.message),))
        except (LiuhenError, OSError) as exc:
            code = exc.code if isinstance(exc, LiuhenError) else "drill.unreadable"
            found = Report((indeterminate(code, f"The case could not be rebuilt: {type(exc).__name__}"),))
        else:
            unaltered, complete = report.outcomes
            of_copy = [each.outcome for each in report.findings if each.code not in _OF_THE_LOG]
            return {
                **about,
                "restored": worst(of_copy).value,
                "objects": made.object_count,
                "size": made.payload_bytes,
                "checkpoint": made.checkpoint_size,
                "unaltered": unaltered.value,
                "complete": complete.value,
                "findings": _findings(report.findings),
                "seconds": _seconds(started),
            }, []
        verdicts = dict.fromkeys(("restored", "unaltered"), found.outcome.value)
        verdicts["complete"] = Outcome.INDETERMINATE.value
        return {**about, **verdicts, "findings": _findings(found.findings), "seconds": _seconds(started)}, []

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the only drill on this host. Raises: NoCopyConfigured, DrillUnderWay."""
        if not self.copies.place:
            raise NoCopyConfigured
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.work / ".drill.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise DrillUnderWay from exc
            yield
        finally:
            os.close(lock)


@contextlib.contextmanager
def _workspace(work: Path) -> Iterator[Path]:
    """Make a folder for one drill and remove it afterwards, and with it what drills that were killed have left."""
    for left in work.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = work / f"{_PREFIX}{new_uuid7()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _told(found: Sequence[Finding]) -> dict[str, Any]:
    return {"outcome": Report(tuple(found)).outcome.value, "findings": _findings(found)}


def _findings(found: Sequence[Finding]) -> list[dict[str, str]]:
    """Return what did not hold, without names of files: a result is kept for good, and names can tell of persons."""
    told = {(each.code, each.outcome.value, _part(each.where)) for each in found if each.outcome is not Outcome.VALID}
    return [{"code": code, "outcome": outcome, "part": part} for code, outcome, part in sorted(told)[:_MOST_FINDINGS]]


def _part(where: str) -> str:
    """Return which part of an object or package a path is in: the folders of ours that it begins with."""
    known = {"content", "original", "metadata", "extended", "checks", "data", "proofs", "sig", "evidence", "records"}
    parts: list[str] = []
    for each in where.split("/"):
        if each not in known and not (each[:1] == "v" and each[1:].isdigit()):
            break
        parts.append(each)
    return "/".join(parts)


def _seconds(started: float) -> str:
    """Return how long it is since then, in seconds; a text, since canonical JSON has no fractions."""
    return f"{time.monotonic() - started:.3f}"
