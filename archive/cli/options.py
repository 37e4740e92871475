"""What several commands share: the home folder, and opening the archive in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from archive.settings import load_settings
from archive.wiring import Services, build_services

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the archive (or LIUHEN_HOME).", show_default="liuhen-home"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")]


@contextmanager
def opened(home: Path | None) -> Iterator[Services]:
    """Open the archive for one command."""
    services = build_services(load_settings(home=home))
    try:
        yield services
    finally:
        services.close()
