"""For operators: erasing a detail of the log, and the encrypted journal that details can be restored from."""

import json
from typing import Annotated

import typer

from archive.cli.options import AsJson, Home, opened, subcommands
from archive.cli.reports import print_report


def register(app: typer.Typer) -> None:
    """Add the commands."""
    log = subcommands(app, "log", help_text="The transparency log.")
    log.command()(erase)
    journal = subcommands(log, "journal", help_text="The encrypted journal of details.")
    for command in (check, restore):
        journal.command()(command)


def erase(
    which: Annotated[str, typer.Argument(help="Index of an entry, or its id.")],
    reason: Annotated[str, typer.Option(help="Why it is erased; stays on record for good.")],
    authority: Annotated[str, typer.Option(help="Who decided it, on what basis; stays on record for good.")],
    home: Home = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Erase the detail of one entry for good, from the database and from the journal. The entry and its proofs stay."""
    from archive.ledger.entries import OPERATOR
    from archive.ledger.erasure import erase_detail, find_entry

    with opened(home) as services:
        with services.database.read() as tx:
            entry_id = find_entry(tx, which)
        told_by = erase_detail(
            services.database,
            services.journal,
            entry_id,
            reason=reason,
            authority=authority,
            by=OPERATOR,
            at=services.clock.now(),
        )
    if as_json:
        print(json.dumps({"erased": str(entry_id), "told_by": str(told_by)}))
    else:
        print(f"The detail of entry {entry_id} was erased; entry {told_by} tells of it.")


def check(home: Home = None, *, as_json: AsJson = False) -> None:
    """Open every segment and hold each detail against its entry and the database; change nothing.

    Exit code 0: valid. 1: invalid. 2: indeterminate, for example without the key of the journal.
    """
    from archive.fsck.journal import check_journal
    from archive.kernel.findings import Report
    from archive.wiring.stores import places_of

    with opened(home) as services, services.database.snapshot() as tx:
        settings = services.settings
        report = Report(
            tuple(
                check_journal(
                    tx.connection(), places_of(settings, services.clock), settings.home / "keys" / "journal.key"
                )
            )
        )
    raise typer.Exit(print_report(report, "journal", as_json=as_json))


def restore(home: Home = None, *, as_json: AsJson = False) -> None:
    """Write the details that the database has lost back from the journal. Those that were erased stay erased.

    Exit code 0: nothing is missing any more. 1: some details are not in the journal either.
    """
    from archive.ledger.restoring import restore_details

    with opened(home) as services:
        found = restore_details(services.database, services.journal)
    told = {"there": found.there, "written": found.written, "erased": found.erased, "lost": found.lost}
    if as_json:
        print(json.dumps({**told, "unreadable_segments": list(found.unreadable_segments)}))
    else:
        print(", ".join(f"{name}: {count}" for name, count in told.items()))
        for key in found.unreadable_segments:
            print(f"cannot be read: {key}")
    raise typer.Exit(1 if found.lost else 0)
