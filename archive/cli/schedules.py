"""For records managers and operators: retention schedules (保管期限表), listed, shown, checked, taken in as drafts.

None is put in force here: a second person does that, on the page, with the differences before their eyes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from archive.calendar.days import local_day
from archive.cli.options import Home, opened
from archive.kernel.ids import ScheduleId, parse_uuid
from archive.ledger.entries import OPERATOR
from retention.schedules.algebra import Rule
from retention.schedules.listings import open_versions, past_versions, schedule_view
from retention.schedules.notes import Note, NoteCode, notes_of
from retention.schedules.register import rules_in_force, save_schedule
from retention.schedules.shipped import Shipped, load_schedule, shipped_schedule

File = Annotated[
    Path, typer.Argument(help="A schedule as TOML, UTF-8, as default.toml is.", exists=True, dir_okay=False)
]
Named = Annotated[
    str, typer.Argument(help="The id of a version, `now` for the rules in force, or a shipped one: default, police.")
]


def register(app: typer.Typer) -> None:
    """Add the commands about retention schedules."""
    schedules = typer.Typer(help="Retention schedules (保管期限表).", no_args_is_help=True)
    schedules.command("list")(show_all)
    schedules.command("show")(show)
    schedules.command("check")(check)
    schedules.command("add")(add)
    app.add_typer(schedules, name="schedules")


def show_all(
    everything: Annotated[bool, typer.Option("--all", help="Also the newest replaced and withdrawn versions.")] = False,
    home: Home = None,
) -> None:
    """List the versions with id, state and the day that each holds from."""
    with opened(home) as services, services.database.read() as tx:
        on = local_day(services.clock.now())
        versions = [*open_versions(tx, on=on), *(past_versions(tx, on=on).rows if everything else ())]
        if rules_in_force(tx, on).schedule_id is None:
            print(f"{'default':36}  in_force                {shipped_schedule(Shipped.DEFAULT).title_en}")
        for each in versions:
            print(f"{each.id}  {each.standing.value:10}  {each.valid_from or '':10}  {each.title}")


def show(named: Named = "now", home: Home = None) -> None:
    """Show the rules of a version, one in a line: code, how long, counted from, what it is for, legal basis."""
    if named in set(Shipped):
        _print(shipped_schedule(Shipped(named)).rules)
        return
    with opened(home) as services, services.database.read() as tx:
        on = local_day(services.clock.now())
        if named == "now":
            _print(rules_in_force(tx, on).rules)
        else:
            _print(schedule_view(tx, ScheduleId(parse_uuid(named)), on=on).rules)


def check(file: File) -> None:
    """Check a schedule's file, and say what is to be looked at. Nothing is kept."""
    found = load_schedule(file)
    for note in notes_of(found.rules):
        print(f"look at: {_words(note)}")
    print(f"{found.title}: {len(found.rules)} rules")


def add(file: File, home: Home = None) -> None:
    """Take a schedule's file in as a draft; print its id. Somebody else puts it in force, on the page."""
    found = load_schedule(file)
    with opened(home) as services:
        print(save_schedule(services.database, found.title, found.rules, by=OPERATOR, at=services.clock.now()))


def _print(rules: Sequence[Rule]) -> None:
    for rule in rules:
        months = rule.period.months
        length = "permanent" if months is None else f"{months} months" if months % 12 else f"{months // 12} years"
        print(f"{rule.code:24}  {length:10}  {rule.basis.value:11}  {_asks(rule)}  {rule.legal_basis}")


def _asks(rule: Rule) -> str:
    """Return what a rule is for, in the words of the file."""
    asked = rule.condition
    parts = [] if asked.filed is None else ["filed" if asked.filed else "not filed"]
    named = [(name, sorted(getattr(asked, name))) for name in ("kinds", "marks", "categories", "stages")]
    parts += [f"{name}: {', '.join(values)}" for name, values in named if values]
    return "; ".join(parts) or "everything"


def _words(note: Note) -> str:
    kinds = ", ".join(note.kinds)
    match note.code:
        case NoteCode.GAP_UNFILED:
            return f"no rule is for these where they are filed under no case: {kinds}"
        case NoteCode.GAP_FILED:
            return f"no rule is for these under cases of {', '.join(note.categories)}: {kinds}"
        case NoteCode.NEVER_DECIDES:
            return f"{note.rule} never decides: {note.by} keeps at least as long"
