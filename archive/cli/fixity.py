"""For operators: fixity rounds. How far they are, reading now, trying a repair again, the reports of months."""

import json
from pathlib import Path
from typing import Annotated

import typer

from archive.cli.options import AsJson, Home, opened, subcommands
from archive.cli.reports import exit_code
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId, parse_uuid
from archive.ledger.entries import OPERATOR


def register(app: typer.Typer) -> None:
    """Add the commands."""
    fixity = subcommands(app, "fixity", help_text="Re-reading what is stored.")
    for command in (status, run, repair, report):
        fixity.command()(command)


def status(home: Home = None, as_json: AsJson = False) -> None:
    """Say how far the round is in each place.

    Exit code 0: nothing is damaged or overdue. 1: something is damaged. 2: something is overdue, or a place is away.
    """
    from retention.rounds.standing import whole_standing

    with opened(home) as services:
        rounds = services.rounds
        told = whole_standing(services.database, rounds.places.ids, period=rounds.period, at=services.clock.now())
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(f"period {told['period_days']} days; {told['open_damage']} damaged objects are not repaired")
        for place in told["places"]:
            figures = ", ".join(
                f"{place[name]} {name}" for name in ("objects", "checked", "fresh", "overdue", "unread")
            )
            print(f"{place['name']}: {figures}; oldest {place['oldest'] or 'none'}")
            if place["trouble"]:
                print(f"  cannot be read since {place['trouble_at']}: {place['trouble']}")
    is_late = any(place["overdue"] or place["trouble"] for place in told["places"])
    outcome = Outcome.INVALID if told["open_damage"] else Outcome.INDETERMINATE if is_late else Outcome.VALID
    raise typer.Exit(exit_code(outcome))


def run(
    object_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[OBJECT]...", help="Objects to read first, in every place.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Read everything once, due or not.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Read now what is due, have damage repaired, and say what was found. Exit codes as of `status`."""
    from retention.rounds.checking import Done

    given = [ObjectId(parse_uuid(each)) for each in object_ids or []]
    with opened(home) as services:
        rounds, done = services.rounds, Done()
        if everything:
            rounds.ask_everything()
        for place in rounds.places.ids if given else ():
            rounds.ask(given, place=place)
        while True:
            some = rounds.go_on(by=OPERATOR, is_whole=True)
            done.add(some)
            if not some.has_more:
                break
    if not as_json:
        told = f"{done.whole} whole, {done.damaged} damaged, {done.unread} could not be judged"
        print(f"read {done.size_bytes} bytes: {told}")
    status(home, as_json)


def repair(
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Try to repair all damage now. Exit code 0: nothing is damaged any more. 1: something is."""
    from sqlalchemy import select

    from retention.rounds.models import FixityDamage

    with opened(home) as services:
        is_open = select(FixityDamage).where(FixityDamage.repaired_at.is_(None)).order_by(FixityDamage.found_at)
        with services.database.read() as tx:
            ids = [row.id for row in tx.scalars(is_open)]
        repaired = sum(services.rounds.repairs.repair(each, by=OPERATOR, is_asked=True) for each in ids)
        with services.database.read() as tx:
            left = [
                {"object": str(row.object_id), "place": row.place, "why": row.trouble} for row in tx.scalars(is_open)
            ]
    if as_json:
        print(json.dumps({"repaired": repaired, "left": left}))
    else:
        print(f"{repaired} repaired, {len(left)} not")
        for each in left:
            print(f"  {each['object']} in {each['place']}: {each['why']}")
    raise typer.Exit(exit_code(Outcome.INVALID if left else Outcome.VALID))


def report(
    month: Annotated[str, typer.Argument(help="The month, as 2026-11.")],
    make: Annotated[bool, typer.Option("--make", help="Make it if there is none: the month must be over.")] = False,
    save: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Write report and signature into this folder.")
    ] = None,
    home: Home = None,
) -> None:
    """Print the report of a month, or write it with its signature."""
    from retention.rounds.reports import Month, ReportNotFound, report_of

    wanted = Month.of(month)
    with opened(home) as services:
        try:
            with services.database.read() as tx:
                row = report_of(tx, str(wanted))
        except ReportNotFound:
            if not make:
                raise
            row = services.fixity_reports.make(wanted, by=OPERATOR)
    if save is None:
        print(row.result.decode())
        return
    (save / f"fixity-{row.month}.json").write_bytes(row.result)
    (save / f"fixity-{row.month}.json.p7s").write_bytes(row.signature)
