"""What the index of a volume says, made from the case file as it stands. Format: docs/formats/volume-index.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from archive.calendar.days import local_day
from archive.kernel.canonical import parse_canonical
from archive.kernel.ids import CaseId, ObjectId, parse_uuid
from archive.kernel.instants import Instant, format_instant
from archive.volumes.arranging import Line
from archive.volumes.index import VolumeIndex, make_index
from archive.volumes.models import VolumeClosing
from archive.volumes.papers import FiledPaper
from archive.volumes.rules import VolumeKind, VolumeRules
from archive.volumes.standing import CaseFile

KIND: Final = "volume"
"""The kind of object that a closed volume is kept as."""
_RETENTION: Final = {"Y": "永久", "D30": "30年", "D10": "10年"}


@dataclass(frozen=True, slots=True)
class ReadIndex:
    """The index of a volume, read again: its bytes and what they say."""

    body: bytes
    told: Mapping[str, Any]

    @classmethod
    def of(cls, body: bytes) -> "ReadIndex":
        """Read an index. Raises: NotCanonical."""
        return cls(body, parse_canonical(body))

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        """The lines of the catalogue."""
        return list(self.told["lines"])

    @property
    def object_ids(self) -> Sequence[ObjectId]:
        """What stands in the volume, in its order."""
        return [ObjectId(parse_uuid(line["object"])) for line in self.lines]

    @property
    def case_id(self) -> CaseId:
        """The case whose papers these are."""
        return CaseId(parse_uuid(self.told["case"]["id"]))


def index_of(
    file: CaseFile, closing: VolumeClosing, rules: VolumeRules, *, people: Mapping[str, str], at: Instant
) -> VolumeIndex:
    """Return the index of a volume that is being closed. `people` are the names of who made and who checked it.

    Raises: VolumeEmpty.
    """
    kind = VolumeKind(closing.kind)
    standing = file.volumes[kind]
    case = file.case
    head = {
        "volume": str(closing.volume_id),
        "object": str(closing.object_id),
        "kind": kind.value,
        "sequence": standing.sequence,
        "file_number": rules.file_number(year=closing.year, serial=closing.serial),
        "retention": retention_words(rules.period),
        "agency": file.agency.name,
        "case": _without_none(
            {
                "id": str(case.id),
                "number": case.number,
                "title": case.title,
                "category": case.category,
                "opened": local_day(case.opened_at).isoformat(),
                "closed": None if case.closed_at is None else local_day(case.closed_at).isoformat(),
            }
        ),
        "made": format_instant(at),
        **people,
        "rules": {"from": rules.since.isoformat(), "set_by": rules.set_by},
        "pages": standing.arranged.pages,
    }
    return make_index(head, list(_lines(standing.arranged.lines, file)))


def retention_words(period: str) -> str:
    """Return the words of a retention period (保管期限) as covers have them. Source: DA/T 13-2022."""
    return _RETENTION.get(period, period)


def name_of(told: Mapping[str, Any], rules: VolumeRules) -> str:
    """Return what the object of a volume is called."""
    return f"{told['file_number']} {rules.words[VolumeKind(told['kind'])]}"


def _lines(lines: Sequence[Line], file: CaseFile) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        found: FiledPaper = file.papers[line.paper.object_id]
        yield _without_none(
            {
                "number": line.number,
                "section": line.section,
                "object": str(line.paper.object_id),
                "kind": found.kind,
                "form": None if line.paper.form is None else line.paper.form.value,
                "title": line.paper.title,
                "document_number": found.number,
                "author": found.author or None,
                "date": local_day(line.paper.dated_at).isoformat(),
                "first_page": line.first_page,
                "last_page": line.last_page,
                "duration_ms": found.duration_ms,
                "media_type": found.original.media_type,
                "size": found.original.size_bytes,
                "sha256": found.original.sha256,
                "sha512": found.original.sha512,
            }
        )


def _without_none(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}
