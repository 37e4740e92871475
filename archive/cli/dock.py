"""For docks and those who look after them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archive.cli import doors
from archive.cli.options import AsJson, Home, opened
from archive.cli.signals import on_signals
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId, parse_uuid
from archive.kernel.instants import parse_instant
from archive.ledger.entries import OPERATOR

if TYPE_CHECKING:
    from ingest.models import Dock
    from ingest.sources.patterns import NamePatterns

State = Annotated[
    Path | None,
    typer.Option("--state", help="Folder of this dock (or LIUHEN_DOCK_STATE).", show_default="~/.liuhen-dock"),
]
Patterns = Annotated[
    Path | None, typer.Option("--patterns", help="Your own patterns of file names, and their zone (TOML).")
]
Direct = Annotated[
    bool, typer.Option("--direct", help="Send straight to the archive's bucket, where the archive offers that.")
]
_MOST_PEM_BYTES = 64 * 1024


def register(app: typer.Typer) -> None:
    """Add the docks' commands."""
    dock = typer.Typer(help="Docking stations.", no_args_is_help=True)
    dock.command("invite")(invite)
    dock.command("list")(list_)
    dock.command("limit")(limit)
    dock.command("revoke")(revoke)
    dock.command("enrol")(enrol)
    dock.command("rotate")(rotate)
    dock.command("push")(push)
    dock.command("watch")(watch)
    doors.register(dock)
    app.add_typer(dock, name="dock")


def invite(
    name: Annotated[str, typer.Option(help="Name of the dock, for people.")],
    home: Home = None,
) -> None:
    """Make a one-time code that enrols one dock within the hour (on the server)."""
    from ingest.docks import invite_dock

    with opened(home) as services:
        print(invite_dock(services.database, name=name, by=OPERATOR, at=services.clock.now()))


def list_(home: Home = None) -> None:
    """List the docks (on the server)."""
    from ingest.agent.printable import printable
    from ingest.docks import docks

    # Not a table of rich: it would cut the ids where a line is short, and an id is what `revoke` asks for.
    with opened(home) as services, services.database.read() as tx:
        print(f"{'dock':36}  {'enrolled (UTC)':19}  {'revoked (UTC)':19}  {'kind':8}  {'limits':24}  name")
        for dock in docks(tx):
            revoked = f"{dock.revoked_at:%F %T}" if dock.revoked_at else ""
            told = f"{revoked:19}  {dock.kind:8}  {_limits_of(dock):24}"
            print(f"{dock.id}  {dock.enrolled_at:%F %T}  {told}  {printable(dock.name)}")


def _limits_of(dock: "Dock") -> str:
    """Return a dock's own limits; a dash stands for what is as the settings say."""
    limits = (dock.most_bytes_per_day, dock.most_bytes_per_s, dock.most_uploads)
    return "/".join("-" if limit is None else str(limit) for limit in limits)


def limit(
    dock: Annotated[str, typer.Argument(help="Id of the dock.")],
    bytes_per_day: Annotated[int | None, typer.Option(min=0, help="Bytes begun in 24 hours; 0 is any number.")] = None,
    bytes_per_s: Annotated[int | None, typer.Option(min=0, help="Bytes in a second; 0 is any number.")] = None,
    uploads: Annotated[int | None, typer.Option(min=0, help="Uploads at once; 0 is any number.")] = None,
    home: Home = None,
) -> None:
    """Set what a dock may send (on the server); what is not given is as the settings say for all docks."""
    from ingest.docks import set_dock_limits

    with opened(home) as services:
        set_dock_limits(
            services.database,
            DockId(parse_uuid(dock)),
            bytes_per_day=bytes_per_day,
            bytes_per_s=bytes_per_s,
            uploads=uploads,
            by=OPERATOR,
            at=services.clock.now(),
        )


def revoke(dock: Annotated[str, typer.Argument(help="Id of the dock.")], home: Home = None) -> None:
    """Refuse a dock from now on (on the server)."""
    from ingest.docks import revoke_dock

    with opened(home) as services:
        revoke_dock(services.database, DockId(parse_uuid(dock)), by=OPERATOR, at=services.clock.now())


def enrol(
    server: Annotated[str, typer.Option(help="Address of the archive: https://host:port.")],
    code: Annotated[str, typer.Option(help="The one-time code that `liuhen dock invite` printed on the server.")],
    state: State = None,
    ca: Annotated[Path | None, typer.Option(help="The archive's ca/root.cert.pem, got on another way.")] = None,
    pin: Annotated[str | None, typer.Option(help="Instead of --ca: the SHA-256 of that certificate.")] = None,
    sm3: Annotated[bool, typer.Option("--sm3", help="Compute SM3 too, for an archive with the CN profile.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Give up the enrolment that this folder has.")] = False,
) -> None:
    """Make this machine a dock of an archive: it makes its own key, gets one that can only write, and pins theirs."""
    from archive.kernel.digests import CN_PROFILE, STANDARD
    from ingest.agent.enrolment import enrol as enrol_here
    from ingest.agent.state import StateFolder

    folder = StateFolder.chosen(state)
    identity = enrol_here(
        folder,
        server=server,
        code=code,
        ca_pem=None if ca is None else _read_pem(ca),
        pin=pin,
        algorithms=CN_PROFILE if sm3 else STANDARD,
        replace=replace,
    )
    print(f"This is now dock {identity.dock_id} of {identity.place}.")
    print(f"Its key and what it trusts are in {folder.path}. Pinned, to be compared with the archive's trust.txt:")
    for line in str(identity.trust).splitlines():
        if not line.startswith("#"):
            print(f"  {line}")


def rotate(state: State = None) -> None:
    """Trade this dock's key for another one, with the old one; no code is needed. Not while a push runs.

    When the answer is lost, run it again within 10 minutes.
    """
    from ingest.agent.rotation import rotate as rotate_here
    from ingest.agent.state import StateFolder

    identity = rotate_here(StateFolder.chosen(state))
    print(f"Dock {identity.dock_id} has another key for {identity.place}; the old one ends within 10 minutes.")


def push(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with everything below.", show_default=False)],
    case: Annotated[str | None, typer.Option(help="Case number to file the recordings under.")] = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete each file once its receipt is verified.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at once.")] = 3,
    state: State = None,
    device_time: Annotated[
        str | None, typer.Option(help="What the camera's clock shows now (RFC 3339), to measure how far it is off.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to go on trying while nothing moves, for each file.")
    ] = 120.0,
    again: Annotated[
        bool, typer.Option("--again", help="Send again what the archive put into quarantine before.")
    ] = False,
    direct: Direct = False,
    patterns: Patterns = None,
    as_json: AsJson = False,
) -> None:
    """Deliver recordings, and go on where the last push ended.

    Exit codes: 0 all delivered (and wiped, with --wipe); 65 something was refused or put into quarantine; 75 something
    is not delivered yet, push again; 69 the archive cannot be reached; 77 the archive does not accept this dock, or the
    dock not the archive's certificate.
    """
    from archive.cli.push_view import BarWatcher, LineWatcher, print_json, print_summary
    from ingest.agent.push import push as push_from_here
    from ingest.agent.sending import Wishes
    from ingest.agent.state import StateFolder

    wishes = Wishes(case_number=case, wipe=wipe, again=again, wait_s=wait, direct=direct, patterns=_patterns(patterns))
    shown_at = None if device_time is None else parse_instant(device_time)
    try:
        with BarWatcher() if sys.stderr.isatty() else LineWatcher() as watcher:
            report = push_from_here(
                StateFolder.chosen(state), paths, wishes, jobs=jobs, device_time=shown_at, watcher=watcher
            )
    except KeyboardInterrupt:
        print("liuhen: stopped; push again to go on where it ended", file=sys.stderr)
        raise
    if as_json:
        print_json(report)
    else:
        print_summary(report)
    raise typer.Exit(report.exit_code)


def watch(
    folders: Annotated[list[Path], typer.Argument(help="Folders: mounted cameras, drop folders.", show_default=False)],
    case: Annotated[str | None, typer.Option(help="Case number to file the recordings under.")] = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete each file once its receipt is verified.")] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between looks.")] = 5.0,
    settle: Annotated[
        float, typer.Option(min=0, max=86400, help="Seconds without change until a file is finished.")
    ] = 10.0,
    grace: Annotated[
        float, typer.Option(min=0, max=86400, help="Seconds that recording and sidecar wait for each other.")
    ] = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Deliver what is finished now, and end.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at once.")] = 3,
    state: State = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to go on trying while nothing moves, for each file and round.")
    ] = 30.0,
    direct: Direct = False,
    patterns: Patterns = None,
    as_json: AsJson = False,
) -> None:
    """Deliver whatever is finished in these folders, again and again, until SIGTERM or Ctrl-C.

    A line for each event. Exit codes: 0 stopped; 77 the archive does not accept this dock, or the dock not the
    archive's certificate. With --once those of push, and 75 when something is not finished yet.
    """
    from archive.cli.watch_view import say_json, say_line
    from ingest.agent.sending import Wishes
    from ingest.agent.state import StateFolder
    from ingest.agent.watch import Round, Watch

    watching = Watch(
        StateFolder.chosen(state),
        folders,
        Wishes(case_number=case, wipe=wipe, wait_s=wait, direct=direct, patterns=_patterns(patterns)),
        Round(every_s=every, settle_s=settle, grace_s=grace, jobs=jobs),
        say_json if as_json else say_line,
    )
    on_signals(watching.stop.set)
    raise typer.Exit(watching.run_once() if once else watching.run())


def _patterns(path: Path | None) -> "NamePatterns":
    from ingest.sources.patterns import NamePatterns, shipped_patterns

    return shipped_patterns() if path is None else NamePatterns.load(path)


def _read_pem(path: Path) -> str:
    try:
        with path.open("rb") as source:
            return source.read(_MOST_PEM_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput("The certificate file cannot be read", file=str(path)) from exc
