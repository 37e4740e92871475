"""For docks and those who look after them."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from archive.cli.options import Home, opened
from archive.kernel.ids import DockId, parse_uuid
from archive.ledger.entries import OPERATOR


def register(app: typer.Typer) -> None:
    """Add the docks' commands."""
    dock = typer.Typer(help="Docking stations.", no_args_is_help=True)
    dock.command("invite")(invite)
    dock.command("list")(list_)
    dock.command("revoke")(revoke)
    app.add_typer(dock, name="dock")


def invite(
    name: Annotated[str, typer.Option(help="Name of the dock, for people.")],
    home: Home = None,
) -> None:
    """Make a one-time code that enrols one dock within the hour (on the server)."""
    from ingest.docks import invite_dock

    with opened(home) as services:
        print(invite_dock(services.database, name=name, by=OPERATOR, at=services.clock.now()))


def list_(home: Home = None) -> None:
    """List the docks (on the server)."""
    from ingest.docks import docks

    table = Table("dock", "name", "enrolled", "revoked", box=None)
    with opened(home) as services, services.database.read() as tx:
        for dock in docks(tx):
            table.add_row(
                str(dock.id),
                dock.name,
                f"{dock.enrolled_at:%F %T}",
                f"{dock.revoked_at:%F %T}" if dock.revoked_at else "",
            )
    Console(highlight=False).print(table)


def revoke(dock: Annotated[str, typer.Argument(help="Id of the dock.")], home: Home = None) -> None:
    """Refuse a dock from now on (on the server)."""
    from ingest.docks import revoke_dock

    with opened(home) as services:
        revoke_dock(services.database, DockId(parse_uuid(dock)), by=OPERATOR, at=services.clock.now())
