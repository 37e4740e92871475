"""For operators: backups, bringing one back, and recovering an archive whose database is lost."""

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.cli.options import AsJson, Home
from archive.cli.reports import print_report
from archive.kernel.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from archive.settings import Settings

KeyFile = Annotated[Path | None, typer.Option("--key-file", help="File of 32 bytes that encrypts the backup.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File whose first line is a passphrase, 12 characters at least."),
]


class KeyAmbiguous(InvalidInput):
    """A backup has one key: name it with --key-file or with --passphrase-file."""

    code = "backup.key_ambiguous"
    exit_code = 64


class ArchiveRuns(Unavailable):
    """The archive runs: stop it first (`liuhen serve` holds the log)."""

    code = "recovery.archive_runs"
    exit_code = 75


class RevisionDiffers(InvalidInput):
    """The backup was made by another version of the program: restore it with that one, then `liuhen migrate`."""

    code = "restore.revision_differs"
    exit_code = 64


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("recover")(recover)


def backup(
    folder: Annotated[Path, typer.Argument(help="Where the backup goes: a folder that is new or empty.")],
    home: Home = None,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Copy database, keys, configuration and log into one encrypted, signed backup, and read it back.

    The archive may run. Originals, quarantine, drafts and renditions are not in it; they are put once: copy them.
    """
    from archive.cli.options import opened
    from archive.db.revision import newest_revision
    from archive.recovery.backing_up import Subject, back_up, new_key

    _require_one(key_file, passphrase_file)
    key = new_key(key_file, passphrase_file)
    with opened(home) as services:
        subject = Subject(
            services.database,
            services.settings.home.absolute(),
            services.settings.origin,
            newest_revision(),
            services.signer,
        )
        made = back_up(subject, folder, key, is_passphrase=key_file is None, at=services.clock.now())
    size_bytes = sum(file.size_bytes for file in made.files.values())
    if as_json:
        print(json.dumps({"folder": str(folder), "log_size": made.log_size, "size_bytes": size_bytes}))
    else:
        print(f"The backup in {folder} holds the log up to entry {made.log_size}; {size_bytes:,} bytes were read back.")


def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the backup.")],
    home: Home = None,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Bring an archive back to a backup, and on to the end of the log where log and journal have survived.

    Files of the home folder that are there stay as they are. The database must be empty. `liuhen recover` goes on with
    what broke off. Exit code 0: valid. 1: invalid. 2: indeterminate; as of `liuhen fsck`.
    """
    from archive.db.database import Database
    from archive.db.revision import newest_revision
    from archive.recovery.backing_up import key_of, read_manifest
    from archive.recovery.restoring import check_backup, restore_database, restore_home
    from archive.settings import load_settings

    _require_one(key_file, passphrase_file)
    manifest = read_manifest(folder)
    key = key_of(manifest, key_file, passphrase_file)
    if manifest.revision != newest_revision():
        raise RevisionDiffers(backup=manifest.revision, program=newest_revision())
    check_backup(folder, manifest, key)
    written, stayed = restore_home(folder, load_settings(home=home).home.absolute(), key)
    settings = load_settings(home=home)  # with what the configuration in the backup says
    with contextlib.closing(Database(settings.effective_database_url)) as database:
        restore_database(folder, database, manifest, key)
    if not as_json:
        print(f"Backup of {manifest.made_at}, log up to entry {manifest.log_size}: {written} files, {stayed} stayed.")
    _finish(settings, backup_size=manifest.log_size, as_json=as_json)


def recover(home: Home = None, *, as_json: AsJson = False) -> None:
    """Bring the whole catalogue back into an empty database: from log, journal, object store and keys.

    Goes on where it broke off. Ends with every check of `liuhen fsck`. Exit code 0: valid. 1: invalid, something that
    should have come back did not. 2: indeterminate.
    """
    from archive.db.database import Database
    from archive.db.migrate import migrate
    from archive.settings import load_settings
    from archive.wiring import HomeMissing
    from archive.wiring.recovery_parts import require_keys

    settings = load_settings(home=home)
    if not (settings.home / "keys").is_dir():
        raise HomeMissing(home=str(settings.home))
    require_keys(settings.home)
    with contextlib.closing(Database(settings.effective_database_url)) as database:
        migrate(database)
    _finish(settings, backup_size=None, as_json=as_json)


def _finish(settings: "Settings", *, backup_size: int | None, as_json: bool) -> None:
    """Replay what the database lacks, make anew what follows, say so in the log, check everything, and print it."""
    from archive.fsck import Target, fsck
    from archive.kernel.findings import Report
    from archive.recovery.bringing_back import bring_back
    from archive.wiring import build_services
    from archive.wiring.recovery_parts import recovery_of, require_keys, sources_of
    from archive.wiring.stores import places_of, require_store

    require_keys(settings.home)
    services = build_services(settings, is_recovering=True)
    try:
        if not services.sequencer_lock.try_acquire():
            raise ArchiveRuns
        sources = sources_of(services)
        progress = _show_progress if sys.stderr.isatty() and not as_json else lambda *_: None
        result = bring_back(
            services.database,
            recovery_of(services, sources),
            sources,
            services.sequencer,
            services.intake,
            home=settings.home.absolute(),
            backup_size=backup_size,
            at=services.clock.now(),
            progress=progress,
        )
        require_store(services.database, settings)  # what the log tells of moves is known by now
        target = Target(
            settings.home,
            services.database,
            settings.home / "ca" / "root.cert.pem",
            places=places_of(settings, services.clock),
            now=services.clock.now(),
        )
        report = Report((*sources.findings, *fsck(target).findings))
    finally:
        services.close()
    told: dict[str, Any] = {
        "from_size": result.from_size,
        "log_size": result.size,
        "replayed": result.replayed,
        "not_replayed": result.unknown,
        "hidden_findings": sources.hidden,
        "rows": result.tables,
    }
    if not as_json:
        print(f"Log: entries {result.from_size} to {result.size} were brought back; {result.replayed} were replayed.")
        print("\n".join(f"{count:>12,}  {table}" for table, count in result.tables.items() if count))
        print("What does not come back by its nature: docs/guarantees.md, the closed list.")
    raise typer.Exit(print_report(report, str(settings.home), as_json=as_json, more={"recovered": told}))


def _require_one(key_file: Path | None, passphrase_file: Path | None) -> None:
    if (key_file is None) == (passphrase_file is None):
        raise KeyAmbiguous


def _show_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\r{done:,} of {total:,}", end=end, file=sys.stderr, flush=True)
