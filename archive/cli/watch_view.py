"""How a watch is shown: one line for each event, for people and their logs, or JSON for programs."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from archive.kernel.clock import SystemClock
from archive.kernel.instants import format_instant
from ingest.agent.printable import printable

_PLAIN: Final = re.compile(r"[^\s\"=]+")


def say_line(event: str, facts: Mapping[str, Any]) -> None:
    """Print an event as `time event name=value ...`; values with blanks or quotes are quoted."""
    told = [f"{name}={_value(value)}" for name, value in facts.items()]
    print(_now(), event, *told, flush=True)


def say_json(event: str, facts: Mapping[str, Any]) -> None:
    """Print an event as one JSON object. Names that are no UTF-8 keep their bytes as lone surrogates."""
    print(json.dumps({"at": _now(), "event": event, **facts}), flush=True)


def _now() -> str:
    return format_instant(SystemClock().now())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(_value(each) for each in value)
    shown = printable(str(value))
    return shown if _PLAIN.fullmatch(shown) else json.dumps(shown, ensure_ascii=False)
