"""The rules of a template, each checked on its own; a rule whose fields are empty is left to what is required."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Final

from archive.calendar.days import local_day
from archive.documents import template_parts as parts
from archive.documents.amounts import capitals, figures, read_capitals
from archive.documents.form_context import FormContext
from archive.documents.form_findings import FormFinding, fault, holds, unsure
from archive.documents.limits import Sense
from archive.documents.template import Template
from archive.documents.values import OfficerName, People, Values


def rule_findings(
    rule: parts.Rule, template: Template, values: Values, context: FormContext
) -> tuple[FormFinding, ...]:
    """Return what a rule finds in the values."""
    return tuple(_CHECKS[type(rule)](rule, template, values, context))


def meets(when: parts.When | None, values: Values) -> bool:
    """Return whether a condition holds; no condition always does."""
    if when is None:
        return True
    value = values.get(when.field)
    if when.value is None:
        return value is not None
    return when.value in value if isinstance(value, tuple) else value == when.value


def _day(value: Any) -> date:
    return local_day(value) if isinstance(value, datetime) else value


def _ordered(rule: parts.Ordered, _: Template, values: Values, __: FormContext) -> Iterator[FormFinding]:
    there = [(name, values.get(name)) for name in rule.fields if values.get(name) is not None]
    wrong = False
    for (before, earlier), (after, later) in pairwise(there):
        if _is_before(later, earlier):
            wrong = True
            yield fault("not_in_order", after, other=before)
    if len(there) > 1 and not wrong:
        yield holds("ordered", there[0][0], others=",".join(name for name, _ in there[1:]))


def _is_before(one: Any, other: Any) -> bool:
    """Compare moments as moments; with a day beside, compare days."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one < other
    return _day(one) < _day(other)


def _not_after_today(
    rule: parts.NotAfterToday, _: Template, values: Values, context: FormContext
) -> Iterator[FormFinding]:
    for name in rule.fields:
        value = values.get(name)
        if value is not None and _day(value) > context.today:
            yield fault("in_future", name, day=_day(value).isoformat())
        elif value is not None:
            yield holds("come", name)


def _valid_officers(
    rule: parts.ValidOfficers, _: Template, values: Values, context: FormContext
) -> Iterator[FormFinding]:
    officers, on = values.get(rule.field), values.get(rule.on)
    if not isinstance(officers, tuple):
        return
    seen: set[str] = set()
    wrong = False
    for index, officer in enumerate(each for each in officers if isinstance(each, OfficerName)):
        where, number = f"{rule.field}[{index}]", officer.certificate_number
        if number and number in seen:
            wrong = True
            yield fault("same_officer", where, number=number)
        seen.add(number)
        for found in _standing(officer, on, where, context):
            wrong = True
            yield found
    if not wrong and on is not None:
        yield holds("officers", rule.field, day=_day(on).isoformat())


def _standing(officer: OfficerName, on: Any, where: str, context: FormContext) -> Iterator[FormFinding]:
    number = officer.certificate_number
    if not number or on is None:
        return
    if context.officers is None:
        yield unsure("officer_unchecked", where, number=number)
    elif (known := context.officers.get(number)) is None:
        yield fault("officer_unknown", where, number=number)
    elif known.name != officer.name:
        yield fault("officer_other_name", where, number=number, name=known.name)
    elif not known.is_valid_on(_day(on)):
        yield fault("certificate_not_valid", where, number=number, day=_day(on).isoformat())
    elif known.valid_until is None:
        yield unsure("validity_unknown", where, number=number)


def _same_amount(rule: parts.SameAmount, _: Template, values: Values, __: FormContext) -> Iterator[FormFinding]:
    fen, words = values.get(rule.figures), values.get(rule.capitals)
    if not isinstance(fen, int) or not isinstance(words, str):
        return
    if read_capitals(words) == fen:
        yield holds("same_amount", rule.figures, capitals=rule.capitals)
    else:
        yield fault("other_amount", rule.capitals, other=rule.figures, amount=figures(fen), words=capitals(fen))


def _sum_of(rule: parts.SumOf, _: Template, values: Values, __: FormContext) -> Iterator[FormFinding]:
    total, lines = values.get(rule.field), values.get(rule.list)
    if not isinstance(total, int) or not isinstance(lines, tuple):
        return
    amounts = [line.get(rule.column) for line in lines if isinstance(line, Mapping)]
    found = sum(each for each in amounts if isinstance(each, int))
    if found == total:
        yield holds("sum", rule.field, list=rule.list)
    else:
        yield fault("other_sum", rule.field, list=rule.list, amount=figures(found))


def _required_if(rule: parts.RequiredIf, _: Template, values: Values, __: FormContext) -> Iterator[FormFinding]:
    if meets(rule.when, values) and values.get(rule.field) is None:
        yield fault("required_here", rule.field, other=rule.when.field)


def _names(value: Any) -> set[str]:
    match value:
        case People():
            return {value.name}
        case tuple():
            return {each.name for each in value if isinstance(each, OfficerName)}
        case str():
            return {value}
        case _:
            return set()


def _different(rule: parts.Different, _: Template, values: Values, __: FormContext) -> Iterator[FormFinding]:
    own = _names(values.get(rule.field)) - {""}
    wrong = False
    for other in rule.others:
        for name in sorted(own & _names(values.get(other))):
            wrong = True
            yield fault("same_person", rule.field, other=other, name=name, basis=rule.basis or "")
    if own and not wrong:
        yield holds("different", rule.field, others=",".join(rule.others))


def _time_limit(rule: parts.TimeLimit, _: Template, values: Values, context: FormContext) -> Iterator[FormFinding]:
    """1. the limit is known   2. so is the day that it counts from   3. the day of the form keeps it."""
    until = values.get(rule.until)
    if until is None or (rule.since is not None and values.get(rule.since) is None):
        return
    limit = context.limits.limits.get(rule.limit)  # 1.
    if limit is None:
        yield unsure("limit_unknown", rule.until, limit=rule.limit)
        return
    start = _day(values.get(rule.since)) if rule.since is not None else context.case_days.get(rule.since_case or "")
    if start is None:  # 2.
        yield unsure("limit_start_unknown", rule.until, limit=limit.zh, basis=limit.limit.basis, start=rule.since_case)
        return
    deadline = limit.deadline(start, days=context.days)
    facts = {
        "limit": limit.zh,
        "basis": limit.limit.basis,
        "start": start.isoformat(),
        "last": deadline.last.isoformat(),
    }
    is_kept = limit.is_kept(deadline, _day(until))  # 3.
    if not deadline.is_certain:
        # A holiday moves the last day back, a shifted weekend brings it forward: either answer may still turn.
        years = ", ".join(map(str, deadline.unknown_years))
        yield unsure("limit_years_unknown", rule.until, **facts, years=years)
    elif is_kept:
        yield holds("limit_kept", rule.until, **facts)
    else:
        yield fault("too_late" if limit.sense is Sense.WITHIN else "too_early", rule.until, **facts)


_CHECKS: Final[Mapping[type, Callable[[Any, Template, Values, FormContext], Iterator[FormFinding]]]] = {
    parts.Ordered: _ordered,
    parts.NotAfterToday: _not_after_today,
    parts.ValidOfficers: _valid_officers,
    parts.SameAmount: _same_amount,
    parts.SumOf: _sum_of,
    parts.RequiredIf: _required_if,
    parts.Different: _different,
    parts.TimeLimit: _time_limit,
}
