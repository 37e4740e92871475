"""The algebra of outcomes: order and grouping never change a verdict, and more bad news never makes it better."""

from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.findings import Outcome, worst

_outcomes = st.lists(st.sampled_from(Outcome), max_size=8)
_rank = {Outcome.VALID: 0, Outcome.INDETERMINATE: 1, Outcome.INVALID: 2}


@given(_outcomes, st.randoms())
def test_order_does_not_matter(outcomes: list[Outcome], random: object) -> None:
    shuffled = list(outcomes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert worst(shuffled) is worst(outcomes)


@given(_outcomes.filter(bool), _outcomes.filter(bool))
def test_grouping_does_not_matter(one: list[Outcome], other: list[Outcome]) -> None:
    assert worst([worst(one), worst(other)]) is worst(one + other)


@given(_outcomes.filter(bool), st.sampled_from(Outcome))
def test_a_further_finding_never_makes_it_better(outcomes: list[Outcome], more: Outcome) -> None:
    assert _rank[worst([*outcomes, more])] >= _rank[worst(outcomes)]
    assert worst([*outcomes, outcomes[0]]) is worst(outcomes)


@given(_outcomes)
def test_valid_means_that_everything_was_checked_and_held(outcomes: list[Outcome]) -> None:
    assert (worst(outcomes) is Outcome.VALID) == (bool(outcomes) and set(outcomes) == {Outcome.VALID})
