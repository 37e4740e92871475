"""The four-nature check (四性检测) of a closed volume: a job, whose signed report is kept beside the volume.

Every byte is read again; signatures are judged and documents opened in the sandbox, by what wiring hands in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.custody.events import preserved_object, record_event
from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.documents.drafts import DraftState
from archive.documents.long_term import newest_extension
from archive.documents.models import Draft
from archive.documents.typesetting import Typesetter
from archive.evidence.models import EvidenceItem
from archive.jobs.models import Job
from archive.jobs.queue import LONG, ClaimedJob, add_job, finish_job
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.errors import Conflict
from archive.kernel.findings import Outcome, Report
from archive.kernel.ids import ObjectId, VolumeId, new_uuid7, parse_uuid
from archive.kernel.instants import Instant
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.volumes.index import lines_root
from archive.volumes.indexing import KIND, ReadIndex
from archive.volumes.making import read_bound
from archive.volumes.models import Volume, VolumeCheck
from archive.volumes.natures import Answers, VolumeQuestion, ask_index
from archive.volumes.reporting import report_told
from archive.volumes.rules import VolumeRules
from archive.volumes.sheets import SHEETS
from archive.volumes.standing import closed_volume

CHECK_VOLUME: Final = "check_volume"
_REASON: Final = "Four-nature check"
_PDF: Final = "application/pdf"
_OPENED: Final = {
    "playable": Outcome.VALID,
    "pending": Outcome.INDETERMINATE,
    "damaged": Outcome.INDETERMINATE,
    "unplayable": Outcome.INVALID,
}
Handler = Callable[[ClaimedJob, Callable[[int], None]], None]


class CheckedMeanwhile(Conflict):
    """Another check of this volume has ended meanwhile."""

    code = "volumes.checked_meanwhile"
    retryable = True


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What a document says of itself. `reason` is a finding code where it cannot be opened; None is not known."""

    pages: int | None = None
    attachments: int | None = None
    reason: str | None = None


class ReportSigner(Protocol):
    """Signs a PDF; see `signing.pades.PadesSigner`."""

    def sign_pdf(self, pdf: bytes, *, reason: str) -> bytes:
        """Return the PDF with a signature."""
        ...


@dataclass(frozen=True, slots=True)
class VolumeChecker:
    """What checks volumes, put together by wiring.

    `fixity` reads an object anew and writes that down, `judge` judges a signed PDF, or a signature over `content`,
    and returns the verdict as JSON; `look` opens a document.
    """

    database: Database
    objects: OcflRoot
    rules: VolumeRules
    setter: Typesetter
    signer: ReportSigner
    clock: Clock
    fixity: Callable[[ObjectId, Actor], Report]
    judge: Callable[[Path, bytes | None], Mapping[str, Any]]
    look: Callable[[Path], LookedAt]

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {CHECK_VOLUME: self._check}

    def check_volume(
        self, volume_id: VolumeId, *, by: Actor, report: Callable[[int], None] = lambda _: None
    ) -> Outcome:
        """Check a closed volume, and keep the result with its signed report; return the outcome.

        Raises: VolumeNotFound, CheckedMeanwhile, TypesettingFault, StorageFull; what the sandbox raises.
        """
        with self.database.read() as tx:
            row = closed_volume(tx, volume_id)
            object_id = ObjectId(parse_uuid(str(row.object_id)))
            number = (tx.scalar(_count(volume_id)) or 0) + 1
        index = read_bound(self.objects, object_id).index
        answers = self._answers(object_id, index, by=by, report=report)
        at, findings = self.clock.now(), answers.as_json()
        told = report_told(index.told, findings, answers.outcome, rules=self.rules, number=number, on=local_day(at))
        pdf = self.signer.sign_pdf(self.setter.set_pdf(told, at=at), reason=_REASON)
        digests = digest_of(pdf)
        path = f"checks/{number:03d}-{digests.sha256.hex[:16]}.pdf"
        self.objects.add_version(
            object_id,
            [NewFile(path, pdf, digests)],
            message=_REASON,
            user=VersionUser("liuhen", "urn:liuhen:archive"),
            at=at,
        )
        with unique_or(CheckedMeanwhile), self.database.begin() as tx:
            _write(tx, row, number, answers.outcome, findings, path=path, digests=digests, by=by, at=at)
        return answers.outcome

    def _answers(self, object_id: ObjectId, index: ReadIndex, *, by: Actor, report: Callable[[int], None]) -> Answers:
        answers = Answers()
        ask_index(answers, index.told, root=lines_root(index.lines).hex())
        self._ask_volume(answers, object_id, index, by=by)
        for at, line in enumerate(index.lines):
            self._ask_line(answers, line, by=by)
            report(950 * (at + 1) // len(index.lines))
        return answers

    def _ask_volume(self, answers: Answers, object_id: ObjectId, index: ReadIndex, *, by: Actor) -> None:
        self._ask_bytes(answers, object_id, where="index", by=by)
        for name in ("index.p7s", "index.seal.p7s"):
            verdict = self._judged(object_id, f"original/{name}", index.body)
            answers.add(VolumeQuestion.INDEX_SIGNED, _outcome(verdict), where=name, code=_code(verdict))
        for name in (f"{each}.pdf" for each in SHEETS):
            verdict = self._judged(object_id, f"original/{name}", None)
            answers.add(VolumeQuestion.SHEETS_SEALED, _outcome(verdict), where=name, code=_code(verdict))

    def _ask_line(self, answers: Answers, line: Mapping[str, Any], *, by: Actor) -> None:
        object_id, where = ObjectId(parse_uuid(line["object"])), str(line["number"])
        self._ask_bytes(answers, object_id, where=where, by=by)
        with self.database.read() as tx:
            extension, item = newest_extension(tx, object_id), tx.get(EvidenceItem, object_id)
            draft = tx.get(Draft, object_id)
            original = preserved_object(tx, object_id).content_path
        if item is not None:
            opened = _OPENED.get(item.play_state, Outcome.INDETERMINATE)
            answers.add(VolumeQuestion.OPENABLE, opened, where=where, code=item.play_reason or "check.not_looked_at")
        if line["media_type"] != _PDF:
            return
        verdict = self._judged(object_id, original if extension is None else extension.path, None)
        if draft is not None and draft.state == DraftState.FILED.value:
            answers.add(VolumeQuestion.RECORDS_SIGNED, _outcome(verdict), where=where, code=_code(verdict))
        _ask_structure(answers, verdict, where)
        with self.objects.borrow(object_id, original) as path:
            looked = self.look(path)
        _ask_look(answers, looked, line, where, is_record=item is None)

    def _ask_bytes(self, answers: Answers, object_id: ObjectId, *, where: str, by: Actor) -> None:
        """Read an object anew: its bytes, its signed manifest, its place in the log."""
        for finding in self.fixity(object_id, by).findings:
            if finding.code.startswith("fixity.entry"):
                question = VolumeQuestion.LOGGED
            elif finding.code.startswith(("signature.", "fixity.manifest")):
                question = VolumeQuestion.MANIFESTS_SIGNED
            else:
                question = VolumeQuestion.DIGESTS
            answers.add(question, finding.outcome, where=where, code=finding.code)

    def _judged(self, object_id: ObjectId, path: str, content: bytes | None) -> Mapping[str, Any]:
        with self.objects.borrow(object_id, path) as found:
            return self.judge(found, content)

    def _check(self, job: ClaimedJob, report: Callable[[int], None]) -> None:
        by = Actor(parse_uuid(job.args["by"]))
        self.check_volume(VolumeId(parse_uuid(job.args["volume_id"])), by=by, report=report)
        with self.database.begin() as tx:
            finish_job(tx, job, at=self.clock.now())


def ask_for_check(database: Database, volume_id: VolumeId, *, by: Actor, at: Instant) -> None:
    """Have a closed volume checked by a worker; one that is being checked is not checked twice.

    Raises: VolumeNotFound.
    """
    with database.begin() as tx:
        closed_volume(tx, volume_id)
        if not is_being_checked(tx, volume_id):
            args = {"volume_id": str(volume_id), "by": str(by.id)}
            add_job(tx, CHECK_VOLUME, args, at=at, queue=LONG, key=f"{_key(volume_id)}{new_uuid7()}")


def is_being_checked(tx: Session, volume_id: VolumeId) -> bool:
    """Return whether a check of a volume waits or goes on."""
    # The queue says nothing more: by its index what waits there is found among all jobs that there ever were.
    waits = (Job.queue == LONG) & Job.state.in_(("ready", "running"))
    same = Job.key.startswith(_key(volume_id), autoescape=True)
    return tx.scalar(select(Job.id).where(waits, Job.kind == CHECK_VOLUME, same).limit(1)) is not None


def _key(volume_id: VolumeId) -> str:
    return f"check:{volume_id}:"


def _count(volume_id: VolumeId) -> Any:
    return select(func.max(VolumeCheck.number)).where(VolumeCheck.volume_id == volume_id)


def _outcome(verdict: Mapping[str, Any]) -> Outcome:
    return Outcome(verdict["outcome"])


def _codes(verdict: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for part in (verdict, *verdict.get("signatures", ())):
        yield from ((found["code"], found["outcome"]) for found in part.get("findings", ()))


def _code(verdict: Mapping[str, Any]) -> str:
    """Return the code of the first finding that makes a verdict what it is."""
    return next((code for code, outcome in _codes(verdict) if outcome == verdict["outcome"]), "check.not_looked_at")


def _ask_structure(answers: Answers, verdict: Mapping[str, Any], where: str) -> None:
    codes = {code for code, _ in _codes(verdict)}
    for question, code in (
        (VolumeQuestion.NO_SCRIPTS, "document.active_content"),
        (VolumeQuestion.NO_ENCRYPTION, "document.encrypted"),
    ):
        is_read = codes.isdisjoint({"document.unreadable", "document.too_costly", "document.too_large"}) and codes
        unread = code if code in codes else "check.not_looked_at"
        fine = Outcome.VALID if is_read else Outcome.INDETERMINATE
        answers.add(question, Outcome.INVALID if code in codes else fine, where=where, code=unread)


def _ask_look(answers: Answers, looked: LookedAt, line: Mapping[str, Any], where: str, *, is_record: bool) -> None:
    if is_record:
        opened = Outcome.VALID if looked.reason is None else Outcome.INVALID
        opened = Outcome.INDETERMINATE if looked.reason == "check.not_looked_at" else opened
        answers.add(VolumeQuestion.OPENABLE, opened, where=where, code=looked.reason or "")
    if "first_page" in line:
        wanted = line["last_page"] - line["first_page"] + 1
        same = Outcome.VALID if looked.pages == wanted else Outcome.INVALID
        same = Outcome.INDETERMINATE if looked.pages is None else same
        answers.add(VolumeQuestion.PAGE_COUNTS, same, where=where, code="check.pages_differ")
    clean = Outcome.VALID if looked.attachments == 0 else Outcome.INVALID
    clean = Outcome.INDETERMINATE if looked.attachments is None else clean
    answers.add(VolumeQuestion.NO_ATTACHMENTS, clean, where=where, code="check.attachments")


def _write(
    tx: Session,
    row: Volume,
    number: int,
    outcome: Outcome,
    findings: Sequence[Mapping[str, Any]],
    *,
    path: str,
    digests: DigestSet,
    by: Actor,
    at: Instant,
) -> None:
    object_id = ObjectId(UUID(str(row.object_id)))
    entry = NewEntry(
        EntryType.VOLUME_CHECKED,
        by,
        Target(KIND, object_id),
        case=None,
        digests=digests,
        detail={
            "number": number,
            "outcome": outcome.value,
            "path": path,
            "findings": list(findings),
            "findings_sha256": digest_of(canonical_json(list(findings))).sha256.hex,
        },
    )
    entry_id = record_event(tx, object_id, entry, at=at)
    insert_row(
        tx,
        VolumeCheck,
        volume_id=row.id,
        number=number,
        outcome=outcome.value,
        findings=list(findings),
        path=path,
        sha256=digests.sha256.hex,
        by_id=by.id,
        at=at,
        entry_id=entry_id,
    )
