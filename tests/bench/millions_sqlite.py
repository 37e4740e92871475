"""An archive of a million items on SQLite."""

from pathlib import Path

from tests.bench import millions
from tests.bench.report import Section


def measure(scratch: Path, *, runs: int = millions.RUNS) -> Section:
    """Measure; the archives are kept beside the checkout, not in the scratch folder."""
    del scratch
    return millions.measure("SQLite", runs=runs)
