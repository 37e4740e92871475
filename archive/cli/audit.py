"""For auditors: checking without trusting."""

import typer


def register(app: typer.Typer) -> None:
    """Add the auditors' commands."""
    del app
