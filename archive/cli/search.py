"""For operators: the search index."""

import sys

import typer

from archive.cli.options import Home, opened


def register(app: typer.Typer) -> None:
    """Add the commands of the search index."""
    search = typer.Typer(help="The search index.", no_args_is_help=True)
    search.callback()(_group)
    search.command("rebuild")(rebuild)
    app.add_typer(search, name="search")


def _group() -> None:
    """Keep the group a group: with one command alone it would become that command."""


def rebuild(home: Home = None) -> None:
    """Make the search index again from the catalogue, while the archive goes on; until then less is found."""
    from archive.cases.indexing import rebuild_index

    def show(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,}", end="", file=sys.stderr, flush=True)

    with opened(home) as services:
        count = rebuild_index(services.database, on_progress=show)
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    print(f"Things that can be found: {count:,}")
