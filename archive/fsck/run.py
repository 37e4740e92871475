"""Running every check over one archive."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from archive.db.database import Database
from archive.fsck.catalogue import check_derived, check_jobs, check_objects, check_uploads
from archive.fsck.changes import check_changes, check_custody
from archive.fsck.log import check_log, read_published
from archive.fsck.looks import check_looks
from archive.fsck.packages import check_packages
from archive.fsck.raw import as_uuid, rows
from archive.fsck.recordings import check_recordings
from archive.fsck.stores import stored_objects
from archive.fsck.subjects import check_subjects
from archive.fsck.systems import check_systems
from archive.fsck.texts import check_texts
from archive.kernel.findings import Finding, Report, indeterminate


@dataclass(frozen=True, slots=True)
class Target:
    """Where the archive lies. `trust_roots` is the root certificate, absent where signatures cannot be checked."""

    home: Path
    database: Database
    trust_roots: Path


def fsck(target: Target) -> Report:
    """Check stores, log and catalogue, each against itself and against the others; change nothing.

    May run beside a live archive: the catalogue is one snapshot, taken before the stores are walked, so what comes in
    meanwhile can only be more than the snapshot knows, and is then looked up anew.
    """
    findings: list[Finding] = []
    roots = target.trust_roots.read_bytes() if target.trust_roots.is_file() else None
    # Read before the snapshot: a live archive publishes only what is stored, so the snapshot must know it.
    published = read_published(target.home / "log" / "checkpoint")
    with target.database.snapshot() as tx:
        connection = tx.connection()
        next(iter(rows(connection, "SELECT count(*) FROM log_checkpoint")))  # the snapshot begins here
        stored = {found.object_id: found for found in stored_objects(target.home / "store", findings)}
        checks = {
            "objects": check_objects(
                connection, stored, trust_roots_pem=roots, is_begun=lambda found: _is_begun(target.database, found)
            ),
            "uploads": check_uploads(
                connection,
                target.home / "staging",
                is_open=lambda found: _is_open(target.database, found),
                is_staged=lambda found: _is_staged(target.database, found),
            ),
            "custody": check_custody(connection),
            "changes": check_changes(connection),
            "looks": check_looks(connection),
            "recordings": check_recordings(connection),
            "texts": check_texts(connection),
            "subjects": check_subjects(connection),
            "derived": check_derived(connection, target.home / "renditions", target.home / "quarantine"),
            "systems": check_systems(connection),
            "packages": check_packages(connection),
            "jobs": check_jobs(connection),
            "log": check_log(connection, published=published, trust=target.home / "trust.txt"),
        }
        for name, found in checks.items():
            findings.extend(_to_the_end(name, found))
    return Report(tuple(findings))


def _to_the_end(name: str, check: Iterator[Finding]) -> Iterator[Finding]:
    """Yield what a check finds; one that meets what no program of ours writes has not established anything."""
    try:
        yield from check
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, DBAPIError) as exc:
        told = f"The check met something that it cannot read, and ended there: {type(exc).__name__}"
        yield indeterminate("fsck.check_broken", told, name)


def _is_begun(database: Database, object_id: str) -> bool:
    """Whether somebody announced the object, or has finished it since the snapshot."""
    with database.read() as tx:
        announced = (
            row["object_id"]
            for statement in (
                "SELECT object_id FROM preservation_intent",
                "SELECT object_id FROM intake_claim",
                "SELECT id AS object_id FROM preserved_object",
            )
            for row in rows(tx.connection(), statement)
        )
        return any(as_uuid(found) == object_id for found in announced)


def _is_staged(database: Database, object_id: str) -> bool:
    """Whether an object in transfer still waits in staging, and not only in the snapshot."""
    with database.read() as tx:
        staged = rows(tx.connection(), "SELECT id FROM axis_object WHERE state = 'staged'")
        return any(as_uuid(row["id"]) == object_id for row in staged)


def _is_open(database: Database, upload_id: str) -> bool:
    """Whether the upload is open now, and not only in the snapshot."""
    with database.read() as tx:
        open_ones = rows(tx.connection(), "SELECT id FROM upload WHERE state IN ('receiving', 'complete')")
        return any(as_uuid(row["id"]) == upload_id for row in open_ones)
