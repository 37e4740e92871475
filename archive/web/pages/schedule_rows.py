"""The editor of a retention schedule: rules as they are typed, row by row, read with a fault for each field."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from archive.kernel.errors import InvalidInput
from archive.web.pages.forms import Form, read_items
from retention.schedules.algebra import Rule
from retention.schedules.content import MOST_RULES, read_rules
from retention.schedules.faults import ScheduleInvalid
from retention.schedules.register import MAX_TITLE_CHARACTERS
from retention.schedules.shipped import Shipped, shipped_schedule

PANEL: Final = "rules"
YEARS, MONTHS, PERMANENT = "years", "months", "permanent"
UNITS: Final = (YEARS, MONTHS, PERMANENT)
FILED: Final = ("any", "yes", "no")
_LISTS: Final = ("kinds", "marks", "categories", "stages")
_TEXTS: Final = ("code", "title", "title_en", "filed", "months", "unit", "basis", "legal_basis", "from")
_FIELD: Final = re.compile(r"r([0-9]{1,4})-([a-z_]+)")
_REMOVE: Final = re.compile(r"remove-([0-9]{1,4})")
_MOST_FIELDS: Final = MOST_RULES * 50 + 20
_MOST_BYTES: Final = 1 << 20
_WRONG: Final = -1
"""A number of months that no period has."""


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule as it stands in the editor: what was typed in each field, and what was ticked in each list."""

    texts: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]

    @classmethod
    def empty(cls) -> "RuleRow":
        """Return a row in which nothing was typed yet."""
        return cls(dict.fromkeys(_TEXTS, "") | {"filed": "any", "unit": YEARS}, dict.fromkeys(_LISTS, ()))

    @classmethod
    def of(cls, rule: Rule) -> "RuleRow":
        """Return a rule as the editor shows it; whole years are told in years."""
        months, condition = rule.period.months, rule.condition
        unit = PERMANENT if months is None else MONTHS if months % 12 else YEARS
        length = "" if months is None else str(months // 12 if unit == YEARS else months)
        return cls(
            {
                "code": rule.code,
                "title": rule.title,
                "title_en": rule.title_en,
                "filed": "any" if condition.filed is None else "yes" if condition.filed else "no",
                "months": length,
                "unit": unit,
                "basis": rule.basis.value,
                "legal_basis": rule.legal_basis,
                "from": "" if rule.since is None else rule.since.isoformat(),
            },
            {name: tuple(sorted(getattr(condition, name))) for name in _LISTS},
        )

    def text(self, name: str) -> str:
        """Return what was typed in a field."""
        return self.texts.get(name, "")

    def has(self, name: str, value: str) -> bool:
        """Return whether a value of a list was ticked."""
        return value in self.lists.get(name, ())

    def told(self) -> dict[str, Any]:
        """Return it in the form of the JSON of a schedule; what cannot be read there is refused there."""
        found: dict[str, Any] = {name: list(self.lists.get(name, ())) for name in _LISTS}
        found |= {name: self.text(name).strip() for name in ("code", "basis", "legal_basis")}
        found["basis"] = found["basis"] or None
        found["title"] = {"zh": self.text("title"), "en": self.text("title_en")}
        found["filed"] = {"yes": True, "no": False}.get(self.text("filed"))
        found["from"] = self.text("from").strip() or None
        length, unit = self.text("months").strip(), self.text("unit")
        if unit == PERMANENT:
            found["months"] = None
        elif length:
            amount = int(length) if length.isascii() and length.isdigit() and len(length) < 6 else _WRONG
            found["months"] = amount * (12 if unit == YEARS else 1)
        return found


class ScheduleForm(Form):
    """What was posted: the title, the rules in their order, and what is to be done."""

    def __init__(self, values: Mapping[str, str], rows: Sequence[RuleRow]) -> None:
        """Take the fields as they came; a row is added, taken away or taken over where the form asks for that."""
        super().__init__(values, panel=PANEL)
        self.rows = list(rows)
        self.do = values.get("do", "")
        if self.do == "add":
            self.rows.append(RuleRow.empty())
        elif found := _REMOVE.fullmatch(self.do):
            del self.rows[int(found[1]) : int(found[1]) + 1]
        elif self.do in {f"take-{name.value}" for name in Shipped}:
            known = {row.text("code") for row in self.rows}
            taken = shipped_schedule(Shipped(self.do.removeprefix("take-"))).rules
            self.rows += [RuleRow.of(rule) for rule in taken if rule.code not in known]

    @property
    def is_saved(self) -> bool:
        """Whether the rules are to be saved, and not only shown again."""
        return self.do == "save"

    def title(self) -> str:
        """Return the title."""
        return self.text("title", most=MAX_TITLE_CHARACTERS)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules; nothing, and a fault at each field, where they are wrong."""
        try:
            return read_rules([row.told() for row in self.rows])
        except ScheduleInvalid as exc:
            for fault in exc.faults:
                place = "rules" if fault.rule is None else f"r{fault.rule}-{fault.field}"
                self.refuse(place, f"schedule_fault.{fault.code}", **fault.facts)
            return ()


def shown_form(title: str, rules: Sequence[Rule]) -> ScheduleForm:
    """Return the editor's content for rules that are there."""
    return ScheduleForm({"title": title}, [RuleRow.of(rule) for rule in rules])


async def posted_schedule(request: Request) -> ScheduleForm:
    """Return what the editor posts. Raises: FormTooLarge, InvalidInput."""
    values: dict[str, str] = {}
    texts: dict[int, dict[str, str]] = {}
    lists: dict[int, dict[str, list[str]]] = {}
    for name, value in await read_items(request, most_fields=_MOST_FIELDS, most_bytes=_MOST_BYTES):
        found = _FIELD.fullmatch(name)
        if found is None:
            values[name] = value
            continue
        number, field = int(found[1]), found[2]
        if field in _LISTS:
            lists.setdefault(number, {}).setdefault(field, []).append(value)
        elif field in _TEXTS:
            texts.setdefault(number, {})[field] = value
    numbers = sorted(texts.keys() | lists.keys())
    if len(numbers) > 2 * MOST_RULES:
        raise InvalidInput("A schedule has fewer rules than that", most=MOST_RULES)
    rows = [
        RuleRow(texts.get(number, {}), {name: tuple(found) for name, found in lists.get(number, {}).items()})
        for number in numbers
    ]
    return ScheduleForm(values, rows)


ScheduleFormDep = Annotated[ScheduleForm, Depends(posted_schedule)]
