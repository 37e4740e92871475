"""`liuhen demo`."""

import typer


def register(app: typer.Typer) -> None:
    """Add the demo."""
    del app
