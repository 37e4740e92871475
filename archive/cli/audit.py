"""For auditors: checking without trusting. Imports little, so that `liuhen verify` starts at once."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from archive.cli.reports import print_report, small_file
from archive.kernel.digests import STANDARD, hash_stream


def register(app: typer.Typer) -> None:
    """Add the auditors' commands."""
    app.command("verify")(verify)
    app.command("fsck")(fsck_)
    app.command("doctor")(doctor_)


def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The recording.")],
    receipt: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The receipt that came for it.")],
    key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Trust file with the pinned keys, from elsewhere.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Check a recording against its receipt, offline, without server and database.

    Exit code 0: valid. 1: invalid. 2: indeterminate, for example because no key from outside was given.
    """
    from archive.ledger.receipt import verify_receipt
    from archive.ledger.trustfile import TrustFile

    envelope = small_file(receipt)
    trust = None if key is None else TrustFile.parse(small_file(key))
    with file.open("rb", buffering=0) as source:
        digests = hash_stream(source, algorithms=STANDARD)
    report = verify_receipt(envelope, trust=trust, digests=digests, manifest=None)
    raise typer.Exit(print_report(report, str(file), as_json=as_json))


def fsck_(
    home: Annotated[Path | None, typer.Option("--home", help="Folder of the archive (or LIUHEN_HOME).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Check stores, log and catalogue raw and against each other. Exit codes as of `verify`."""
    from archive.db.database import Database
    from archive.fsck import Target, fsck
    from archive.settings import load_settings
    from archive.wiring import HomeMissing

    settings = load_settings(home=home)
    if not (settings.home / "keys").is_dir():
        raise HomeMissing(home=str(settings.home))
    with contextlib.closing(Database(settings.effective_database_url)) as database:
        report = fsck(Target(settings.home, database, settings.home / "ca" / "root.cert.pem"))
    raise typer.Exit(print_report(report, str(settings.home), as_json=as_json))


def doctor_(
    home: Annotated[Path | None, typer.Option("--home", help="Folder of the archive (or LIUHEN_HOME).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Say which promises this deployment keeps, and by what. Exit codes as of `verify`."""
    from archive.cli.options import opened
    from archive.doctor import examine

    with opened(home) as services:
        report = examine(services)
        if not as_json:
            for finding in report.findings:
                print(f"{finding.outcome.value:14}{finding.message}  [{finding.code}]")
        raise typer.Exit(print_report(report, str(services.settings.home), as_json=as_json))
