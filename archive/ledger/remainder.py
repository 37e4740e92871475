"""What of a detail may stay when it is erased: ids, words of closed lists, times. Nothing of it says who somebody is.

Other rows go back to it: without the ids of a case's opening nobody could say, after a loss of the database, which
links are of a case that there was. It stands in the detail of the entry that tells of the erasure.

Source: docs/adr/0027.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_ID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T[0-9:.]{8,15}(?:Z|[+-]\d\d:\d\d))?")
_WORD: Final = re.compile("[a-z][a-z0-9_. ]{0,63}")
_CLOSED: Final = frozenset(
    {
        "kind",
        "category",
        "stage",
        "state",
        "form",
        "class",
        "classes",
        "channel",
        "roles",
        "source_kind",
        "look",
        "template",
    }
)
"""Names whose values are words of closed lists."""
_NUMBERS: Final = frozenset(
    {"number", "sequence", "size", "revision", "pages", "template_version", "days", "duration_ms"}
)
"""Names whose values are kept where they are whole numbers; a `number` may be a text, and is not kept then."""


def remainder(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may stay of a detail."""
    found = {name: value for name, value in detail.items() if _stays(name, value)}
    was = detail.get("was")
    if isinstance(was, Mapping) and (before := remainder(was)):
        found["was"] = before
    return found


def _stays(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return name in _NUMBERS
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) and _stays(name, each) for each in value)
    if not isinstance(value, str):
        return False
    if name in _CLOSED:
        return _WORD.fullmatch(value) is not None
    is_time = name.endswith(("_at", "_by", "_from")) or name in {"until", "since", "begun"}
    return _ID.fullmatch(value) is not None or (is_time and _MOMENT.fullmatch(value) is not None)
