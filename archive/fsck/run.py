"""Running every check over one archive."""

from dataclasses import dataclass
from pathlib import Path

from archive.db.database import Database
from archive.fsck.catalogue import check_custody, check_derived, check_jobs, check_objects, check_uploads
from archive.fsck.changes import check_changes
from archive.fsck.log import check_log, read_published
from archive.fsck.raw import as_uuid, rows
from archive.fsck.stores import stored_objects
from archive.kernel.findings import Finding, Report


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
        findings.extend(
            check_objects(
                connection, stored, trust_roots_pem=roots, is_begun=lambda found: _is_begun(target.database, found)
            )
        )
        findings.extend(
            check_uploads(connection, target.home / "staging", is_open=lambda found: _is_open(target.database, found))
        )
        findings.extend(check_custody(connection))
        findings.extend(check_changes(connection))
        findings.extend(check_derived(connection, target.home / "renditions", target.home / "quarantine"))
        findings.extend(check_jobs(connection))
        findings.extend(check_log(connection, published=published, trust=target.home / "trust.txt"))
    return Report(tuple(findings))


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


def _is_open(database: Database, upload_id: str) -> bool:
    """Whether the upload is open now, and not only in the snapshot."""
    with database.read() as tx:
        open_ones = rows(tx.connection(), "SELECT id FROM upload WHERE state IN ('receiving', 'complete')")
        return any(as_uuid(row["id"]) == upload_id for row in open_ones)
