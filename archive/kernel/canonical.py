"""Canonical JSON: one value, one sequence of bytes.

Source: RFC 8785 (JCS), restricted: no floating point numbers, integers within +-(2^53 - 1), strings that are valid
Unicode. Everything that Liuhen signs or logs goes through `canonical_json`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from archive.kernel.errors import InvalidInput

_MAX_SAFE_INTEGER = 2**53 - 1


class NotCanonical(InvalidInput):
    """A value or text has no canonical JSON form."""

    code = "json.not_canonical"


def canonical_json(value: Any) -> bytes:
    """Return the one canonical UTF-8 encoding of `value`.

    Raises: NotCanonical for floats, integers beyond 2^53 - 1, lone surrogates, keys that are not strings.
    Source: RFC 8785 sections 3.2.2 and 3.2.3 (keys sorted by UTF-16 code units).
    """
    try:
        return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as exc:
        raise NotCanonical("A string holds a lone surrogate") from exc
    except RecursionError as exc:
        raise NotCanonical("The value is nested too deeply") from exc


def parse_canonical(raw: bytes) -> Any:
    """Return the value whose canonical encoding is exactly `raw`.

    Raises: NotCanonical when `raw` is not JSON, or is JSON in any other than the canonical form.
    """
    value = parse_json(raw)
    if canonical_json(value) != raw:
        raise NotCanonical("The JSON text is not in canonical form (RFC 8785)")
    return value


def parse_json(raw: bytes) -> Any:
    """Parse UTF-8 JSON strictly: no duplicate keys, no NaN, no floats.

    Raises: NotCanonical.
    """
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except (ValueError, RecursionError) as exc:
        raise NotCanonical("The text is not JSON") from exc


def _ordered(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int():
            if abs(value) > _MAX_SAFE_INTEGER:
                raise NotCanonical("An integer is beyond 2^53 - 1")
            return value
        case Mapping():
            if not all(isinstance(key, str) for key in value):
                raise NotCanonical("A key is not a string")
            return {key: _ordered(value[key]) for key in sorted(value, key=_utf16)}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_ordered(element) for element in value]
        case _:
            raise NotCanonical(f"A value of type {type(value).__name__} has no canonical form")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise NotCanonical("A key stands twice in one object")
    return result


def _no_float(text: str) -> Any:
    raise NotCanonical(f"Floating point numbers are not allowed: {text}")
