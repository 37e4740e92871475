"""Outcomes: what was not checked is never valid."""

import pytest

from archive.kernel.findings import Outcome, Report, indeterminate, invalid, valid, worst

VALID, INVALID, OPEN = Outcome.VALID, Outcome.INVALID, Outcome.INDETERMINATE


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], OPEN),
        ([VALID], VALID),
        ([VALID, VALID], VALID),
        ([VALID, OPEN], OPEN),
        ([OPEN], OPEN),
        ([OPEN, INVALID], INVALID),
        ([VALID, OPEN, INVALID], INVALID),
        ([INVALID], INVALID),
    ],
)
def test_the_table(outcomes: list[Outcome], expected: Outcome) -> None:
    assert worst(outcomes) is expected
    assert worst(reversed(outcomes)) is expected


def test_nothing_checked_is_not_valid() -> None:
    assert Report().outcome is Outcome.INDETERMINATE


def test_the_json_form() -> None:
    report = Report((valid("a.b", "Holds."), invalid("c.d", "Does not hold.", "some/file")))
    assert report.as_json() == {
        "outcome": "invalid",
        "findings": [
            {"code": "a.b", "outcome": "valid", "message": "Holds.", "where": ""},
            {"code": "c.d", "outcome": "invalid", "message": "Does not hold.", "where": "some/file"},
        ],
    }


def test_makers_set_their_outcome() -> None:
    assert [make("a.b", "m").outcome for make in (valid, invalid, indeterminate)] == [VALID, INVALID, OPEN]
