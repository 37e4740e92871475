"""UUIDv7 as RFC 9562 section 5.7 lays it out, and the one spelling of an id."""

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archive.kernel.errors import InvalidInput
from archive.kernel.ids import new_uuid7, parse_uuid


def test_version_and_variant_bits() -> None:
    for _ in range(1000):
        made = new_uuid7()
        assert made.version == 7
        assert made.variant == uuid.RFC_4122


def test_the_first_48_bits_are_the_milliseconds_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = new_uuid7()
    after = time.time_ns() // 1_000_000
    assert before <= made.int >> 80 <= after


def test_ids_of_later_milliseconds_sort_later_also_as_text() -> None:
    made = []
    for _ in range(20):
        made.append(new_uuid7())
        tick = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 <= tick:
            pass
    assert made == sorted(made)
    assert [str(each) for each in made] == sorted(str(each) for each in made)


def test_the_time_of_another_clock_stands_in_it() -> None:
    at = datetime(2031, 5, 17, 3, 4, 5, 678_912, tzinfo=UTC)
    assert new_uuid7(at=at).int >> 80 == 1_936_753_445_678
    assert new_uuid7(at=at).int >> 80 == 1_936_753_445_678


def test_ids_of_one_moment_are_in_the_order_of_making() -> None:
    at = datetime(2032, 5, 17, tzinfo=UTC)
    made = [new_uuid7(at=at) for _ in range(500)]
    assert made == sorted(made)
    assert made[-1] < new_uuid7(at=at - timedelta(milliseconds=999)), "the clock was put right"
    assert new_uuid7(at=at - timedelta(hours=1)) < made[0], "the clock was set"


def test_what_the_own_clock_shows_moves_no_id_of_the_other() -> None:
    at = datetime.now(UTC) - timedelta(milliseconds=500)
    first = new_uuid7(at=at)
    new_uuid7()
    second = new_uuid7(at=at)
    assert second.int >> 80 == first.int >> 80 == int(at.timestamp() * 1000)
    assert first < second


def test_every_random_bit_is_used_and_nothing_repeats() -> None:
    made = [new_uuid7() for _ in range(2000)]
    assert len(set(made)) == len(made)
    tails = [each.int & (2**80 - 1) for each in made]
    ever_one = ever_zero = 0
    for tail in tails:
        ever_one |= tail
        ever_zero |= ~tail & (2**80 - 1)
    fixed = ~(ever_one & ever_zero) & (2**80 - 1)
    assert fixed == (0xF << 76) | (0x3 << 62), "only version and variant stand still"


def test_reads_its_own_spelling() -> None:
    made = new_uuid7()
    assert parse_uuid(str(made)) == made


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5dac96774bbcceb302099a8057",
        " 01890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5d-ac96-774b-bcce-b302099a8057\n",
        "../../../../etc/passwd",
        "０1890a5d-ac96-774b-bcce-b302099a8057",
        None,
        7,
        b"01890a5d-ac96-774b-bcce-b302099a8057",
    ],
    ids=ascii,
)
def test_every_other_spelling_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput):
        parse_uuid(given)
