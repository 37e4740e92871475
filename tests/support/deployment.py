"""Which deployment a run of the suites is on: `LIUHEN_TEST_STORE=s3` puts every archive of it into buckets of its own."""

import os
from pathlib import Path
from typing import Any

from tests.support.weed import shared_weed

_RUN_FOLDER = "LIUHEN_TEST_RUN_FOLDER"


def store_settings(base: Path) -> dict[str, Any]:
    """Return the settings that say where an archive under `base` keeps what is large."""
    return s3_settings(base) if os.environ.get("LIUHEN_TEST_STORE") == "s3" else {}


def s3_settings(base: Path) -> dict[str, Any]:
    """Return the settings of an archive in two new buckets on this run's server."""
    return shared_weed(Path(os.environ[_RUN_FOLDER])).settings(base)
