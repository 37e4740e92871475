"""For operators: making an archive, running it, accounts, docks."""

import contextlib
import json
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.cli.database import AsUrl, same_database
from archive.cli.options import AsJson, Home, named_unit, opened
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.organisation.units import name_first_agency
from archive.settings import load_settings
from archive.wiring.homes import create_home

_FIRST_ACCOUNTS = (
    ("admin", "Administrator", Role.ADMINISTRATOR),
    ("supervisor", "Supervisor", Role.SUPERVISOR),
    ("auditor", "Auditor", Role.AUDITOR),
)


def register(app: typer.Typer) -> None:
    """Add the operators' commands."""
    app.command("init")(init)
    app.command("migrate")(migrate_home)
    app.command("serve")(serve)
    app.command("web", hidden=True)(web)
    app.command("worker")(worker)
    app.command("relay", hidden=True)(relay)
    app.command("sequencer", hidden=True)(sequencer)
    account = typer.Typer(help="Accounts of people.", no_args_is_help=True)
    account.command("add")(add_account)
    app.add_typer(account, name="account")


def init(
    home: Home = None,
    organisation: Annotated[str | None, typer.Option(help="Name of the bureau.")] = None,
    origin: Annotated[str | None, typer.Option(help="Name of the log; unique in the world.")] = None,
    host_name: Annotated[list[str] | None, typer.Option(help="Name or address of this server; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new archive: keys, certificates, database, and three accounts whose passwords are shown once."""
    settings = load_settings(
        home=home, organisation=organisation, origin=origin, host_names=tuple(host_name) if host_name else None
    )
    create_home(settings)
    passwords = {name: secrets.token_urlsafe(12) for name, _, _ in _FIRST_ACCOUNTS}
    with opened(settings.home) as services:
        with services.database.begin() as tx:
            append_entry(
                tx,
                NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"trust": str(services.trust)}),
                at=services.clock.now(),
            )
        name_first_agency(services.database, settings.organisation, at=services.clock.now())
        for name, shown, role in _FIRST_ACCOUNTS:
            create_account(
                services.database,
                username=name,
                display_name=shown,
                roles=[role],
                password=passwords[name],
                by=OPERATOR,
                at=services.clock.now(),
            )
        services.sequencer.sequence()
    if as_json:
        print(json.dumps({"home": str(settings.home.absolute()), "passwords": passwords}))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"An archive was made in {settings.home.absolute()}\n")
    table = Table("account", "password (shown once)", box=None)
    for name, password in passwords.items():
        table.add_row(name, password)
    console.print(table)
    console.print(f"\nStart it:           liuhen serve --home {settings.home}")
    console.print(
        f"Keys for outsiders: {settings.home / 'trust.txt'}  (publish it: whoever pins it need not trust you)"
    )


def migrate_home(home: Home = None, as_url: AsUrl = None) -> None:
    """Bring the database of an archive to the schema of this program."""
    from archive.cases.indexing import missing_count, rebuild_index
    from archive.db.database import Database
    from archive.db.migrate import migrate
    from archive.db.roles import connected_role

    settings = load_settings(home=home)
    with contextlib.closing(Database(settings.effective_database_url)) as database:
        if as_url is None:
            migrate(database)
        else:
            with database.connect() as connection:
                service = None if database.is_sqlite else connected_role(connection)
            with contextlib.closing(same_database(database, as_url)) as owner:
                migrate(owner, service=service)
        with database.read() as tx:
            is_behind = missing_count(tx) > 0
        if is_behind:
            rebuild_index(database)
    print("The database has the newest schema.")


def serve(
    home: Home = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
    tls: Annotated[bool | None, typer.Option("--tls/--no-tls", help="HTTPS, or plain HTTP on localhost.")] = None,
    only_web: Annotated[bool, typer.Option("--only-web", help="The web processes of this host alone.")] = False,
) -> None:
    """Run the archive: web server, worker and sequencer, watched and restarted."""
    from archive.cli.supervisor import supervise

    raise typer.Exit(supervise(load_settings(home=home, host=host, port=port, tls=tls), only_web=only_web))


def web(
    fd: Annotated[list[int], typer.Option(help="A listening socket, inherited; repeatable.")],
    home: Home = None,
    tls: Annotated[bool | None, typer.Option("--tls/--no-tls")] = None,
) -> None:
    """Serve requests on inherited sockets (started by `serve`)."""
    from archive.cli.processes import run_web

    run_web(load_settings(home=home, tls=tls), fds=fd)


def worker(
    home: Home = None,
    queues: Annotated[
        str, typer.Option(help="Queues to work on, with commas between: prompt, long, proxy, package, delivery.")
    ] = "",
) -> None:
    """Run jobs until stopped: of all queues, or of some only, so that a machine does nothing but encode."""
    from archive.cli.workers import run_worker

    run_worker(load_settings(home=home), [queue.strip() for queue in queues.split(",") if queue.strip()])


def relay(home: Home = None) -> None:
    """Tell workers of due jobs through the broker, or stand by while another does (started by `serve`)."""
    from archive.cli.workers import run_relay

    run_relay(load_settings(home=home))


def sequencer(home: Home = None) -> None:
    """Sequence the log, or stand by until the sequencer before is gone (started by `serve`)."""
    from archive.cli.processes import run_sequencer

    run_sequencer(load_settings(home=home))


def add_account(
    username: str,
    role: Annotated[list[Role], typer.Option(help="What the person is to the archive; repeatable.")],
    home: Home = None,
    display_name: Annotated[str | None, typer.Option(help="Name as shown.")] = None,
    unit: Annotated[str, typer.Option(help="Agency and unit, by code or name, as AGENCY/UNIT; else the first.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="File with the password; else one is made.")] = None,
) -> None:
    """Make an account."""
    password = secrets.token_urlsafe(12) if password_file is None else password_file.read_text().strip()
    with opened(home) as services:
        create_account(
            services.database,
            username=username,
            display_name=display_name or username,
            roles=role,
            unit_id=named_unit(services, unit),
            password=password,
            by=OPERATOR,
            at=services.clock.now(),
        )
    print(f"{username} was made." + (f" Password (shown once): {password}" if password_file is None else ""))
