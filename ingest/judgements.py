"""Judging a signed file from outside: what it is, what was found, by which trust lists of which day.

The file itself is read in the sandbox only (`ingest.documents`); here it is a path, a name and digests.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

from archive.kernel.digests import DigestSet
from archive.kernel.findings import Finding, Outcome, Report, worst
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.ports.clock import Clock
from ingest.documents import judge_in_sandbox
from ingest.media.sandbox import Sandbox
from signing.validation.lists import NamedList, joined
from signing.validation.requests import ValidationRequest

RULES: Final = "liuhen-validation 1"
"""The version of the rules that are judged by; it rises with every change that can change a verdict."""
_HEADER_WITHIN: Final = 1024


class FileKind(StrEnum):
    """What kind of signed file it is."""

    PDF = "pdf"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file that is judged, or that was signed: where it lies, what it is called, and its digests.

    `content_digests` are by the names of `signing.validation.requests.CONTENT_HASHES`; needed of what was signed only.
    """

    path: Path
    name: str
    digests: DigestSet
    content_digests: Mapping[str, bytes] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what a report says of the file."""
        return {"name": self.name, "size": self.digests.size_bytes, "sha256": self.digests.sha256.hex}


@dataclass(frozen=True, slots=True)
class SecondSignature:
    """What was found of the SM2/SM3 signature beside a record, by the fingerprint of its key."""

    fingerprint: str
    report: Report

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"key": self.fingerprint, **self.report.as_json()}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was judged, and what was found: `verdict` has the form of `DocumentVerdict.as_json`.

    `about` says what a file of this archive is: its kind and id. `more` are findings from beside the file.
    """

    kind: FileKind
    file: Mapping[str, Any]
    digests: DigestSet
    content: Mapping[str, Any] | None
    judged_at: Instant
    lists: Sequence[Mapping[str, Any]]
    verdict: Mapping[str, Any]
    second: SecondSignature | None = None
    about: Mapping[str, str] | None = None
    more: Report | None = None

    @property
    def outcome(self) -> Outcome:
        """The worst of the file's verdict, the second signature and what was found beside."""
        reports = (None if self.second is None else self.second.report, self.more)
        beside = [each.outcome for each in reports if each is not None]
        return worst([Outcome(self.verdict["outcome"]), *beside])

    @property
    def findings(self) -> Sequence[Mapping[str, str]]:
        """All findings: from beside the file, of the file as a whole, of each signature, of the second signature."""
        return tuple(self._findings())

    @property
    def cause(self) -> str:
        """The code that the outcome comes from; empty where all is valid."""
        found = (each["code"] for each in self._findings() if each["outcome"] == self.outcome.value)
        return "" if self.outcome is Outcome.VALID else next(found, "document.unsigned")

    @property
    def judge(self) -> str:
        """Which rules and which reader of PDFs judged."""
        return f"{RULES}, pyHanko {version('pyhanko')}"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: outcome first."""
        return {
            "outcome": self.outcome.value,
            "cause": self.cause,
            "judge": self.judge,
            "judged_at": format_instant(self.judged_at),
            "kind": self.kind.value,
            "file": dict(self.file),
            "content": None if self.content is None else dict(self.content),
            "about": None if self.about is None else dict(self.about),
            "trust_lists": [dict(each) for each in self.lists],
            "verdict": dict(self.verdict),
            "second_signature": None if self.second is None else self.second.as_json(),
            "findings_beside": None if self.more is None else self.more.as_json(),
        }

    def to_bytes(self) -> bytes:
        """Return all of it, for `from_bytes`."""
        told = {**self.as_json(), "digests": self.digests.as_json(), "size": self.digests.size_bytes}
        return json.dumps(told, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `to_bytes` kept."""
        told = json.loads(data)
        second, more = told["second_signature"], told["findings_beside"]
        return cls(
            kind=FileKind(told["kind"]),
            file=told["file"],
            digests=DigestSet.from_json(told["size"], told["digests"]),
            content=told["content"],
            judged_at=parse_instant(told["judged_at"]),
            lists=told["trust_lists"],
            verdict=told["verdict"],
            second=None if second is None else SecondSignature(second["key"], _report_of(second)),
            about=told["about"],
            more=None if more is None else _report_of(more),
        )

    def _findings(self) -> Iterator[Mapping[str, str]]:
        if self.more is not None:
            yield from (each.as_json() for each in self.more.findings)
        yield from self.verdict["findings"]
        for signature in self.verdict["signatures"]:
            yield from signature["findings"]
        if self.second is not None:
            yield from (each.as_json() for each in self.second.report.findings)


def _report_of(told: Mapping[str, Any]) -> Report:
    return Report(
        tuple(
            Finding(each["code"], Outcome(each["outcome"]), each["message"], each["where"]) for each in told["findings"]
        )
    )


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges files by the trust lists that stand now. `lists` reads them anew for each file."""

    sandbox: Sandbox
    clock: Clock
    lists: Callable[[], Sequence[NamedList]]

    def judge(self, file: SignedFile, *, content: SignedFile | None = None) -> Judgement:
        """Judge a PDF, or a container over `content`, as of now. Whatever the bytes are, there is a judgement.

        Raises: SandboxUnavailable, ToolMissing; OSError when the file is not there; what reading the lists raises.
        """
        lists, at, kind = self.lists(), self.clock.now(), kind_of(file.path)
        is_detached = kind is FileKind.CONTAINER and content is not None
        asked = ValidationRequest(
            kind=kind.value,
            at=at,
            trust=joined(lists),
            crls=[crl for each in lists for crl in each.crls],
            digests=content.content_digests if content is not None and is_detached else None,
        )
        return Judgement(
            kind=kind,
            file=file.as_json(),
            digests=file.digests,
            content=content.as_json() if content is not None and is_detached else None,
            judged_at=at,
            lists=[each.as_json() for each in lists],
            verdict=judge_in_sandbox(file.path, asked, sandbox=self.sandbox),
        )


def kind_of(path: Path) -> FileKind:
    """Return what a file is by how it begins: a container where it is ASN.1 or PEM, else a PDF, which tells itself."""
    with path.open("rb") as file:
        begins = file.read(_HEADER_WITHIN)
    if b"%PDF-" not in begins and (begins[:1] == b"0" or begins.lstrip().startswith(b"-----BEGIN")):
        return FileKind.CONTAINER
    return FileKind.PDF
