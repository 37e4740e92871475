"""Hand signatures of parties, and refusals to sign: what is sealed into the signature dictionary of a document.

The record lies in the signed bytes of the PDF, under a private key of the signature dictionary; the key that signs says
that it is the service's, not the party's. Source: docs/formats/signed-documents.md, ISO 32000-1 annex E.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.errors import InvalidInput
from signing.appearances import Appearance, Line, lines_appearance, strokes_appearance
from signing.typefaces import Typeface

MOST_POINTS: Final = 50_000
MOST_TEXT_CHARS: Final = 2_000
MOST_RECORD_BYTES: Final = 4 * 1024 * 1024
_MOST_UM: Final = 2_000_000
_MOST_MS: Final = 3_600_000
_MOST_PRESSURE: Final = 1_000


class HandSignatureRefused(InvalidInput):
    """The strokes are none that a hand made: no point, too many, outside the field, or back in time."""

    code = "signing.hand_signature_refused"


class HandRecordUnreadable(InvalidInput):
    """What is sealed into the document is neither a hand signature nor a refusal as they are written here."""

    code = "signing.hand_record_unreadable"


@dataclass(frozen=True, slots=True)
class Point:
    """Where the pen was: from the upper left, since the first point, and how hard it was pressed, from 0 to 1,000."""

    x_um: int
    y_um: int
    at_ms: int
    pressure: int


@dataclass(frozen=True, slots=True)
class HandSignature:
    """The strokes of a party's signature by hand."""

    party: str
    strokes: Sequence[Sequence[Point]]

    def __post_init__(self) -> None:
        """Refuse what no hand made. Raises: HandSignatureRefused."""
        points = [point for stroke in self.strokes for point in stroke]
        times = [point.at_ms for point in points]
        if not 0 < len(points) <= MOST_POINTS or not all(self.strokes) or not 0 < len(self.party) <= MOST_TEXT_CHARS:
            raise HandSignatureRefused(points=len(points))
        if times != sorted(times) or times[0] < 0 or times[-1] > _MOST_MS:
            raise HandSignatureRefused("The times of the strokes run backwards")
        if not all(
            0 <= point.x_um <= _MOST_UM and 0 <= point.y_um <= _MOST_UM and 0 <= point.pressure <= _MOST_PRESSURE
            for point in points
        ):
            raise HandSignatureRefused("A point lies outside the field")

    def appearance(self, *, width: float, height: float) -> Appearance:
        """Return the strokes as they are shown on the page. Units: points."""
        drawn = [[(point.x_um, point.y_um, point.pressure / _MOST_PRESSURE) for point in each] for each in self.strokes]
        return strokes_appearance(drawn, width=width, height=height)

    def record(self) -> bytes:
        """Return the canonical JSON that is sealed in."""
        points = [[[point.x_um, point.y_um, point.at_ms, point.pressure] for point in each] for each in self.strokes]
        return canonical_json({"kind": "signature", "party": self.party, "points": points, "unit": "um", "v": 1})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A party's refusal to sign: why, who saw it, and the number of the recording that shows it, if there is one."""

    party: str
    reason: str
    witness: str
    recording: str = ""

    def __post_init__(self) -> None:
        """Demand party, reason and witness. Raises: HandSignatureRefused."""
        texts = (self.party, self.reason, self.witness)
        if not all(0 < len(text) <= MOST_TEXT_CHARS for text in texts) or len(self.recording) > MOST_TEXT_CHARS:
            raise HandSignatureRefused("A refusal names the party, the reason and the witness")

    def appearance(self, typeface: Typeface, *, width: float, height: float) -> Appearance:
        """Return the refusal as it is shown on the page. Units: points. Raises: TypefaceRefused."""
        lines = [Line("当事人拒绝签名", 12), Line(f"理由：{self.reason}", 8), Line(f"见证人：{self.witness}", 8)]
        if self.recording:
            lines.append(Line(f"录音录像：{self.recording}", 8))
        return lines_appearance(typeface, lines, width=width, height=height)

    def record(self) -> bytes:
        """Return the canonical JSON that is sealed in."""
        told = {"party": self.party, "reason": self.reason, "recording": self.recording, "witness": self.witness}
        return canonical_json({"kind": "refusal", **told, "v": 1})


def read_record(raw: bytes) -> HandSignature | Refusal:
    """Return what a record says. Raises: HandRecordUnreadable."""
    try:
        return _read(parse_canonical(raw))
    except (InvalidInput, KeyError, TypeError, ValueError) as exc:
        raise HandRecordUnreadable from exc


def deflate(record: bytes) -> bytes:
    """Return the bytes that go into the document."""
    return zlib.compress(record, 9)


def inflate(sealed: bytes) -> bytes:
    """Return the record in the bytes from a document. Raises: HandRecordUnreadable."""
    opened = zlib.decompressobj()
    try:
        record = opened.decompress(sealed, MOST_RECORD_BYTES)
    except zlib.error as exc:
        raise HandRecordUnreadable from exc
    if not opened.eof or opened.unused_data:
        raise HandRecordUnreadable
    return record


def _read(value: Any) -> HandSignature | Refusal:
    if value["kind"] == "refusal":
        found: HandSignature | Refusal = Refusal(value["party"], value["reason"], value["witness"], value["recording"])
    else:
        strokes = [[Point(*(int(each) for each in point)) for point in stroke] for stroke in value["points"]]
        found = HandSignature(value["party"], strokes)
    if found.record() != canonical_json(value):
        raise HandRecordUnreadable
    return found
