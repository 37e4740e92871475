"""The web entry point: API, pages, static files. HTTP is known here and nowhere else."""

from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
