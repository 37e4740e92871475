"""Which deployment a run of the suites is on: `LIUHEN_TEST_STORE=s3` puts every archive of it into buckets of its own."""

import os
from pathlib import Path
from typing import Any

from archive.settings import Settings
from tests.support.weed import shared_weed

_RUN_FOLDER = "LIUHEN_TEST_RUN_FOLDER"


def is_in_buckets() -> bool:
    """Whether every archive of this run keeps what is large in buckets."""
    return os.environ.get("LIUHEN_TEST_STORE") == "s3"


def store_settings(base: Path) -> dict[str, Any]:
    """Return the settings that say where an archive under `base` keeps what is large."""
    return s3_settings(base) if is_in_buckets() else {}


def s3_settings(base: Path) -> dict[str, Any]:
    """Return the settings of an archive in two new buckets on this run's server."""
    return shared_weed(Path(os.environ[_RUN_FOLDER])).settings(base)


def s3_environment(base: Path) -> dict[str, str]:
    """Return the variables that put the archive of a process into two new buckets on this run's server."""
    return {f"LIUHEN_{name.upper()}": str(value) for name, value in s3_settings(base).items()}


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables by which a process finds the archive of these settings."""
    names = ("store", "s3_endpoint", "s3_bucket", "s3_work_bucket", "s3_credentials_file", "s3_lists_by_folder")
    told = {f"LIUHEN_{name.upper()}": str(getattr(settings, name)) for name in names if getattr(settings, name)}
    found = {"LIUHEN_HOME": str(settings.home), "LIUHEN_DATABASE_URL": settings.effective_database_url}
    return {**told, **found, "LIUHEN_TERMS": "off"}
