"""What a hold may ask for: a closed small vocabulary, kept as canonical JSON, answered by indexes of the catalogue.

Every part that is given must be met. A query names the unit whose things it asks for, those of the units below it too.
The same question has two forms, one for the database and one for facts that are known already; a property test holds
them against each other.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from archive.cases.models import Case, CaseLink
from archive.cases.terms import Category
from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem
from archive.kernel.canonical import NotCanonical, canonical_json, parse_canonical
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.volumes.models import Volume
from retention.holding.terms import ITEM_KINDS, HeldKind

MAX_SERIAL_CHARACTERS: Final = 128
MAX_OFFICER_CHARACTERS: Final = 32
MAX_PREFIX_CHARACTERS: Final = 100
_LAST: Final = "\U0010ffff"
"""Comes after whatever may follow a prefix: both databases compare texts by their code points."""
_NAMES: Final = ("unit", "device", "officer", "recorded_from", "recorded_until", "category", "number_prefix", "kind")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")


class BadHoldQuery(InvalidInput):
    """A query names a unit, and asks for nothing but device, officer, time of recording, category, number and kind."""

    code = "holds.bad_query"


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """What is known of an object that queries ask about: the units that have it, itself and those above, its cases.

    `taken_at` is when it was recorded, or received where that is not known. `cases` are category and number of each.
    """

    units: frozenset[UUID]
    kind: str
    device_serial: str | None
    officer_number: str | None
    taken_at: Instant | None
    cases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HoldQuery:
    """What is asked for. `recorded_until` is not meant with. Raises: BadHoldQuery."""

    unit_id: UUID
    device_serial: str | None = None
    officer_number: str | None = None
    recorded_from: Instant | None = None
    recorded_until: Instant | None = None
    category: Category | None = None
    number_prefix: str | None = None
    kind: HeldKind | None = None

    def __post_init__(self) -> None:
        """Refuse texts that no row can have, and times that no moment lies between."""
        for text, most in (
            (self.device_serial, MAX_SERIAL_CHARACTERS),
            (self.officer_number, MAX_OFFICER_CHARACTERS),
            (self.number_prefix, MAX_PREFIX_CHARACTERS),
        ):
            if text is not None and not _is_clean(text, most):
                raise BadHoldQuery
        if self.recorded_from and self.recorded_until and self.recorded_from >= self.recorded_until:
            raise BadHoldQuery("A query asks for recordings between two times, the first of which is the earlier one")

    @property
    def told(self) -> Mapping[str, str]:
        """The parts that are given, by their names."""
        told = {
            "unit": str(self.unit_id),
            "device": self.device_serial,
            "officer": self.officer_number,
            "recorded_from": None if self.recorded_from is None else format_instant(self.recorded_from),
            "recorded_until": None if self.recorded_until is None else format_instant(self.recorded_until),
            "category": None if self.category is None else self.category.value,
            "number_prefix": self.number_prefix,
            "kind": None if self.kind is None else self.kind.value,
        }
        return {name: value for name, value in told.items() if value is not None}

    @property
    def text(self) -> str:
        """The query as canonical JSON, as it is kept and logged."""
        return canonical_json(self.told).decode()

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a query as it is kept. Raises: BadHoldQuery."""
        try:
            told = parse_canonical(text.encode())
        except (NotCanonical, UnicodeEncodeError) as exc:
            raise BadHoldQuery from exc
        if not isinstance(told, dict) or not set(told) <= set(_NAMES) or "unit" not in told:
            raise BadHoldQuery
        if not all(isinstance(value, str) for value in told.values()):
            raise BadHoldQuery
        try:
            return cls(
                unit_id=parse_uuid(told["unit"]),
                device_serial=told.get("device"),
                officer_number=told.get("officer"),
                recorded_from=_moment(told.get("recorded_from")),
                recorded_until=_moment(told.get("recorded_until")),
                category=None if "category" not in told else Category(told["category"]),
                number_prefix=told.get("number_prefix"),
                kind=None if "kind" not in told else HeldKind(told["kind"]),
            )
        except (InvalidInput, ValueError) as exc:
            raise BadHoldQuery from exc

    def covers(self, facts: QueryFacts) -> bool:
        """Return whether an object of which this is known is asked for."""
        return (
            self.unit_id in facts.units
            and (self.device_serial is None or self.device_serial == facts.device_serial)
            and (self.officer_number is None or self.officer_number == facts.officer_number)
            and (self.kind is None or self.kind == facts.kind)
            and self._is_in_time(facts.taken_at)
            and (not self._asks_of_cases or any(self._is_of(category, number) for category, number in facts.cases))
        )

    def select(self, units: Collection[UUID]) -> Select[UUID]:
        """Return the query for the ids of what is asked for; `units` are the unit and all below it."""
        query = select(PreservedObject.id).where(PreservedObject.unit_id.in_(units))
        conditions = list(self._of_item())
        if conditions or self.kind in ITEM_KINDS:
            query = query.join(EvidenceItem, EvidenceItem.object_id == PreservedObject.id)
        if self.kind is not None:
            of_item = self.kind in ITEM_KINDS
            conditions.append(
                EvidenceItem.kind == self.kind.value if of_item else PreservedObject.kind == self.kind.value
            )
        if self._asks_of_cases:
            filed, bound = exists().where(CaseLink.object_id == PreservedObject.id), CaseLink.case_id
            volume, of_volume = exists().where(Volume.object_id == PreservedObject.id), Volume.case_id
            conditions.append(or_(self._of_case(filed, bound), self._of_case(volume, of_volume)))
        return query.where(*conditions)

    @property
    def _asks_of_cases(self) -> bool:
        return self.category is not None or self.number_prefix is not None

    def _is_in_time(self, at: Instant | None) -> bool:
        if self.recorded_from is None and self.recorded_until is None:
            return True
        return (
            at is not None
            and (self.recorded_from is None or self.recorded_from <= at)
            and (self.recorded_until is None or at < self.recorded_until)
        )

    def _is_of(self, category: str, number: str) -> bool:
        return (self.category is None or self.category == category) and (
            self.number_prefix is None or number.startswith(self.number_prefix)
        )

    def _of_item(self) -> Sequence[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.device_serial is not None:
            found.append(EvidenceItem.device_serial == self.device_serial)
        if self.officer_number is not None:
            found.append(EvidenceItem.officer_number == self.officer_number)
        if self.recorded_from is not None or self.recorded_until is not None:
            # When it was received stands in for a time of recording that is not known, as in schedules.
            received = and_(EvidenceItem.recorded_at.is_(None), *self._between(EvidenceItem.received_at))
            found.append(or_(and_(*self._between(EvidenceItem.recorded_at)), received))
        return found

    def _between(self, column: InstrumentedAttribute[Any]) -> Sequence[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.recorded_from is not None:
            found.append(column >= self.recorded_from)
        if self.recorded_until is not None:
            found.append(column < self.recorded_until)
        return found

    def _of_case(self, of_object: Any, case_id: Any) -> ColumnElement[bool]:
        found = of_object.where(Case.id == case_id)
        if self.category is not None:
            found = found.where(Case.category == self.category.value)
        if self.number_prefix is not None:
            found = found.where(Case.number >= self.number_prefix, Case.number < self.number_prefix + _LAST)
        condition: ColumnElement[bool] = found
        return condition


def _is_clean(text: str, most: int) -> bool:
    is_nfc = text == unicodedata.normalize("NFC", text) == text.strip()
    return is_nfc and 1 <= len(text) <= most and _CONTROL.search(text) is None


def _moment(text: str | None) -> Instant | None:
    return None if text is None else parse_instant(text)
