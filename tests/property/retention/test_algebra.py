"""Laws of the algebra of retention that hold for every object and every schedule."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from archive.calendar.days import day_start, local_day
from archive.cases.terms import Category, Stage
from archive.kernel.instants import Instant
from retention.schedules.algebra import Condition, Facts, Kept, Rule, ends_at, kept_by
from retention.schedules.content import decode_rules, encode_rules
from retention.schedules.notes import NoteCode, notes_of
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.simulation import Change, Comparison, Stored
from retention.schedules.terms import KINDS, PERMANENT, Basis, Mark, Period

BEGIN = datetime(1990, 1, 1, tzinfo=UTC)
instants = st.timedeltas(timedelta(0), timedelta(days=36_500)).map(lambda since: BEGIN + since)
periods = st.one_of(st.just(PERMANENT), st.integers(1, 1200).map(Period))
ending = st.integers(1, 1200).map(Period)


def some(values: list[str] | tuple[str, ...], most: int = 3) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(list(values)), max_size=most)


kinds, marks = some(KINDS), st.frozensets(st.sampled_from(Mark), max_size=2)
categories, stages = some([each.value for each in Category]), some([each.value for each in Stage])
conditions = st.builds(Condition, kinds, marks, categories, stages, st.sampled_from([None, True, False]))


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    closings = draw(st.lists(st.one_of(st.none(), instants), max_size=3))
    return Facts(
        kind=draw(st.sampled_from(KINDS)),
        received_at=draw(instants),
        recorded_at=draw(st.one_of(st.none(), instants)),
        marks=draw(marks),
        categories=draw(st.frozensets(st.sampled_from([each.value for each in Category]), min_size=1, max_size=3))
        if closings
        else frozenset(),
        stages=draw(stages) if closings else frozenset(),
        closings=tuple(closings),
    )


def rule(code: str, condition: Condition, period: Period, basis: Basis) -> Rule:
    return Rule(code, code, condition, period, basis, "法")


@st.composite
def schedules(draw: st.DrawFn, least: int = 0) -> list[Rule]:
    """Rules that may be for anything, several of them for everything, so that they meet."""
    asked = st.one_of(st.just(Condition()), conditions)
    made = draw(st.lists(st.tuples(asked, periods, st.sampled_from(Basis)), min_size=least, max_size=7))
    return [rule(f"r{number}", *each) for number, each in enumerate(made)]


def length(kept: Kept) -> tuple[bool, Instant]:
    """How long something is kept by what has an end, as what can be compared."""
    return kept.is_permanent, kept.until or datetime.min.replace(tzinfo=UTC)


@given(facts(), schedules())
def test_the_longest_wins(of: Facts, rules: list[Rule]) -> None:
    kept = kept_by(of, rules)
    for reason in kept.reasons:
        assert not reason.is_permanent or kept.is_permanent
        if reason.until is not None and not kept.is_permanent:
            assert kept.until is not None
            assert reason.until <= kept.until
    if kept.until is not None:
        assert kept.until in {reason.until for reason in kept.reasons}
        assert kept.longest is not None
        assert kept.longest.until == kept.until
    assert (kept.longest is None) == all(reason.waits for reason in kept.reasons)


@given(facts(), schedules(), st.randoms(use_true_random=False))
def test_the_order_of_the_rules_does_not_matter(of: Facts, rules: list[Rule], random: Random) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)
    kept = kept_by(of, rules)
    assert kept_by(of, shuffled) == kept
    assert kept_by(of, shuffled).longest == kept.longest


@given(facts(), schedules(least=1), schedules())
def test_adding_a_rule_never_shortens(of: Facts, rules: list[Rule], more: list[Rule]) -> None:
    added = [*rules, *(replace(each, code=f"s{number}") for number, each in enumerate(more))]
    before, after = kept_by(of, rules), kept_by(of, added)
    assert length(before) <= length(after)
    assert set(before.reasons) <= set(after.reasons)
    assert after.waits or not before.waits, "what waited still waits"


@given(facts(), schedules())
def test_a_permanent_rule_absorbs_all_others(of: Facts, rules: list[Rule]) -> None:
    kept = kept_by(of, [*rules, rule("for_ever", Condition(), PERMANENT, Basis.RECEIVED)])
    assert kept.is_permanent
    assert kept.until is None
    assert kept.longest is not None
    assert kept.longest.is_permanent


@given(facts(), schedules())
def test_every_rule_that_is_for_an_object_has_its_reason_and_no_other_has(of: Facts, rules: list[Rule]) -> None:
    kept = kept_by(of, rules)
    by_code = {each.code: each for each in rules}
    assert [reason.rule for reason in kept.reasons] == sorted(
        each.code for each in rules if each.condition.is_met_by(of)
    )
    for reason in kept.reasons:
        of_rule = by_code[reason.rule]
        assert reason.basis is of_rule.basis
        assert reason.is_permanent == of_rule.period.is_permanent
        if reason.until is not None:
            assert reason.basis_at is not None
            assert reason.until == ends_at(reason.basis_at, of_rule.period)
        known = {of.received_at, of.recorded_at, *of.closings}
        assert reason.basis_at in known | {None}
        # Of an end, of for ever, and of a clock that has not begun exactly one is said.
        assert [reason.until is not None, reason.is_permanent, reason.waits].count(True) == 1


@given(facts(), ending, schedules())
def test_a_clock_that_has_not_begun_is_always_told(of: Facts, period: Period, rules: list[Rule]) -> None:
    is_open = not of.closings or None in of.closings
    kept = kept_by(of, [*rules, rule("waiting", Condition(), period, Basis.CASE_CLOSED)])
    (reason,) = [each for each in kept.reasons if each.rule == "waiting"]
    assert reason.waits == is_open
    assert kept.waits or not is_open
    assert (reason.basis_at is None) == is_open


@given(facts(), schedules(), st.timedeltas(timedelta(0), timedelta(days=20_000)))
def test_time_and_later_closings_only_extend(of: Facts, rules: list[Rule], later: timedelta) -> None:
    assume(None not in of.closings)

    def moved(at: Instant) -> Instant:
        return min(at + later, datetime(2099, 1, 1, tzinfo=UTC))

    before = kept_by(of, rules)
    assert length(before) <= length(kept_by(replace(of, closings=tuple(map(moved, of.closings))), rules))
    assert length(before) <= length(kept_by(replace(of, received_at=moved(of.received_at)), rules))
    if of.recorded_at is not None:
        assert length(before) <= length(kept_by(replace(of, recorded_at=moved(of.recorded_at)), rules))


@given(facts(), schedules(), instants)
def test_another_case_never_shortens(of: Facts, rules: list[Rule], closed_at: Instant) -> None:
    assume(of.closings and None not in of.closings)
    more = replace(of, closings=(*of.closings, closed_at), categories=of.categories | {Category.PENALTY.value})
    assert length(kept_by(of, rules)) <= length(kept_by(more, rules))
    reopened = kept_by(replace(of, closings=(*of.closings, None)), rules)
    assert all(
        reason.waits for reason in reopened.reasons if reason.basis is Basis.CASE_CLOSED and not reason.is_permanent
    )


@given(facts(), schedules(), marks)
def test_another_mark_never_shortens(of: Facts, rules: list[Rule], more: frozenset[Mark]) -> None:
    before = kept_by(of, rules)
    assume(before.reasons)
    assert length(before) <= length(kept_by(replace(of, marks=of.marks | more), rules))


@given(instants, st.integers(1, 1200))
def test_a_period_is_never_shorter_than_it_says(at: Instant, months: int) -> None:
    end = ends_at(at, Period(months))
    assert end is not None
    first, last = local_day(at), local_day(end - timedelta(microseconds=1))
    assert end == day_start(local_day(end)), "it ends at midnight where the bureau is"
    counted = (last.year - first.year) * 12 + last.month - first.month
    assert counted == months
    following = last + timedelta(days=1)
    assert last.day == first.day or (last.day < first.day and following.day == 1), "the last day of a shorter month"


@given(instants, ending, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_later_basis_never_ends_earlier(at: Instant, period: Period, later: timedelta) -> None:
    one, other = ends_at(at, period), ends_at(at + later, period)
    assert one is not None
    assert other is not None
    assert one <= other


@given(instants, st.lists(st.integers(1, 1200), min_size=2, max_size=2, unique=True))
def test_a_longer_period_ends_later(at: Instant, months: list[int]) -> None:
    shorter, longer = (ends_at(at, Period(each)) for each in sorted(months))
    assert shorter is not None
    assert longer is not None
    assert shorter < longer


# ---- what is said of schedules ---------------------------------------------------------------------------------------


@given(schedules(least=1))
def test_rules_come_back_from_their_json_as_they_were(rules: list[Rule]) -> None:
    fit = [each for each in rules if is_fit(each)]
    assume(fit)
    assert list(decode_rules(encode_rules(fit))) == fit


def is_fit(of: Rule) -> bool:
    """Whether the loader takes a rule: it can be met, and its clock can begin."""
    asked = of.condition
    if asked.filed is False and (asked.categories or asked.stages):
        return False
    needs_case = of.basis is Basis.CASE_CLOSED and not of.period.is_permanent
    return not needs_case or bool(asked.filed or asked.categories or asked.stages)


@given(facts(), schedules())
def test_a_rule_that_never_decides_can_go(of: Facts, rules: list[Rule]) -> None:
    fit = [each for each in rules if is_fit(each)]
    beaten = {note.rule for note in notes_of(fit) if note.code is NoteCode.NEVER_DECIDES}
    # Categories and stages come with cases; facts that say otherwise are no facts.
    left = kept_by(of, [each for each in fit if each.code not in beaten])
    assert length(left) == length(kept_by(of, fit))
    assert left.waits == kept_by(of, fit).waits or left.is_permanent


@given(facts())
def test_the_shipped_schedule_has_a_rule_for_everything(of: Facts) -> None:
    assert kept_by(of, shipped_schedule(Shipped.DEFAULT).rules).reasons


@given(facts(), schedules(), schedules(), st.one_of(st.none(), instants), st.booleans())
def test_a_trial_says_what_the_algebra_says(
    of: Facts, now: list[Rule], then: list[Rule], stored: Instant | None, is_permanent: bool
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    of = replace(of, closings=tuple(closing or at for closing in of.closings))
    assume(of.closings or not any(each.basis is Basis.CASE_CLOSED for each in [*now, *then]))
    verdict = Comparison(now, then, at).verdict(of, Stored(None if is_permanent else stored, is_permanent))
    before, after = kept_by(of, now), kept_by(of, then)
    floor = (is_permanent, stored or datetime.min.replace(tzinfo=UTC)) if stored or is_permanent else None
    if not after.reasons:
        assert verdict.change is (Change.WITHOUT_RULE if before.reasons else Change.AS_NOW)
    elif before.reasons:
        kept = length(before) if floor is None else max(length(before), (is_permanent, floor[1]))
        if is_permanent or before.is_permanent:
            expected = {Change.AS_NOW} if after.is_permanent else {Change.STAYS, Change.SHORTER}
        elif after.is_permanent:
            expected = {Change.FOR_EVER}
        elif length(after) > kept:
            expected = {Change.LONGER}
        else:
            expected = {Change.AS_NOW} if length(after) == kept else {Change.STAYS, Change.SHORTER}
        assert verdict.change in expected
        if verdict.change is Change.SHORTER:
            assert floor is None or floor < length(before), "what is stored is never told as shorter"


@given(st.lists(facts(), min_size=2, max_size=8), schedules(), schedules(), st.one_of(st.none(), instants))
def test_what_a_trial_remembers_changes_nothing(
    found: list[Facts], now: list[Rule], then: list[Rule], stored: Instant | None
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    same_day = [replace(each, received_at=each.received_at + timedelta(minutes=1)) for each in found]
    remembering = Comparison(now, then, at)
    for each in [*found, *same_day]:
        assert remembering.verdict(each, Stored(stored)) == Comparison(now, then, at).verdict(each, Stored(stored))


def test_each_mark_and_each_basis_is_of_a_shipped_rule() -> None:
    every = [each for name in Shipped for each in shipped_schedule(name).rules]
    assert {mark for each in every for mark in each.condition.marks} == set(Mark)
    assert {each.basis for each in every} == set(Basis)
    assert not [pair for pair in combinations([each.code for each in every], 2) if pair[0] == pair[1]]
