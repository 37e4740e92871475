"""What is decided for a million objects is what the algebra says of each, whatever was asked for before."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.kernel.instants import BUREAU_ZONE, parse_instant
from retention.planning.deciding import Decider, decision_of
from retention.planning.facts import facts_from
from retention.planning.readings import PostgresTexts, Reading, Texts, Thing, as_instant, rfc_3339
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
moments = st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
filings = st.tuples(
    st.just("c"), st.sampled_from(_CATEGORIES), st.none() | moments, st.none() | st.sampled_from(_STAGES)
)  # fmt: skip
offsets = st.none() | st.integers(-(10**10), 10**10)
things = st.tuples(
    st.builds(lambda: uuid4().hex), st.sampled_from(_KINDS), moments, st.none() | moments, offsets,
    st.lists(filings, max_size=3),
)  # fmt: skip
objects = st.tuples(things, marks.map(lambda found: frozenset(map(str, found))))


dialects = st.sampled_from((Texts(), PostgresTexts()))


def at_text(at: Any, texts: Texts) -> str | None:
    return None if at is None else texts.of(at)


def in_texts(thing: Any, texts: Texts) -> Thing:
    """The thing as a database gives it."""
    key, kind, received, stated, offset_ms, filed = thing
    filings = [(case_id, category, at_text(closed, texts), stage) for case_id, category, closed, stage in filed]
    return key, kind, texts.of(received), at_text(stated, texts), offset_ms, filings


@settings(max_examples=200, deadline=None)
@given(dialects, rules, st.lists(objects, min_size=1, max_size=8))
def test_it_is_what_the_algebra_says(
    texts: Texts, schedule: list[Rule], told: list[tuple[Thing, frozenset[str]]]
) -> None:
    found = [(in_texts(thing, texts), marked) for thing, marked in told]
    decider = Decider(schedule, texts)
    for thing, marked in found:
        facts = facts_from(thing, Reading([thing], {thing[0]: marked}), texts)
        assert decider.decide(thing, marked) == decision_of(kept_by(facts, schedule), texts)


ends = st.none() | moments
plans = st.tuples(
    ends, st.booleans(), st.booleans(), st.none() | st.just("r1"), st.none() | st.just("received"), ends,
    st.none() | st.just(UUID(int=1).hex), st.none() | st.just("r2"),
).map(lambda plan: (None if plan[1] else plan[0], *plan[1:]))  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(dialects, rules, objects, plans)
def test_it_only_grows(texts: Texts, schedule: list[Rule], told: tuple[Thing, frozenset[str]], plan: Plan) -> None:
    found = (in_texts(told[0], texts), told[1])
    before: Plan = (at_text(plan[0], texts), *plan[1:5], at_text(plan[5], texts), *plan[6:])  # type: ignore[assignment]
    decision = Decider(schedule, texts).decide(*found)
    asked, is_permanent, _, rule, _, counted_from, _ = decision
    after = grown(decision, None, before)
    assert after[1] or not before[1]
    assert after[1] == (before[1] or is_permanent)
    if not after[1]:
        least = [until for until in (before[0], asked) if until is not None]
        assert after[0] == max(least, default=None)
    assert grown(decision, None, after) == after
    assert (after[0], after[3], after[5]) in {(before[0], before[3], before[5]), (asked, rule, counted_from)}


@given(dialects, st.lists(moments, min_size=2, max_size=2))
def test_texts_stand_for_moments_and_in_their_order(texts: Texts, pair: list[datetime]) -> None:
    one, two = map(texts.of, pair)
    assert as_instant(one) == pair[0]
    assert parse_instant(rfc_3339(one)) == pair[0]
    assert len(rfc_3339(one)) == 27
    assert (one < two) == (pair[0] < pair[1])
    assert texts.earlier(one, 1500) == texts.of(pair[0] - timedelta(milliseconds=1500))


def test_days_begin_with_an_hour() -> None:
    offset = BUREAU_ZONE.utcoffset(None)
    assert offset is not None
    assert not offset % timedelta(hours=1)
