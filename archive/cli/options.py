"""What several commands share: the home folder, and opening the archive in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from archive.wiring import Services

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the archive (or LIUHEN_HOME).", show_default="liuhen-home"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")]


def subcommands(app: typer.Typer, name: str, *, help_text: str) -> typer.Typer:
    """Return the group of commands with this name, which is added if it is not there: several modules may fill one."""
    for group in app.registered_groups:
        if group.name == name and group.typer_instance is not None:
            return group.typer_instance
    made = typer.Typer(help=help_text, no_args_is_help=True)
    app.add_typer(made, name=name)
    return made


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


def named_unit(services: "Services", named: str) -> UUID:
    """Return the unit that is named as AGENCY/UNIT, by code or name; without a name the first. Raises: UnitNotFound."""
    from archive.db.sight import FIRST_UNIT
    from archive.organisation.units import UnitNotFound, unit_named

    if not named:
        return FIRST_UNIT
    agency, _, unit = named.partition("/")
    with services.database.read() as tx:
        found = unit_named(tx, agency, unit)
    if found is None:
        raise UnitNotFound(unit=named)
    return found
