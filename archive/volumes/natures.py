"""The four natures of electronic records (四性) and the checks that each is made of. Pure.

Authenticity 真实性, integrity 完整性, usability 可用性, security 安全性.
Source: DA/T 70-2018, GB/T 18894-2016 section 9.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from archive.kernel.findings import Outcome

_MOST_FAULTS: Final = 20


class Nature(StrEnum):
    """What is asked of a volume."""

    AUTHENTICITY = "authenticity"
    INTEGRITY = "integrity"
    USABILITY = "usability"
    SECURITY = "security"


class VolumeQuestion(StrEnum):
    """A named check; which nature it belongs to says `NATURE_OF`."""

    INDEX_SIGNED = "index_signed"
    SHEETS_SEALED = "sheets_sealed"
    RECORDS_SIGNED = "records_signed"
    MANIFESTS_SIGNED = "manifests_signed"
    INDEX_ROOT = "index_root"
    DIGESTS = "digests"
    LOGGED = "logged"
    METADATA = "metadata"
    PAGES_RUN = "pages_run"
    OPENABLE = "openable"
    PAGE_COUNTS = "page_counts"
    FORMATS = "formats"
    NO_SCRIPTS = "no_scripts"
    NO_ENCRYPTION = "no_encryption"
    NO_ATTACHMENTS = "no_attachments"


NATURE_OF: Final[Mapping[VolumeQuestion, Nature]] = {
    **dict.fromkeys(list(VolumeQuestion)[:4], Nature.AUTHENTICITY),
    **dict.fromkeys(list(VolumeQuestion)[4:9], Nature.INTEGRITY),
    **dict.fromkeys(list(VolumeQuestion)[9:12], Nature.USABILITY),
    **dict.fromkeys(list(VolumeQuestion)[12:], Nature.SECURITY),
}
FORMATS: Final = frozenset(
    {
        *("application/pdf", "application/ofd", "text/plain", "image/jpeg", "image/png", "image/tiff"),
        *("video/mp4", "video/x-matroska", "video/mp2t", "video/quicktime", "video/x-msvideo", "video/mpeg"),
        *("audio/mpeg", "audio/mp4", "audio/wav", "audio/x-wav", "audio/flac", "audio/aac"),
    }
)
"""Formats that are read for long. Source: GB/T 18894-2016 appendix; GB/T 33190, DA/T 47."""
NEEDED: Final = ("number", "section", "object", "kind", "title", "date", "media_type", "size", "sha256", "sha512")
"""What every line of an index says."""
_RANK: Final = (Outcome.VALID, Outcome.INDETERMINATE, Outcome.INVALID)


@dataclass(slots=True)
class Answers:
    """What was found, question by question: how often, the worst of it, and where it was not valid."""

    _counts: dict[VolumeQuestion, int] = field(default_factory=dict)
    _worst: dict[VolumeQuestion, Outcome] = field(default_factory=dict)
    _faults: dict[VolumeQuestion, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, question: VolumeQuestion, outcome: Outcome, *, where: str, code: str = "") -> None:
        """Note one answer; `where` is the number of a line, or what beside the lines it is about."""
        self._counts[question] = self._counts.get(question, 0) + 1
        self._worst[question] = max(self._worst.get(question, Outcome.VALID), outcome, key=_RANK.index)
        faults = self._faults.setdefault(question, [])
        if outcome is not Outcome.VALID and len(faults) < _MOST_FAULTS:
            faults.append({"where": where, "code": code, "outcome": outcome.value})

    def hold(self, question: VolumeQuestion, holds: bool, *, where: str, code: str = "") -> None:  # noqa: FBT001 - what is noted
        """Note that something holds, or does not."""
        self.add(question, Outcome.VALID if holds else Outcome.INVALID, where=where, code=code)

    @property
    def outcome(self) -> Outcome:
        """The worst of all; without any answer it is indeterminate."""
        return max(self._worst.values(), default=Outcome.INDETERMINATE, key=_RANK.index)

    def as_json(self) -> list[dict[str, Any]]:
        """Return every question in its order; what was asked of nothing has no outcome."""
        return [
            {
                "nature": NATURE_OF[question].value,
                "check": question.value,
                "count": self._counts.get(question, 0),
                "outcome": self._worst[question].value if question in self._worst else None,
                "faults": self._faults.get(question, []),
            }
            for question in VolumeQuestion
        ]


def ask_index(answers: Answers, told: Mapping[str, Any], *, root: str) -> None:
    """Ask what the index alone answers: its root, its metadata, whether the pages run without a hole, the formats.

    `root` is the one over its lines as they are.
    """
    answers.hold(VolumeQuestion.INDEX_ROOT, told["root"] == root, where="index", code="check.root_differs")
    page = 0
    for at, line in enumerate(told["lines"], start=1):
        where = str(at)
        missing = [name for name in NEEDED if not line.get(name)]
        answers.hold(VolumeQuestion.METADATA, not missing, where=where, code="check.metadata_missing")
        runs = line["number"] == at
        if "first_page" in line:
            runs = runs and line["first_page"] == page + 1 and line["last_page"] > page
            page = line["last_page"]
        answers.hold(VolumeQuestion.PAGES_RUN, runs, where=where, code="check.pages_broken")
        is_known = line.get("media_type") in FORMATS
        known = Outcome.VALID if is_known else Outcome.INDETERMINATE
        answers.add(VolumeQuestion.FORMATS, known, where=where, code="check.format_unknown")
    answers.hold(VolumeQuestion.PAGES_RUN, page == told["pages"], where="index", code="check.pages_broken")


def natures_of(findings: Sequence[Mapping[str, Any]]) -> Mapping[Nature, Sequence[Mapping[str, Any]]]:
    """Return the answers by their nature."""
    return {nature: [each for each in findings if each["nature"] == nature.value] for nature in Nature}
