"""Making a new archive's folders, keys, certificates, configuration and database, once."""

import os
import secrets
from collections.abc import Sequence

from archive.db.database import Database
from archive.kernel.clock import SystemClock
from archive.kernel.errors import Conflict
from archive.ledger.proofs import head
from archive.settings import Settings
from archive.wiring import build_services, log_parts, prepare_local
from ingest.doors import DockKind, door_key
from signing.authority import EmbeddedAuthority
from signing.ed25519 import Ed25519KeyHandle
from signing.identifier_vault import FileIdentifierVault
from signing.keyfiles import PUBLIC, fsync_directory, replace_durably
from signing.secret_file import secret_from_file


class HomeExists(Conflict):
    """There is an archive in this folder already; it was not touched."""

    code = "home.exists"


def create_home(settings: Settings) -> None:
    """Make folders, keys, certificates, configuration, database and the first checkpoint of a new archive.

    The log's key comes last and makes the folder an archive: what broke off before is gone on with by the next call.
    Raises: HomeExists, also where the database holds a log already; Unavailable, StorageFull.
    """
    home = settings.home
    log_path, receipt_path = home / "keys" / "log.pem", home / "keys" / "receipt.pem"
    if log_path.exists():
        raise HomeExists(home=str(home))
    for name in ("keys", "run", "scratch", "log", "log-entries", "journal-keys"):
        (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    prepare_local(settings)
    (home / "log").chmod(0o755)
    _create_database(settings)
    if not (home / "ca").exists():
        EmbeddedAuthority.create(
            home / "ca",
            organisation=settings.organisation,
            valid_from=SystemClock().now(),
            host_names=_host_names(settings),
        )
    origin = settings.origin
    if origin == Settings.model_fields["origin"].default:
        # The origin names this log among all logs in the world, so two archives must not share one.
        origin = f"liuhen.local/{secrets.token_hex(4)}/log"
    configuration = home / "liuhen.toml"
    if not configuration.exists():
        told = "# Settings of this archive; docs/settings.md has them all.\n"
        told += f"origin = {_quoted(origin)}\norganisation = {_quoted(settings.organisation)}\n"
        replace_durably(configuration, told.encode(), mode=PUBLIC)
    FileIdentifierVault.create(home / "keys" / "subjects.key")
    secret_from_file(home / "keys" / "journal.key")
    secret_from_file(home / "keys" / "words.key")
    for kind in (DockKind.BROWSER, DockKind.AXIS):
        door_key(home / "keys", kind)
    fresh = log_path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    log_key = Ed25519KeyHandle.generate(fresh)
    is_there = receipt_path.exists()
    receipt_key = Ed25519KeyHandle.load(receipt_path) if is_there else Ed25519KeyHandle.generate(receipt_path)
    trust = log_parts.trust_file(home, origin, log_key, receipt_key, log_parts.witness_policy(settings))
    replace_durably(home / "trust.txt", str(trust).encode(), mode=PUBLIC)
    fresh.rename(log_path)
    fsync_directory(log_path.parent)
    services = build_services(settings.model_copy(update={"origin": origin}))
    services.objects.prepare()
    services.sequencer.recover()
    services.tsa.prepare()
    services.close()


def _create_database(settings: Settings) -> None:
    from archive.db.migrate import migrate  # alembic is for the one start that makes the archive

    database = Database(settings.effective_database_url)
    if database.is_sqlite and database.url.database:
        # Names of persons and hashes of passwords are for the archive alone; SQLite's other files get the same mode.
        os.close(os.open(database.url.database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        migrate(database)
        with database.read() as tx:
            if head(tx) is not None:
                raise HomeExists("The database belongs to an archive already", home=str(settings.home))
    finally:
        database.close()


def _host_names(settings: Settings) -> Sequence[str]:
    return [*settings.host_names, *([] if settings.host in {"0.0.0.0", "::"} else [settings.host])]  # noqa: S104


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
