"""The report on a judgement (电子签名验证报告) as a signed PDF/A: what was judged, by what, and what was found.

Its words come from whoever asks, in Chinese and English; `typst/validation.typ` sets it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from archive.documents.typesetting import Typesetter
from archive.kernel.findings import Outcome
from archive.kernel.instants import BUREAU_ZONE, Instant, format_instant, parse_instant
from ingest.judgements import Judgement
from ingest.signer_names import called

REASON: Final = "电子签名验证报告 / Report on electronic signatures"
_MOST_SIGNATURES: Final = 200
_MOST_PLACES: Final = 5


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
class ReportMaker:
    """Sets and signs reports in the name of the archive's organisation. Usable from several threads."""

    typesetter: Typesetter
    signer: ReportSigner
    organisation: str

    def __call__(
        self, judgement: Judgement, *, number: str, say: Saying, words: FindingWords, sentence: tuple[str, str], at: Instant
    ) -> bytes:
        """Return the signed report; `sentence` is the verdict in one sentence. Raises: TypesettingFault, as signing does."""
        told = {
            "organisation": self.organisation,
            "number": number,
            "made_at": _moment(at),
            **told_of(judgement, say=say, words=words),
            "sentence": list(sentence),
        }
        return self.signer.sign_pdf(self.typesetter.set_pdf(told, at=at), reason=REASON)


def told_of(judgement: Judgement, *, say: Saying, words: FindingWords) -> dict[str, Any]:
    """Return all that a judgement tells, in words: pairs of Chinese and English wherever it is no name or number."""
    return _Told(say, words).judgement(judgement)


@dataclass(frozen=True, slots=True)
class _Told:
    say: Saying
    words: FindingWords

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
            "judged_at": _moment(judgement.judged_at),
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
            "claimed_at": _moment_of(found["claimed_at"]),
            "proven_at": _moment_of(found["proven_at"]),
            "timestamp_by": self._signer(found["timestamp_by"]),
            "revocation": list(_revocation(found, self.say)),
            "changes": [list(each) for each in _changes(found, self.say)],
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
            "issuer": by.name if by.name == by.organisation or not by.organisation else f"{by.name}（{by.organisation}）",
            "valid_from": _moment_of(found["valid_from"]),
            "valid_until": _moment_of(found["valid_until"]),
            "is_self_issued": found["is_self_issued"],
            "trusted_as": found["trusted_as"],
        }


def _revocation(found: Mapping[str, Any], say: Saying) -> tuple[str, str]:
    """Return what is known of a signer's revocation, and who said so when."""
    return say(
        f"revocation.{found['revocation']}",
        since=_moment_of(found["revoked_at"]),
        source=found["revocation_source"].upper(),
        at=_moment_of(found["revocation_told_at"]),
    )


def _changes(found: Mapping[str, Any], say: Saying) -> Iterator[tuple[str, str]]:
    """Yield what each later revision did; one sentence where there is none."""
    if not found["changes"]:
        yield say("change.none" if found["covers_whole_file"] else "change.beyond")
    for each in found["changes"]:
        chinese, english = say(f"change.{each['kind']}", revision=each["revision"])
        fields = ", ".join(each["fields"][:_MOST_PLACES]) + (" …" if len(each["fields"]) > _MOST_PLACES else "")
        yield (f"{chinese}（{fields}）", f"{english} ({fields})") if fields else (chinese, english)


def _moment_of(text: str | None) -> str:
    return "" if text is None else _moment(parse_instant(text))


def _moment(at: Instant) -> str:
    local = at.astimezone(BUREAU_ZONE).strftime("%Y-%m-%d %H:%M:%S")
    return f"{local} (UTC+8) = {format_instant(at)[:19]}Z"
