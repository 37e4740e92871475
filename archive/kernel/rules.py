"""Rules as data: a file that a bureau may replace, read into what the program goes by."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from archive.kernel.errors import LiuhenError

Rules = TypeVar("Rules")


def load_rules(path: Path, make: Callable[[Mapping[str, Any]], Rules], refused: type[LiuhenError]) -> Rules:
    """Return what `make` reads in the TOML file at `path`.

    Raises: `refused`, with file and cause, for a file that cannot be read, and for what `make` refuses by ValueError,
        KeyError or TypeError.
    """
    try:
        return make(tomllib.loads(path.read_text("utf-8")))
    except (ValueError, KeyError, TypeError, OSError) as exc:
        raise refused(file=str(path), cause=str(exc)[:200]) from exc
