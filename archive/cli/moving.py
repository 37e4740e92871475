"""For operators: moving everything to another store, with a report of every object that must balance."""

import json
import shutil
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.cli.options import AsJson, Home, opened
from archive.cli.reports import exit_code
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome
from archive.kernel.instants import format_instant
from archive.ledger.entries import OPERATOR
from retention.moving.terms import MoveState

if TYPE_CHECKING:
    from retention.moving.reporting import Balance
    from retention.moving.running import MoveStanding

_REPORTS = ("csv", "json", "json.p7s")
_Leave = Annotated[bool, typer.Option("--leave", help="Take nothing away there: the place is lost, or kept by others.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Moving everything to another store (迁移).", no_args_is_help=True)
    for name, command in (
        ("begin", begin),
        ("status", status),
        ("run", run),
        ("switch", switch),
        ("release", release),
        ("abandon", abandon),
        ("renamed", renamed),
    ):
        group.command(name)(command)
    app.add_typer(group, name="move")


def begin(
    to: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="File (TOML) with the settings of the store.")],
    keep_days: Annotated[
        int | None,
        typer.Option(min=1, max=3650, help="Days that the store which is left is kept (else move_keep_days)."),
    ] = None,
    home: Home = None,
) -> None:
    """Begin a move; nothing is copied yet. The file has lines as `liuhen.toml`: store, s3_bucket, store_folder, …"""
    from archive.wiring.stores import trial_of, with_store
    from retention.moving.beginning import begin_move
    from retention.worm import WormProbes

    with opened(home) as services:
        days = services.settings.move_keep_days if keep_days is None else keep_days
        move_id = begin_move(services.moving, _settings_in(to), keep_days=days, by=OPERATOR)
        trial = trial_of(with_store(services.settings, _settings_in(to)))
        found = WormProbes(services.database, services.clock, trial).run(by=OPERATOR)
    print(f"Move {move_id} has begun. Copy with `liuhen move run`; the archive goes on meanwhile.")
    print("Locks of the new store: " + ("proven" if found.outcome is Outcome.VALID else "not proven"))


def status(
    home: Home = None,
    save: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Make a report now, and put it into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say where the move stands.

    Exit code 0: everything is verified. 1: objects are missing or different. 2: some wait.
    """
    from retention.moving.reporting import make_report
    from retention.moving.running import newest_move, standing

    with opened(home) as services:
        parts = services.moving
        with services.database.read() as tx:
            found, move = standing(tx, parts), newest_move(tx)
        if save is not None:
            made = make_report(parts, move, "asked")
            for ending in _REPORTS:
                source = made.csv.with_name(f"asked.{ending}")
                shutil.copyfile(source, save / f"move-{move.id}.{ending}")
    _print(found, as_json=as_json)
    raise typer.Exit(_code(found.balance))


def run(home: Home = None, as_json: AsJson = False) -> None:
    """Copy and verify all that waits, and try again what could not be copied. Exit code as of `status`."""
    from retention.moving.running import run_move, standing

    with opened(home) as services:
        balance = run_move(services.moving, by=OPERATOR, progress=_progress)
        with services.database.read() as tx:
            found = standing(tx, services.moving)
    _print(found, as_json=as_json)
    raise typer.Exit(_code(balance))


def switch(home: Home = None, as_json: AsJson = False) -> None:
    """Take the new store into use, in a short stop, where the report balances; then do what follows it.

    Every process of the archive must be started anew with the settings that are printed; those with the old ones write
    nothing any more. Broken off after the switch, it is gone on with by this command and the new settings.
    """
    from archive.wiring.move_parts import settings_to_set
    from retention.moving.running import newest_move, standing
    from retention.moving.switching import settle_move, switch_move

    with opened(home) as services:
        parts = services.moving
        with services.database.read() as tx:
            move = newest_move(tx)
        lines = settings_to_set(parse_canonical(move.to_settings.encode()))
        if move.state == MoveState.COPYING:
            switch_move(parts, by=OPERATOR, progress=_progress)
            if not as_json:
                print("The new store is in use. Set this in liuhen.toml of every host, and start the archive anew:")
                print("\n".join(lines), flush=True)
        settle_move(parts, by=OPERATOR, progress=_progress)
        with services.database.read() as tx:
            found = standing(tx, parts)
    _print(found, as_json=as_json, settings=lines)


def release(home: Home = None, leave: _Leave = False, as_json: AsJson = False) -> None:
    """Give up the store that was left, once its time is over and everything was read again in the new one.

    Exit code 0: nothing is left there. 2: locks keep some of it; run this again when they have ended.
    """
    from retention.moving.releasing import release_move

    with opened(home) as services:
        found = release_move(services.moving, by=OPERATOR, leaves=leave, progress=_progress)
    _print(found, as_json=as_json)
    raise typer.Exit(exit_code(_ended(found, MoveState.RELEASED)))


def abandon(home: Home = None, leave: _Leave = False, as_json: AsJson = False) -> None:
    """Give up a move that has not switched, and take away what it has copied. Exit code as of `release`."""
    from retention.moving.beginning import give_up
    from retention.moving.releasing import clear_given_up

    with opened(home) as services:
        give_up(services.moving, by=OPERATOR)
        found = clear_given_up(services.moving, by=OPERATOR, leaves=leave, progress=_progress)
    _print(found, as_json=as_json)
    raise typer.Exit(exit_code(_ended(found, MoveState.ABANDONED)))


def renamed(home: Home = None) -> None:
    """Say that the store in use has another name now, that of the settings: its server or folder is called otherwise.

    Only after a move, which wrote its name down. Every object of the catalogue must be shown there.
    """
    from archive.settings import load_settings
    from archive.wiring import build_services
    from retention.moving.renaming import rename_store

    services = build_services(load_settings(home=home), is_renaming=True)
    try:
        rename_store(services.moving, by=OPERATOR)
        print(f"The store in use is {services.moving.place}")
    finally:
        services.close()


def _settings_in(file: Path) -> dict[str, Any]:
    try:
        told = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"The file cannot be read: {exc}", file=str(file)) from exc
    for name in ("store_folder", "s3_credentials_file", "s3_ca"):
        if name in told:
            told[name] = str(Path(str(told[name])).absolute())
    return told


def _ended(found: "MoveStanding", state: MoveState) -> Outcome:
    return Outcome.VALID if found.move.state == state else Outcome.INDETERMINATE


def _code(balance: "Balance") -> int:
    if balance.faults:
        return exit_code(Outcome.INVALID)
    return exit_code(Outcome.VALID if balance.balances else Outcome.INDETERMINATE)


def _progress(count: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{count} objects")


def _print(found: "MoveStanding", *, as_json: bool, settings: list[str] | None = None) -> None:
    move, balance = found.move, found.balance
    if as_json:
        told = {
            "move": str(move.id),
            "state": move.state,
            "from": move.from_place,
            "to": move.to_place,
            **asdict(balance),
            "unknown": balance.unknown,
            "balances": balance.balances,
            "verified_bytes": found.verified_bytes,
            "keep_until": None if move.keep_until is None else format_instant(move.keep_until),
            "rechecked": found.rechecked,
            "cleared": found.cleared,
            "locked": found.locked,
            "locked_until": None if found.locked_until is None else format_instant(found.locked_until),
            "faults": [fault._asdict() for fault in found.faults],
            **({} if settings is None else {"settings": settings}),
        }
        print(json.dumps(told, ensure_ascii=False, default=str))
        return
    print(f"{move.state}: {move.from_place} -> {move.to_place}")
    print(f"  catalogue {balance.catalogue}, destroyed {balance.destroyed}, verified {balance.verified}")
    print(f"  missing {balance.missing}, different {balance.different}, waiting {balance.waiting}")
    print("  the report balances" if balance.balances else "  the report does not balance")
    for fault in found.faults:
        print(f"  {fault.state}: {fault.object_id} [{fault.code}] {fault.key}")
    if move.state == MoveState.SWITCHED and move.keep_until is not None:
        print(f"  {move.from_place} is kept until {move.keep_until:%Y-%m-%d %H:%M} UTC")
    if found.cleared or found.locked:
        print(f"  gone from the place that is given up: {found.cleared}, locked there: {found.locked}", end="")
        print("" if found.locked_until is None else f" (until {found.locked_until:%Y-%m-%d %H:%M} UTC)")
