"""Canonical JSON against the vectors of RFC 8785 and its author's test data (those without floats)."""

import json
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
import rfc8785

from archive.kernel.canonical import NotCanonical, canonical_json, parse_canonical, parse_json

VECTORS = {
    "RFC 8785 section 3.2.2, strings and literals": (
        r'{"string": "\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}',
        '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    ),
    "RFC 8785 section 3.2.3, order of keys by UTF-16 code units": (
        (
            r'{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", '
            r'"1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", '
            r'"\u00f6": "Latin Small Letter O With Diaeresis"}'
        ),
        (
            '{"\\r":"Carriage Return","1":"One","\x80":"Control","ö":"Latin Small Letter O With Diaeresis",'
            '"€":"Euro Sign","\U0001f600":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}'
        ),
    ),
    "arrays.json": (
        '[56, {"d": true, "10": null, "1": []}]',
        '[56,{"1":[],"10":null,"d":true}]',
    ),
    "french.json": (
        (
            '{"peach": "This sorting order", "péché": "is wrong according to French", '
            '"pêche": "but canonicalization MUST", "sin": "ignore locale"}'
        ),
        (
            '{"peach":"This sorting order","péché":"is wrong according to French",'
            '"pêche":"but canonicalization MUST","sin":"ignore locale"}'
        ),
    ),
    "structures.json": (
        (
            r'{"1": {"f": {"f": "hi", "F": 5}, "\n": 56}, "10": {}, "": "empty", "a": {}, '
            r'"111": [{"e": "yes", "E": "no"}], "A": {}}'
        ),
        r'{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
    ),
    "unicode.json, which is not normalised": (
        r'{"Unnormalized Unicode": "A\u030a"}',
        '{"Unnormalized Unicode":"A\u030a"}',
    ),
    "weird.json": (
        (
            r'{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\u000a": "Newline", "1": "One", '
            r'"\u0080": "Control\u007f", "\ud83d\ude02": "Smiley", "\u00f6": "Latin Small Letter O With Diaeresis", '
            r'"\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge"}'
        ),
        (
            '{"\\n":"Newline","\\r":"Carriage Return","1":"One","</script>":"Browser Challenge",'
            '"\x80":"Control\x7f","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign",'
            '"\U0001f602":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}'
        ),
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name: str) -> None:
    given, expected = VECTORS[name]
    value = parse_json(given.encode())
    assert canonical_json(value) == expected.encode()
    assert rfc8785.dumps(json.loads(given)) == expected.encode()
    assert parse_canonical(expected.encode()) == value


def test_every_control_character_has_its_one_escape() -> None:
    every = "".join(map(chr, range(0x80)))
    assert canonical_json(every) == rfc8785.dumps(every)


class _Colour(StrEnum):
    RED = "red"


class _Number(IntEnum):
    TWO = 2


def test_enums_tuples_and_read_only_mappings_have_the_form_of_what_they_stand_for() -> None:
    value = MappingProxyType({"colours": (_Colour.RED,), _Colour.RED: _Number.TWO})
    assert canonical_json(value) == b'{"colours":["red"],"red":2}'


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53 - 1), 0])
def test_the_largest_integers_that_every_reader_agrees_on(number: int) -> None:
    assert canonical_json([number]) == rfc8785.dumps([number])
    assert parse_canonical(canonical_json([number])) == [number]


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), 2**53, -(2**53), b"bytes", bytearray(b"x"), {1: "x"}, {"a": {None: 1}}, {"set"}, object()],
    ids=["float", "nan", "big", "small", "bytes", "bytearray", "key 1", "key None", "set", "object"],
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical_json(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, ["a\udc00b"]], ids=ascii)
def test_lone_surrogates_are_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical_json(value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nul",
        b"1.0",
        b"1e3",
        b"NaN",
        b"-Infinity",
        b'{"a":1,"a":1}',
        b'[{"a":{"b":1,"b":2}}]',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"'single'",
        b"[1,]",
        b"1" * 5000,
        b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw[:16]),
)
def test_text_that_is_not_strict_json_is_refused(raw: bytes) -> None:
    with pytest.raises(NotCanonical):
        parse_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"{} ",
        b' {"a":1}',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'"\\u0041"',
        b'"\\/"',
        b"-0",
        b"9007199254740992",
        b'"\\ud800"',
    ],
    ids=repr,
)
def test_other_spellings_of_the_same_value_are_refused(raw: bytes) -> None:
    parse_json(raw)
    with pytest.raises(NotCanonical):
        parse_canonical(raw)


@pytest.mark.parametrize("depth", [200, 400, 600, 800, 990])
def test_nesting_is_handled_or_refused_but_never_crashes(depth: int) -> None:
    raw = b"[" * depth + b"]" * depth
    try:
        assert canonical_json(parse_canonical(raw)) == raw
    except NotCanonical:
        assert depth > 200
