"""Rules as canonical JSON and back, strictly: what a version of a schedule keeps, logs and is compared by.

    {"rules": [{"basis": "case_closed", "categories": ["penalty"], "code": "penalty", "filed": null,
                "from": "2007-01-01", "kinds": [], "legal_basis": "...", "marks": [], "months": 360, "stages": [],
                "title": {"en": "...", "zh": "..."}}], "v": 1}

`months` is null for ever; `filed` and `from` are null where the rule says nothing of them. Rules keep their order,
which means nothing; the values of a list are sorted.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from archive.cases.terms import Category, Stage
from archive.kernel.canonical import NotCanonical, canonical_json, parse_canonical
from retention.schedules.algebra import Condition, Rule
from retention.schedules.faults import RuleFault, ScheduleInvalid
from retention.schedules.terms import KINDS, PERMANENT, Basis, Mark, Period

MOST_RULES: Final = 100
MOST_CODE: Final = 64
MOST_TITLE: Final = 200
MOST_LEGAL_BASIS: Final = 500
MOST_MONTHS: Final = 1200
VERSION: Final = 1
_CODE: Final = re.compile(r"[a-z][a-z0-9_]*")
_NAMES: Final = {
    "basis", "categories", "code", "filed", "from", "kinds", "legal_basis", "marks", "months", "stages", "title",
}  # fmt: skip


def encode_rules(rules: Iterable[Rule]) -> str:
    """Return rules as canonical JSON."""
    return canonical_json({"v": VERSION, "rules": [told_rule(rule) for rule in rules]}).decode()


def told_rule(rule: Rule) -> dict[str, Any]:
    """Return one rule as the JSON has it."""
    condition = rule.condition
    return {
        "code": rule.code,
        "title": {"zh": rule.title, "en": rule.title_en},
        "kinds": sorted(condition.kinds),
        "marks": sorted(condition.marks),
        "categories": sorted(condition.categories),
        "stages": sorted(condition.stages),
        "filed": condition.filed,
        "months": rule.period.months,
        "basis": rule.basis.value,
        "legal_basis": rule.legal_basis,
        "from": None if rule.since is None else rule.since.isoformat(),
    }


@lru_cache(maxsize=16)
def decode_rules(content: str) -> tuple[Rule, ...]:
    """Return the rules that canonical JSON holds. Raises: ScheduleInvalid, also for JSON in any other form."""
    try:
        told = parse_canonical(content.encode())
    except (NotCanonical, UnicodeEncodeError) as exc:
        raise ScheduleInvalid([RuleFault(None, "rules", "form")]) from exc
    if not isinstance(told, dict) or set(told) != {"v", "rules"} or told["v"] != VERSION:
        raise ScheduleInvalid([RuleFault(None, "rules", "form")])
    return read_rules(told["rules"])


def read_rules(told: Any) -> tuple[Rule, ...]:
    """Return the rules that a list in the form of the JSON says. Raises: ScheduleInvalid with every fault."""
    if not isinstance(told, Sequence) or isinstance(told, str | bytes):
        raise ScheduleInvalid([RuleFault(None, "rules", "form")])
    faults: list[RuleFault] = []
    if not told:
        faults.append(RuleFault(None, "rules", "no_rules"))
    if len(told) > MOST_RULES:
        raise ScheduleInvalid([RuleFault(None, "rules", "too_many_rules", {"most": MOST_RULES})])
    readers = [_Reader(number, each) for number, each in enumerate(told)]
    rules = [reader.rule() for reader in readers]
    known: set[str] = set()
    for reader, rule in zip(readers, rules, strict=True):
        if rule is None or not rule.code:
            continue
        if rule.code in known:
            reader.refuse("code", "code_twice")
        known.add(rule.code)
    faults += [fault for reader in readers for fault in reader.faults]
    if faults:
        raise ScheduleInvalid(faults)
    return tuple(rule for rule in rules if rule is not None)


@dataclass
class _Reader:
    """Reads one rule, and notes everything that is wrong in it."""

    number: int
    told: Any
    faults: list[RuleFault] = field(default_factory=list)

    def refuse(self, name: str, code: str, **facts: Any) -> None:
        self.faults.append(RuleFault(self.number, name, code, facts))

    def rule(self) -> Rule | None:
        """Return the rule as far as it can be read, None where it has not even the form of one."""
        told = self.told
        if not isinstance(told, Mapping):
            self.refuse("rule", "form")
            return None
        if unknown := set(map(str, told)) - _NAMES:
            self.refuse("rule", "unknown_names", names=", ".join(sorted(unknown))[:100])
        title = told.get("title")
        titles: Mapping[str, Any] = title if isinstance(title, Mapping) and set(title) <= {"zh", "en"} else {}
        if titles is not title:
            self.refuse("title", "form")
        condition = Condition(
            kinds=frozenset(self._values("kinds", lambda value: value if value in KINDS else None)),
            marks=frozenset(self._values("marks", _one_of(Mark))),
            categories=frozenset(each.value for each in self._values("categories", _one_of(Category))),
            stages=frozenset(each.value for each in self._values("stages", _one_of(Stage))),
            filed=self._filed(),
        )
        rule = Rule(
            code=self._code(),
            title=self._text("title", titles.get("zh"), MOST_TITLE),
            condition=condition,
            period=self._period(),
            basis=self._basis(),
            legal_basis=self._text("legal_basis", told.get("legal_basis"), MOST_LEGAL_BASIS),
            title_en=self._text("title_en", titles.get("en") or "", MOST_TITLE, required=False),
            since=self._since(),
        )
        self._sense(rule)
        return rule

    def _sense(self, rule: Rule) -> None:
        """Refuse a rule that is for nothing, and one whose clock could never begin."""
        condition = rule.condition
        asks_case = bool(condition.categories or condition.stages)
        if condition.filed is False and asks_case:
            self.refuse("filed", "never_met")
        elif rule.basis is Basis.CASE_CLOSED and not rule.period.is_permanent and not (condition.filed or asks_case):
            self.refuse("basis", "closing_needs_case")

    def _code(self) -> str:
        code = self.told.get("code")
        if not isinstance(code, str) or not code:
            self.refuse("code", "required")
            return ""
        if len(code) > MOST_CODE or not _CODE.fullmatch(code):
            self.refuse("code", "not_a_code", most=MOST_CODE)
        return code

    def _text(self, name: str, value: Any, most: int, *, required: bool = True) -> str:
        if not isinstance(value, str):
            self.refuse(name, "required" if value is None else "form")
            return ""
        text = unicodedata.normalize("NFC", value).strip()
        if required and not text:
            self.refuse(name, "required")
        elif len(text) > most:
            self.refuse(name, "too_long", most=most)
        elif any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
            self.refuse(name, "control_characters")
        return text

    def _values(self, name: str, read: Callable[[Any], Any]) -> Sequence[Any]:
        values = self.told.get(name, [])
        if not isinstance(values, Sequence) or isinstance(values, str | bytes):
            self.refuse(name, "form")
            return ()
        found: list[Any] = []
        for value in values:
            each = read(value) if isinstance(value, str) else None
            if each is None:
                self.refuse(name, "unknown_value", value=str(value)[:60])
            elif each in found:
                self.refuse(name, "value_twice", value=str(value)[:60])
            else:
                found.append(each)
        return found

    def _filed(self) -> bool | None:
        filed = self.told.get("filed")
        if filed is not None and not isinstance(filed, bool):
            self.refuse("filed", "form")
            return None
        return filed

    def _period(self) -> Period:
        if "months" not in self.told:
            self.refuse("months", "required")
            return PERMANENT
        months = self.told["months"]
        if months is None:
            return PERMANENT
        if type(months) is not int or not 1 <= months <= MOST_MONTHS:
            self.refuse("months", "not_a_period", most=MOST_MONTHS)
            return PERMANENT
        return Period(months)

    def _basis(self) -> Basis:
        basis = self.told.get("basis")
        if not isinstance(basis, str) or basis not in set(Basis):
            self.refuse("basis", "required" if basis is None else "unknown_value", value=str(basis)[:60])
            return Basis.RECEIVED
        return Basis(basis)

    def _since(self) -> date | None:
        since = self.told.get("from")
        if since is None:
            return None
        try:
            found = date.fromisoformat(since)
        except (ValueError, TypeError):
            self.refuse("from", "not_a_day")
            return None
        if found.isoformat() != since:  # other spellings of ISO 8601
            self.refuse("from", "not_a_day")
        return found


def _one_of(kind: type[StrEnum]) -> Callable[[str], StrEnum | None]:
    return lambda value: kind(value) if value in set(kind) else None
