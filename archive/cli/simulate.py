"""`liuhen simulate`: a shift change, before it happens."""

import json
from pathlib import Path
from typing import Annotated

import typer

from archive.simulation.parameters import Parameters
from archive.simulation.shift import simulate
from archive.simulation.telling import figures, lines


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate_)


def simulate_(
    parameters: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML file; see docs/scale.md.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Simulate a shift change: when cameras are free, what waits, and what the limit is. Needs no archive."""
    given = Parameters.read(parameters)
    outcome = simulate(given)
    if as_json:
        print(json.dumps(figures(given, outcome)))
        return
    print("\n".join(lines(given, outcome)))
