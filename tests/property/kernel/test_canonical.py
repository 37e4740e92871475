"""Canonical JSON, held against the package rfc8785 as judge."""

import json
from typing import Any

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.canonical import NotCanonical, canonical_json, parse_canonical, parse_json

_MOST = 2**53 - 1
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_scalars = st.none() | st.booleans() | st.integers(-_MOST, _MOST) | _texts
values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=5),
    max_leaves=20,
)


@given(values)
def test_agrees_with_the_judge(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(values)
def test_reads_back_what_it_wrote(value: Any) -> None:
    raw = canonical_json(value)
    assert parse_canonical(raw) == value
    assert canonical_json(parse_canonical(raw)) == raw


@given(st.dictionaries(_texts, _scalars, max_size=8), st.randoms())
def test_the_order_of_keys_in_memory_does_not_matter(value: dict[str, Any], random: Any) -> None:
    pairs = list(value.items())
    random.shuffle(pairs)
    assert canonical_json(dict(pairs)) == canonical_json(value)


@given(values, st.sampled_from([None, 1, 2]), st.booleans())
def test_only_the_canonical_spelling_is_accepted(value: Any, indent: int | None, ascii_only: bool) -> None:
    other = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert parse_json(other) == value
    if other == canonical_json(value):
        assert parse_canonical(other) == value
    else:
        try:
            parse_canonical(other)
        except NotCanonical:
            return
        raise AssertionError("a second spelling of one value was accepted")


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        value = parse_canonical(raw)
    except NotCanonical:
        return
    assert canonical_json(value) == raw


@given(st.integers(min_value=_MOST + 1) | st.integers(max_value=-_MOST - 1))
def test_integers_that_readers_disagree_on_are_refused(number: int) -> None:
    for judge, error in ((canonical_json, NotCanonical), (rfc8785.dumps, rfc8785.IntegerDomainError)):
        try:
            judge(number)
        except error:
            continue
        raise AssertionError("an unsafe integer was accepted")
