"""What is decided for a million objects is what the algebra says of each, whatever was asked for before."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.kernel.instants import BUREAU_ZONE
from retention.planning.deciding import Decider, decision_of
from retention.planning.facts import facts_from
from retention.planning.readings import Reading, Thing, as_text
from retention.planning.writing import Plan, grown
from retention.schedules.algebra import Condition, Rule, kept_by
from retention.schedules.terms import Basis, Mark, Period

_KINDS, _CATEGORIES, _STAGES = ("footage", "record", "volume"), ("penalty", "coercion"), ("inspection", "notice")


def some(values: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), max_size=2)


marks = st.frozensets(st.sampled_from(tuple(Mark)), max_size=2)
conditions = st.builds(
    Condition, some(_KINDS), marks, some(_CATEGORIES), some(_STAGES), st.sampled_from((None, True, False))
)
periods = st.builds(Period, st.none() | st.integers(1, 1200))
rules = st.lists(
    st.builds(
        Rule, st.sampled_from([f"r{n}" for n in range(9)]), st.just(""), conditions, periods, st.sampled_from(Basis),
        st.just(""),
    ),
    max_size=6,
    unique_by=lambda rule: rule.code,
)  # fmt: skip
moments = st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)).map(as_text)  # noqa: DTZ001
filings = st.tuples(
    st.just("c"), st.sampled_from(_CATEGORIES), st.none() | moments, st.none() | st.sampled_from(_STAGES)
)  # fmt: skip
offsets = st.none() | st.integers(-10**10, 10**10)
things = st.tuples(
    st.builds(lambda: uuid4().hex), st.sampled_from(_KINDS), moments, st.none() | moments, offsets,
    st.lists(filings, max_size=3),
)  # fmt: skip
objects = st.tuples(things, marks.map(lambda found: frozenset(map(str, found))))


@settings(max_examples=200, deadline=None)
@given(rules, st.lists(objects, min_size=1, max_size=8))
def test_it_is_what_the_algebra_says(schedule: list[Rule], found: list[tuple[Thing, frozenset[str]]]) -> None:
    decider = Decider(schedule)
    for thing, marked in found:
        facts = facts_from(thing, Reading([thing], {thing[0]: marked}))
        assert decider.decide(thing, marked) == decision_of(kept_by(facts, schedule))


ends = st.none() | moments
plans = st.tuples(
    ends, st.booleans(), st.booleans(), st.none() | st.just("r1"), st.none() | st.just("received"), ends,
    st.none() | st.just(UUID(int=1).hex), st.none() | st.just("r2"),
).map(lambda plan: (None if plan[1] else plan[0], *plan[1:]))  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(rules, objects, plans)
def test_it_only_grows(schedule: list[Rule], found: tuple[Thing, frozenset[str]], before: Plan) -> None:
    decision = Decider(schedule).decide(*found)
    asked, is_permanent, _, rule, _, counted_from, _ = decision
    after = grown(decision, None, before)
    assert after[1] or not before[1]
    assert after[1] == (before[1] or is_permanent)
    if not after[1]:
        least = [until for until in (before[0], asked) if until is not None]
        assert after[0] == max(least, default=None)
    assert grown(decision, None, after) == after
    assert (after[0], after[3], after[5]) in {(before[0], before[3], before[5]), (asked, rule, counted_from)}


def test_days_begin_with_an_hour() -> None:
    offset = BUREAU_ZONE.utcoffset(None)
    assert offset is not None
    assert not offset % timedelta(hours=1)
