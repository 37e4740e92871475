"""What several commands share: the home folder, and opening the archive in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from archive.wiring import Services

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the archive (or LIUHEN_HOME).", show_default="liuhen-home"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")]


@contextmanager
def opened(home: Path | None) -> "Iterator[Services]":
    """Open the archive for one command."""
    # Late: a dock has no archive, and should not wait for what opens one.
    from archive.settings import load_settings
    from archive.wiring import build_services

    services = build_services(load_settings(home=home))
    try:
        yield services
    finally:
        services.close()
