"""The report on a judgement (电子签名验证报告) as a signed PDF/A: what was judged, by what, and what was found.

Its words come from whoever asks, in Chinese and English; `typst/validation.typ` sets it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from archive.db.database import Database
from archive.documents.typesetting import Typesetter
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome
from archive.kernel.ids import JudgementId
from archive.kernel.instants import BUREAU_ZONE, Instant, format_instant, parse_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from ingest.judgements import Judgement
from ingest.models import KeptJudgement
from ingest.signer_names import called
from signing.certificates import SELF_ISSUED

REASON: Final = "电子签名验证报告 / Report on electronic signatures"
_MOST_SIGNATURES: Final = 200
_MOST_PLACES: Final = 5
_MOST_TOLD: Final = 20
_ALTERED: Final = "signature.digest_mismatch"


class Saying(Protocol):
    """Says a text by its key in Chinese and in English."""

    def __call__(self, key: str, **values: object) -> tuple[str, str]:
        """Return both texts."""
        ...


class ReportSigner(Protocol):
    """Signs a PDF; see `signing.pades.PadesSigner`."""

    def sign_pdf(self, pdf: bytes, *, reason: str) -> bytes:
        """Return the PDF with a signature."""
        ...


FindingWords = Callable[[Mapping[str, str]], tuple[str, str]]
"""Returns the words of a finding in Chinese and in English."""


@dataclass(frozen=True, slots=True)
class Words:
    """Where the words of a report come from; `sentence` says a whole judgement in one."""

    say: Saying
    finding: FindingWords
    sentence: Callable[[Judgement], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ReportMaker:
    """Sets and signs reports in the name of the archive's organisation. Usable from several threads."""

    typesetter: Typesetter
    signer: ReportSigner
    organisation: str

    def __call__(self, judgement: Judgement, judgement_id: JudgementId, *, words: Words, at: Instant) -> bytes:
        """Return the signed report. Raises: TypesettingFault, what signing raises."""
        told = {
            "organisation": self.organisation,
            "number": str(judgement_id),
            "made_at": _moment(at),
            **told_of(judgement, words=words, moment=_moment, spoken=_moment),
        }
        return self.signer.sign_pdf(self.typesetter.set_pdf(told, at=at), reason=REASON)


def issue_report(
    database: Database,
    make: ReportMaker,
    judgement: Judgement,
    judgement_id: JudgementId,
    *,
    words: Words,
    by: Actor,
    at: Instant,
) -> bytes:
    """Make the report on a judgement, and write to the log that the archive's key signed one, and which.

    Where the judgement is kept, the report is kept with it; of two that are made at once one counts, and is returned.
    Raises: what making it raises.
    """
    made = make(judgement, judgement_id, words=words, at=at)
    detail = {
        "outcome": judgement.outcome.value,
        "report_sha256": digest_of(made).sha256.hex,
        "trust_lists": [each["sha256"] for each in judgement.lists][:_MOST_TOLD],
        "about": None if judgement.about is None else dict(judgement.about),
    }
    target = Target("validation", judgement_id)
    entry = NewEntry(EntryType.VALIDATION_REPORTED, by, target, digests=judgement.digests, detail=detail)
    with database.begin() as tx:
        kept = tx.get(KeptJudgement, judgement_id, with_for_update=True)
        if kept is not None and kept.report is not None:
            return kept.report
        append_entry(tx, entry, at=at)
        if kept is not None:
            kept.report = made
    return made


def told_of(
    judgement: Judgement, *, words: Words, moment: Callable[[Instant], Any], spoken: Callable[[Instant], str]
) -> dict[str, Any]:
    """Return all that a judgement tells, in words: pairs of Chinese and English wherever it is no name or number.

    `moment` gives the form of a time that stands for itself, `spoken` that of one within a sentence.
    """
    told = _Told(words.say, words.finding, moment, spoken).judgement(judgement)
    return {**told, "sentence": list(words.sentence(judgement))}


@dataclass(frozen=True, slots=True)
class _Told:
    say: Saying
    words: FindingWords
    moment: Callable[[Instant], Any]
    spoken: Callable[[Instant], str]

    def judgement(self, judgement: Judgement) -> dict[str, Any]:
        verdict = judgement.verdict
        signatures = verdict["signatures"]
        beside = [] if judgement.more is None else [each.as_json() for each in judgement.more.findings]
        return {
            "outcome": judgement.outcome.value,
            "outcome_word": self._pair(f"outcome.{judgement.outcome.value}"),
            "file": {**judgement.file, "kind": self._pair(f"judged_kind.{judgement.kind.value}")},
            "content": judgement.content,
            "about": None if judgement.about is None else f"{judgement.about['kind']} {judgement.about['id']}",
            "revisions": verdict["revisions"],
            "judged_at": self.moment(judgement.judged_at),
            "judge": judgement.judge,
            "lists": [dict(each) for each in judgement.lists],
            "findings": self._findings([*beside, *verdict["findings"]]),
            "signatures": [self._signature(each) for each in signatures[:_MOST_SIGNATURES]],
            "left_out": max(0, len(signatures) - _MOST_SIGNATURES),
            "second": None
            if judgement.second is None
            else {
                "key": judgement.second.fingerprint,
                "outcome": judgement.second.report.outcome.value,
                "outcome_word": self._pair(f"outcome.{judgement.second.report.outcome.value}"),
                "findings": self._findings([each.as_json() for each in judgement.second.report.findings]),
            },
        }

    def _pair(self, key: str, **values: object) -> list[str]:
        return list(self.say(key, **values))

    def _findings(self, found: list[Any]) -> list[dict[str, Any]]:
        order = [Outcome.INVALID.value, Outcome.INDETERMINATE.value, Outcome.VALID.value]
        told: dict[tuple[str, str], dict[str, Any]] = {}
        for each in sorted(found, key=lambda one: order.index(one["outcome"])):
            group = told.setdefault(
                (each["outcome"], each["code"]),
                {
                    "outcome": each["outcome"],
                    "outcome_word": self._pair(f"outcome.{each['outcome']}"),
                    "code": each["code"],
                    "words": list(self.words(each)),
                    "count": 0,
                },
            )
            group["count"] += 1
        return list(told.values())

    def _signature(self, found: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "outcome": found["outcome"],
            "outcome_word": self._pair(f"outcome.{found['outcome']}"),
            "title": self._pair(f"judged.{'document_timestamp' if found['is_document_timestamp'] else 'signature'}"),
            "field": found["field"],
            "is_document_timestamp": found["is_document_timestamp"],
            "level": found["level"],
            "level_word": self._pair(f"level.{found['level']}"),
            "signer": self._signer(found["signer"]),
            "claimed_at": self._moment(found["claimed_at"]),
            "proven_at": self._moment(found["proven_at"]),
            "timestamp_by": self._signer(found["timestamp_by"]),
            "revocation": self._revocation(found),
            "changes": list(self._changes(found)),
            "findings": self._findings(list(found["findings"])),
        }

    def _signer(self, found: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if found is None:
            return None
        who, by = called(found["subject"]), called(found["issuer"])
        return {
            "name": who.name,
            "organisation": who.organisation,
            "number": who.number,
            "serial": found["serial"],
            "sha256": found["sha256"],
            "issuer": by.name if by.organisation in by.name else f"{by.name}（{by.organisation}）",
            "valid_from": self._moment(found["valid_from"]),
            "valid_until": self._moment(found["valid_until"]),
            "is_self_issued": found["is_self_issued"],
            "trusted_as": self._vouching(found["trusted_as"]),
        }

    def _vouching(self, name: str) -> list[str] | None:
        if name == SELF_ISSUED:
            return self._pair("trust_lists.embedded")
        return [name, name] if name else None

    def _revocation(self, found: Mapping[str, Any]) -> list[str]:
        """Return what is known of a signer's revocation, and who said so when."""
        return self._pair(
            f"revocation.{found['revocation']}",
            since=self._spoken(found["revoked_at"]),
            source=found["revocation_source"].upper(),
            at=self._spoken(found["revocation_told_at"]),
        )

    def _changes(self, found: Mapping[str, Any]) -> Iterator[list[str]]:
        """Yield what each later revision did; one sentence where there is none."""
        if any(each["code"] == _ALTERED for each in found["findings"]):
            yield self._pair("change.altered")
        elif not found["changes"]:
            yield self._pair("change.none" if found["covers_whole_file"] else "change.beyond")
        for each in found["changes"]:
            chinese, english = self.say(f"change.{each['kind']}", revision=each["revision"])
            fields = ", ".join(each["fields"][:_MOST_PLACES]) + (" …" if len(each["fields"]) > _MOST_PLACES else "")
            yield [f"{chinese}（{fields}）", f"{english} ({fields})"] if fields else [chinese, english]

    def _moment(self, text: str | None) -> Any:
        return None if text is None else self.moment(parse_instant(text))

    def _spoken(self, text: str | None) -> str:
        return "" if text is None else self.spoken(parse_instant(text))


def _moment(at: Instant) -> str:
    local = at.astimezone(BUREAU_ZONE).strftime("%Y-%m-%d %H:%M:%S")
    return f"{local} (UTC+8) = {format_instant(at)[:19]}Z"
