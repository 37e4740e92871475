"""The jobs that look into what is no recording: pages and text of documents, lists of what archives hold.

Nothing is unpacked or run. A document ends with page pictures or its text to read, an archive with its list; both count
as playable then, since they can be looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from archive.cases.events import publish_ready, publish_unplayable
from archive.cases.indexing import index_objects
from archive.documents.records import count_pages, is_scanned, keep_scan
from archive.documents.texts import READ_RECORD, FoundText, keep_text
from archive.evidence.models import EvidenceItem
from archive.jobs.queue import ClaimedJob, finish_job
from archive.kernel.canonical import canonical_json
from archive.kernel.digests import digest_of
from archive.kernel.findings import Finding, invalid
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ledger.entries import EntryType, Target
from ingest.follow_ups import LIST_ARCHIVE, READ_DOCUMENT
from ingest.media.archives import list_archive
from ingest.media.errors import ToolMissing, Unplayable
from ingest.media.office import set_as_pdf
from ingest.media.pages import MOST_CHARACTERS, MOST_PAGES, Drawn, PdfFacts, bundle, draw_pages, pdf_facts, pdf_text
from ingest.media.papers import ENCRYPTED_OFFICE, PAPERS, Way
from ingest.media.plain_text import encoding_of, language_of, readable
from ingest.media.scans import ScanFacts, scan_facts
from ingest.workshop import Handler, Made, Report, Workshop

DOCUMENT: Final = "document"
"""The look that says how many pages a document has and which text was read out of it."""
SCAN: Final = "scan"
"""The look that says how sharp a scanned record is, and which of its pages are blank."""
TEXT: Final = "text"
"""What lies beside the renditions of a document's text; no look."""
ARCHIVE: Final = "archive"
"""The look that says what an archive holds."""
PAGES: Final = "pages"
"""The rendition that holds the page pictures: a ZIP without packing, whose recipe says where each picture lies."""
_OURSELVES: Final = "liuhen"
_MOST_PLAIN_BYTES: Final = 4 * MOST_CHARACTERS


@dataclass(slots=True)
class _Seen:
    """What was made of one document. `reason`: why it cannot be looked at; `damage`: what of it cannot."""

    text: FoundText | None = None
    pages: Made | None = None
    facts: PdfFacts | None = None
    drawn: int = 0
    reason: Finding | None = None
    damage: Sequence[Finding] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return what the look keeps: numbers and the digest of the text, not the text."""
        text = self.text
        return {
            "pages": 0 if self.facts is None else self.facts.pages,
            "drawn": self.drawn,
            "has_script": self.facts is not None and self.facts.has_script,
            "characters": 0 if text is None else len(text.text),
            "is_cut": text is not None and text.is_cut,
            "language": "" if text is None else text.language or "",
            "text_sha256": "" if text is None else _sha256(text.text.encode()),
            "findings": [finding.as_json() for finding in (*([self.reason] if self.reason else []), *self.damage)],
        }


@dataclass(frozen=True, slots=True)
class ContentJobs:
    """The jobs that end in pages, text and lists."""

    shop: Workshop

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {
            READ_DOCUMENT: self.shop.with_original(self.read_document),
            LIST_ARCHIVE: self.shop.with_original(self.list_archive),
            READ_RECORD: self.shop.with_original(self.read_record),
        }

    def read_document(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Draw the pages of a document and read its text.

        Raises: what the media steps raise; retryable causes lead to another attempt.
        """
        found = self.shop.probe_of(object_id)
        with self.shop.workplace(job) as out:
            seen = self._look(source, out=out, media_type=found.media_type, report=report)
            stored = None if seen.pages is None else self.shop.store(object_id, seen.pages)
            with self.shop.database.begin() as tx:
                self._write_state(tx, object_id, seen.reason, seen.damage)  # first: the entries tell of it too
                if stored is not None:
                    self.shop.write_rendition(tx, object_id, stored)
                self._write_look(tx, object_id, seen)
                index_objects(tx, [object_id])
                finish_job(tx, job, at=self.shop.now())

    def list_archive(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Write down what an archive holds. Raises: as `read_document`."""
        found = self.shop.probe_of(object_id)
        listing = list_archive(source, toolbox=self.shop.toolbox(), media_type=found.media_type, now=self.shop.now())
        report(900)
        reason = None if listing.entries or not listing.findings else listing.findings[0]
        with self.shop.database.begin() as tx:
            self._write_state(tx, object_id, reason, () if reason else listing.findings)
            self.shop.write_look(tx, object_id, ARCHIVE, listing.as_json(), listing.tool)
            finish_job(tx, job, at=self.shop.now())

    def read_record(self, job: ClaimedJob, report: Report, object_id: ObjectId, source: Path) -> None:
        """Read the text out of a text record, so that it can be found. Raises: as `read_document`."""
        seen, scan = _Seen(), None
        with self.shop.database.read() as tx:
            scanned = is_scanned(tx, object_id)
        with self.shop.workplace(job) as out:
            try:
                self._read_pdf(source, seen)
                if scanned and seen.facts is not None:
                    scan = scan_facts(source, toolbox=self.shop.toolbox(), out=out, pages=seen.facts.pages)
            except (Unplayable, ToolMissing) as exc:
                seen.reason = _finding(exc)
        report(900)
        found = seen.as_json()
        detail = {"look": DOCUMENT, "sha256": _sha256(canonical_json(found)), "text_sha256": found["text_sha256"]}
        at = self.shop.now()
        with self.shop.database.begin() as tx:
            detail["text"] = self._keep_text(tx, object_id, seen, at=at)
            if seen.facts is not None:
                count_pages(tx, object_id, seen.facts.pages)
                detail["pages"] = seen.facts.pages
            self.shop.event(tx, object_id, EntryType.ITEM_DESCRIBED, detail, Target("record", object_id), at=at)
            if scan is not None:
                self._write_scan(tx, object_id, scan, seen)
            index_objects(tx, [object_id])
            finish_job(tx, job, at=self.shop.now())

    def _write_scan(self, tx: Session, object_id: ObjectId, scan: ScanFacts, seen: _Seen) -> None:
        found = scan.as_json() | {
            "has_text": seen.text is not None and bool(seen.text.text.strip()),
            "has_script": seen.facts is not None and seen.facts.has_script,
        }
        at, sha256 = self.shop.now(), self.shop.keep_found(object_id, SCAN, found)
        keep_scan(tx, object_id, found, sha256=sha256, tool=scan.tool, at=at)
        detail = {"look": SCAN, "sha256": sha256, "tool": scan.tool}
        self.shop.event(tx, object_id, EntryType.ITEM_DESCRIBED, detail, Target("record", object_id), at=at)

    def _look(self, source: Path, *, out: Path, media_type: str, report: Report) -> _Seen:
        seen = _Seen()
        paper = PAPERS.get(media_type)
        way = Way.NONE if paper is None else paper.way
        try:
            if way is Way.TEXT:
                seen.text = _plain(source)
            elif way is Way.NONE:
                seen.reason = _no_way(media_type)
            else:
                self._draw(source, seen, out=out, media_type=media_type if way is Way.OFFICE else "", report=report)
        except (Unplayable, ToolMissing) as exc:
            seen.reason = _finding(exc)
        return seen

    def _draw(self, source: Path, seen: _Seen, *, out: Path, media_type: str, report: Report) -> None:
        """Draw the pages and read the text of a PDF, or of an office document once it is one."""
        before: list[dict[str, Any]] = []
        toolbox = self.shop.toolbox()
        if media_type:
            converted = set_as_pdf(source, toolbox=toolbox, out=out, media_type=media_type, most_pages=MOST_PAGES + 1)
            if isinstance(converted, Finding):
                seen.reason = converted
                return
            source, before = converted.path, [converted.step]
        seen.facts = pdf_facts(source, toolbox=toolbox)
        pages = min(seen.facts.pages, MOST_PAGES)
        drawn = draw_pages(source, toolbox=toolbox, out=out, pages=pages, on_progress=report)
        seen.drawn, seen.damage = len(drawn.pages), drawn.findings
        seen.pages = _bundled(drawn, out, before=before)
        self._read_pdf(source, seen, without={int(finding.where) for finding in drawn.findings})

    def _read_pdf(self, source: Path, seen: _Seen, *, without: set[int] | frozenset[int] = frozenset()) -> None:
        toolbox = self.shop.toolbox()
        seen.facts = seen.facts or pdf_facts(source, toolbox=toolbox)
        read = pdf_text(source, toolbox=toolbox, pages=seen.facts.pages, without=without)
        seen.text = FoundText(read.text, language_of(read.text), read.is_cut, read.tool)

    def _write_look(self, tx: Session, object_id: ObjectId, seen: _Seen) -> None:
        found, at = seen.as_json(), self.shop.now()
        tools = [] if seen.facts is None else [seen.facts.tool]
        if seen.text is not None:
            tools.append(seen.text.tool)
        facts = {"text_sha256": found["text_sha256"], "text": self._keep_text(tx, object_id, seen, at=at)}
        self.shop.write_look(tx, object_id, DOCUMENT, found, ", ".join(tools), facts=facts, at=at)

    def _keep_text(self, tx: Session, object_id: ObjectId, seen: _Seen, *, at: Instant) -> str | None:
        """Keep the text of a document; return the digest of what lies of it beside the renditions."""
        if seen.text is None:
            return None
        keep_text(tx, object_id, seen.text, at=at)
        return self.shop.keep_found(object_id, TEXT, asdict(seen.text))

    def _write_state(self, tx: Session, object_id: ObjectId, reason: Finding | None, damage: Sequence[Finding]) -> None:
        told = reason or next(iter(damage), None)
        state = "unplayable" if reason is not None else "damaged" if damage else "playable"
        tx.execute(
            update(EvidenceItem)
            .where(EvidenceItem.object_id == object_id)
            .values(
                play_state=state,
                play_reason=None if told is None else told.code[:64],
                play_note=None if told is None else told.message[:500],
            )
        )
        if reason is not None:
            detail = {"reason": reason.code, "message": reason.message[:500]}
            self.shop.event(tx, object_id, EntryType.DERIVATIVE_FAILED, detail)
            publish_unplayable(tx, object_id, at=self.shop.now())
        else:
            publish_ready(tx, object_id, at=self.shop.now())
        index_objects(tx, [object_id])


def _bundled(drawn: Drawn, out: Path, *, before: list[dict[str, Any]]) -> Made:
    path = out / "pages.zip"
    recipe = {**drawn.step, "before": before, "pages": bundle(drawn.pages, path)}
    return Made(PAGES, path, "application/zip", recipe)


def _plain(source: Path) -> FoundText:
    with source.open("rb") as file:
        data = file.read(_MOST_PLAIN_BYTES)
        is_whole = not file.read(1)
    text = data.decode(encoding_of(data[: 64 * 1024]) or "utf-8", "replace")
    kept, is_cut = readable(text, most=MOST_CHARACTERS)
    return FoundText(kept, language_of(kept), is_cut or not is_whole, _OURSELVES)


def _no_way(media_type: str) -> Finding:
    if media_type == ENCRYPTED_OFFICE:
        return invalid("media.encrypted", "The document opens with a password only")
    return invalid("media.no_converter", f"No program here makes pages of {media_type}")


def _finding(error: Unplayable | ToolMissing) -> Finding:
    return invalid(str(error.facts.get("reason", error.code)), error.message)


def _sha256(data: bytes) -> str:
    return digest_of(data).sha256.hex
