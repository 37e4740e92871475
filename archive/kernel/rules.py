"""Rules as data: a file that a bureau may replace, read into what the program goes by."""

import re
import string
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from archive.kernel.errors import LiuhenError

Rules = TypeVar("Rules")
_WIDTH: Final = re.compile(r"(?:0?[1-9]|)")


def load_rules(path: Path, make: Callable[[Mapping[str, Any]], Rules], refused: type[LiuhenError]) -> Rules:
    """Return what `make` reads in the TOML file at `path`.

    Raises: `refused`, with file and cause, for a file that cannot be read, and for what `make` refuses by ValueError,
        KeyError or TypeError.
    """
    try:
        return make(tomllib.loads(path.read_text("utf-8")))
    except (ValueError, KeyError, TypeError, OSError) as exc:
        raise refused(file=str(path), cause=str(exc)[:200]) from exc


def check_scheme(scheme: str, names: Collection[str]) -> None:
    """Refuse a scheme of numbers that names anything but these, or leaves out the serial or the year.

    Raises: ValueError, also for conversions, attributes, and a width of anything but the serial.
    """
    found = [part for part in string.Formatter().parse(scheme) if part[1] is not None]
    used = [name for _, name, _, _ in found]
    if not set(used) <= set(names) or used.count("serial") != 1 or "year" not in used:
        others = ", ".join(f"{{{name}}}" for name in sorted(set(names) - {"serial", "year"}))
        raise ValueError(f"a scheme holds {{serial}} once, {{year}}, and perhaps {others}")
    for _, name, width, conversion in found:
        if conversion is not None or (width and (name != "serial" or not _WIDTH.fullmatch(width))):
            raise ValueError("only the serial has a width, such as {serial:05}")
