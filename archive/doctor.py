"""What this deployment enforces, and by what. Where it cannot promise something, it says so."""

from pathlib import Path

from sqlalchemy import select, text

from archive.jobs.models import Job
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.ledger.proofs import head, pending_count
from archive.wiring import Services
from ingest.media.tools import check_tools


def examine(services: Services) -> Report:
    """Try every part that a promise rests on, and tell what was found."""
    return Report(
        (
            _database(services),
            _log(services),
            _worm(services),
            *_media(services),
            _certificate(services),
            _secrets(services.settings.home),
            _jobs(services),
        )
    )


def _database(services: Services) -> Finding:
    database = services.database
    with database.read() as tx:
        if not database.is_sqlite:
            setting = tx.execute(text("SHOW fsync")).scalar()
            told = f"PostgreSQL with fsync={setting}"
            if setting == "on":
                return valid("doctor.database", told)
            return invalid("doctor.database", f"{told}: acknowledged entries can be lost")
        journal = tx.execute(text("PRAGMA journal_mode")).scalar()
        synchronous = tx.execute(text("PRAGMA synchronous")).scalar()
    told = f"SQLite, journal_mode={journal}, synchronous={synchronous}"
    if (journal, synchronous) == ("wal", 2):
        return valid("doctor.database", told)
    return invalid("doctor.database", f"{told}: acknowledged entries can be lost")


def _log(services: Services) -> Finding:
    with services.database.read() as tx:
        newest, waiting = head(tx), pending_count(tx)
    if newest is None:
        return invalid("doctor.log", "The log has no checkpoint")
    return valid("doctor.log", f"The log has {newest.size} entries under its newest checkpoint, {waiting} wait")


def _worm(services: Services) -> Finding:
    if services.renditions.can_protect():
        return indeterminate(
            "doctor.worm", "WORM: advisory, file permissions; the file system could set immutable flags, none are set"
        )
    return indeterminate("doctor.worm", "WORM: advisory, file permissions")


def _media(services: Services) -> list[Finding]:
    folder = services.settings.ffmpeg
    if folder is None:
        return check_tools()
    return check_tools(ffmpeg=folder / "ffmpeg", ffprobe=folder / "ffprobe")


def _certificate(services: Services) -> Finding:
    certificate = services.authority.tls_certificate()
    left = (certificate.not_valid_after_utc - services.clock.now()).days
    told = f"The server's certificate is self-issued and ends in {left} days"
    return valid("doctor.certificate", told) if left > 0 else invalid("doctor.certificate", told)


def _secrets(home: Path) -> Finding:
    exposed = [str(path) for path in (home / "keys").iterdir() if path.stat().st_mode & 0o077]
    if exposed:
        return invalid("doctor.secrets", "A private key can be read by others", ", ".join(exposed))
    return valid("doctor.secrets", "Private keys can be read by their owner only")


def _jobs(services: Services) -> Finding:
    with services.database.read() as tx:
        dead = tx.scalars(select(Job.id).where(Job.state == "dead")).all()
    if dead:
        return invalid("doctor.jobs", f"{len(dead)} jobs were given up")
    return valid("doctor.jobs", "No job was given up")
