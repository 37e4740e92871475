"""Putting the commands together, and turning errors into one line and an exit code."""

import json
import sys
from collections.abc import Sequence

import click
import typer
from pydantic import ValidationError

from archive.cli import audit, cases, dock, operate
from archive.kernel.errors import LiuhenError

_INTERRUPTED = 130


def build() -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        name="liuhen",
        help="Liuhen 留痕: an evidence archive that nobody has to trust.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    operate.register(app)
    cases.register(app)
    dock.register(app)
    audit.register(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    as_json = "--json" in arguments
    try:
        code = typer.main.get_command(build()).main(args=list(arguments), prog_name="liuhen", standalone_mode=False)
    except LiuhenError as error:
        return _told(error.code, str(error), error.exit_code, as_json=as_json)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _told("settings.invalid", f"The setting {where} is wrong: {first['msg']}", 78, as_json=as_json)
    except click.ClickException as error:
        return _told("cli.usage", f"{error.format_message()} (see liuhen --help)", 64, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    return code if isinstance(code, int) else 0


def _told(code: str, message: str, exit_code: int, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False))
    print(f"liuhen: {message} [{code}]", file=sys.stderr)
    return exit_code
