"""Putting the commands together, and turning errors into one line and an exit code.

Only the module of the command at hand is loaded: `liuhen verify` must not wait for a web server's imports.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import typer

from archive.kernel.errors import LiuhenError

_INTERRUPTED: Final = 130
_TRACE: Final = "LIUHEN_TRACE"
_COMMANDS: Final = {
    "operate": ("init", "migrate", "serve", "web", "worker", "relay", "sequencer", "account"),
    "cases": ("case", "item"),
    "subjects": ("subject",),
    "certificates": ("certificates",),
    "templates": ("templates",),
    "dock": ("dock",),
    "integration": ("keys", "webhooks"),
    "renditions": ("renditions", "jobs"),
    "search": ("search",),
    "simulate": ("simulate",),
    "witness": ("log",),
    "database": ("db",),
    "copies": ("copy", "drill"),
    "moving": ("move",),
    "audit": ("verify", "fsck", "doctor"),
    "validation": ("validate",),
    "log": ("log",),
    "journal": ("log",),
    "recovery": ("backup", "restore", "recover"),
}


def build(command: str | None = None) -> typer.Typer:
    """Return the command line: all of it, or the part that holds `command`."""
    app = typer.Typer(
        name="liuhen",
        help="Liuhen 留痕: an evidence archive that nobody has to trust.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_root)
    holding = [module for module, names in _COMMANDS.items() if command in names]
    for module in holding or _COMMANDS:
        importlib.import_module(f"archive.cli.{module}").register(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    as_json = "--json" in arguments
    try:
        command = typer.main.get_command(build(arguments[0] if arguments else None))
        code = command.main(args=list(arguments), prog_name="liuhen", standalone_mode=False)
    except LiuhenError as error:
        return _told(error.code, str(error), error.exit_code, as_json=as_json)
    except typer.TyperException as error:
        return _told("cli.usage", f"{error} (see liuhen --help)", 64, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except OSError as error:
        where = "" if error.filename is None else f" ({error.filename})"
        return _told("cli.io", f"{error.strerror or type(error).__name__}{where}", 74, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last place that can say it in one line
        told = f"Something went wrong on our side: {type(error).__name__}"
        if os.environ.get(_TRACE):
            traceback.print_exc()
        return _told("internal.error", f"{told} (set {_TRACE}=1 to see where)", 70, as_json=as_json)
    return code if isinstance(code, int) else 0


def _root() -> None:
    """Liuhen 留痕: an evidence archive that nobody has to trust."""


def _told(code: str, message: str, exit_code: int, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False))
    # A command without its arguments is answered with its help, which stands for itself.
    print(message if "\n" in message else f"liuhen: {message} [{code}]", file=sys.stderr)
    return exit_code
