"""The sheets of a volume as PDF/A with room for the seal: cover 卷皮, catalogue 卷内目录, remarks sheet 备考表.

They say what the index says, in the words of paper, so they can be made from it at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, Final

from archive.calendar.days import local_day
from archive.documents.typesetting import SetDocument, Typesetter
from archive.kernel.instants import parse_instant
from archive.volumes.rules import VolumeKind, VolumeRules
from signing.document_fields import Box, SignatureField, prepare

SHEETS: Final = ("cover", "catalogue", "remarks")
SEAL_FIELD: Final = "seal"
_DIGEST_CHARACTERS: Final = 12
_KINDS: Final = {"footage": "录像", "audio": "录音", "photo": "照片", "document": "电子文件", "archive": "压缩包"}
_NOT_STAMPED: Final = "页号只编入卷内目录，未加盖在已签名的文书上；各件以目录所列摘要值为准。"


@dataclass(frozen=True, slots=True)
class SheetMaker:
    """Sets the sheets of volumes, with compilers that are kept. Usable from several threads."""

    rules: VolumeRules
    setters: Mapping[str, Typesetter]

    @classmethod
    def of(cls, rules: VolumeRules) -> "SheetMaker":
        """Take the layouts of the sheets."""
        return cls(rules, {name: Typesetter(f"volume-{name}") for name in SHEETS})

    def set_sheets(self, told: Mapping[str, Any], beside: Mapping[str, str]) -> Mapping[str, bytes]:
        """Return the sheets of an index by name, each with an empty field for the seal.

        `beside` holds what the index leaves to others: `subject`, `officers`, `remarks` and how many volumes there are.
        Raises: TypesettingFault.
        """
        data, at = _data(told, self.rules, beside), parse_instant(told["made"])
        return {name: _with_field(setter.set_document(data, at=at)) for name, setter in self.setters.items()}


def _with_field(document: SetDocument) -> bytes:
    fields = [
        SignatureField(SEAL_FIELD, Box(place.page - 1, *place.box))
        for place in document.places
        if place.name == SEAL_FIELD
    ]
    return prepare(document.pdf, signatures=fields)


def _data(told: Mapping[str, Any], rules: VolumeRules, beside: Mapping[str, str]) -> dict[str, Any]:
    lines, case = told["lines"], told["case"]
    footage = [line for line in lines if "first_page" not in line]
    papers, pages = f"{len(lines)}件", f"{told['pages']}页"
    counted = f"本卷共{papers}，{pages}" + (f"；其中录音录像等电子件{len(footage)}件。" if footage else "。")
    remarks = [counted, _NOT_STAMPED, *(part for part in beside["remarks"].split("\n") if part.strip())]
    word = rules.words[VolumeKind(told["kind"])]
    return {
        "file_number": told["file_number"],
        "agency": told["agency"],
        "volume": word if told["sequence"] == 1 else f"{word}之{told['sequence']}",
        "title": case["title"],
        "case_number": case["number"],
        "subject": beside["subject"],
        "opened": _day(case["opened"]),
        "closed": _day(case["closed"]) if "closed" in case else None,
        "filed": _written(local_day(parse_instant(told["made"]))),
        "officers": beside["officers"],
        "retention": told["retention"],
        "papers": papers,
        "pages": pages,
        "of": beside["of"],
        "part": beside["part"],
        "remarks": remarks,
        "made_by": told["made_by"],
        "checked_by": told["checked_by"],
        "sections": [
            {"name": name, "lines": list(map(_line, found))}
            for name, found in groupby(lines, key=lambda line: line["section"])
        ],
    }


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": line["number"],
        "document_number": line.get("document_number", ""),
        "author": line.get("author", ""),
        "title": line["title"],
        "date": line["date"],
        "pages": pages_words(line.get("first_page"), line.get("last_page")),
        "note": "\n".join(_notes(line)),
    }


def pages_words(first: int | None, last: int | None) -> str:
    """Return the pages of a line; a dash for what has none."""
    if first is None:
        return "—"
    return str(first) if first == last else f"{first}-{last}"


def _notes(line: Mapping[str, Any]) -> Sequence[str]:
    if line["kind"] == "record":
        return ()
    kind = _KINDS.get(line["kind"], "电子件")
    length = f" {duration_words(line['duration_ms'])}" if "duration_ms" in line else ""
    return (f"{kind}{length}", f"SHA-256 {line['sha256'][:_DIGEST_CHARACTERS]}…")


def duration_words(duration_ms: int) -> str:
    """Return how long footage is, in Chinese: hours, minutes, seconds."""
    seconds = round(duration_ms / 1000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{hours}时" if hours else "", f"{minutes}分" if hours or minutes else "", f"{seconds:02}秒"]
    return "".join(parts)


def _day(text: str) -> str:
    return _written(date.fromisoformat(text))


def _written(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"
