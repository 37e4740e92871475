"""Running every check over one archive."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from archive.db.database import Database
from archive.fsck.accesses import check_accesses
from archive.fsck.anchors import check_anchors, read_anchored
from archive.fsck.catalogue import check_derived, check_jobs, check_objects, check_uploads
from archive.fsck.certificates import check_certificates
from archive.fsck.changes import check_changes, check_custody
from archive.fsck.complaints import check_complaints
from archive.fsck.copies import SecondCopy, check_copies, check_copy, check_drills
from archive.fsck.cosignatures import check_cosignatures
from archive.fsck.dock_keys import check_dock_keys
from archive.fsck.drafts import check_drafts
from archive.fsck.extensions import check_extensions
from archive.fsck.handovers import check_handovers
from archive.fsck.held import Held
from archive.fsck.journal import check_journal
from archive.fsck.keys import Outside, Pinned, pinned_certificates, read_pinned
from archive.fsck.log import check_log, read_published
from archive.fsck.looks import check_looks
from archive.fsck.moves import check_moves
from archive.fsck.notes import read_head
from archive.fsck.packages import check_packages
from archive.fsck.raw import Places, as_uuid, rows
from archive.fsck.recordings import check_recordings
from archive.fsck.renewals import check_renewals
from archive.fsck.rights import check_rights
from archive.fsck.staff import check_staff
from archive.fsck.standing import Standing
from archive.fsck.stores import stored_objects
from archive.fsck.subjects import check_subjects
from archive.fsck.systems import check_systems
from archive.fsck.texts import check_texts
from archive.fsck.verdicts import ArchiveReport
from archive.fsck.volumes import check_volumes
from archive.kernel.findings import Finding, indeterminate, invalid
from archive.kernel.instants import Instant


@dataclass(frozen=True, slots=True)
class Target:
    """Where the archive lies. `trust_roots` is the root certificate, absent where signatures cannot be checked.

    `outside` is what an auditor judges by instead of the home's own trust file; `held` are checkpoints that somebody
    holds, each with its name. `places` are where stores lie, by default folders of the home. `copy` is the second copy,
    where it is to be read too. Signatures are judged as of `now`, without it as of when they were made.
    """

    home: Path
    database: Database
    trust_roots: Path
    outside: Outside | None = None
    held: Sequence[tuple[str, str]] = ()
    places: Places | None = None
    copy: SecondCopy | None = None
    now: Instant | None = None


def fsck(target: Target) -> ArchiveReport:
    """Check stores, log and catalogue, each against itself and against the others; change nothing.

    Without keys from outside the home's own are used: they show that the archive agrees with itself, and never who has
    signed; the report says so.
    """
    pinned, standing = read_pinned(_read(target.home / "trust.txt"), target.outside), Standing()
    return ArchiveReport(tuple(findings(target, pinned, standing)), pinned, standing)


def findings(target: Target, pinned: Pinned, standing: Standing) -> Generator[Finding, None, None]:
    """Yield what `fsck` finds by these keys, as it is found, and fill in `standing`.

    May run beside a live archive: the catalogue is one snapshot, taken before the stores are walked, so what comes in
    meanwhile can only be more than the snapshot knows, and is then looked up anew.
    """
    begun: list[Finding] = []
    places = target.places or Places.of_home(target.home)
    roots = _roots(target, pinned, begun)
    held = [Held(name, read_head(note)) for name, note in target.held]
    # Read before the snapshot: a live archive publishes only what is stored, so the snapshot must know it.
    published = read_published(target.home / "log" / "checkpoint")
    anchored = read_anchored(target.home / "log" / "anchors")
    with target.database.snapshot() as tx:
        connection = tx.connection()
        next(iter(rows(connection, "SELECT count(*) FROM log_checkpoint")))  # the snapshot begins here
        walked = stored_objects(places.store, begun, is_locked=places.is_locked)
        stored = {found.object_id: found for found in walked}
        yield from begun
        checks = {
            "objects": check_objects(
                connection,
                stored,
                trust_roots_pem=roots,
                is_begun=lambda found: _is_begun(target.database, found),
                now=target.now,
            ),
            "uploads": check_uploads(
                connection,
                places.staging,
                place=(_read(places.staging.parent / "place") or b"").decode("ascii", "replace"),
                is_open=lambda found: _is_open(target.database, found),
                is_staged=lambda found: _is_staged(target.database, found),
            ),
            "custody": check_custody(connection),
            "changes": check_changes(connection),
            "certificates": check_certificates(connection),
            "renewals": check_renewals(connection, stored),
            "extensions": check_extensions(connection, stored),
            "volumes": check_volumes(connection, stored),
            "drafts": check_drafts(connection, places.drafts),
            "looks": check_looks(connection),
            "recordings": check_recordings(connection),
            "texts": check_texts(connection),
            "subjects": check_subjects(connection),
            "rights": check_rights(connection),
            "accesses": check_accesses(connection),
            "derived": check_derived(connection, places.renditions, places.quarantine),
            "staff": check_staff(connection),
            "complaints": check_complaints(connection),
            "handovers": check_handovers(connection),
            "systems": check_systems(connection),
            "dock keys": check_dock_keys(connection),
            "packages": check_packages(connection),
            "jobs": check_jobs(connection),
            "copies": check_copies(connection),
            "moves": check_moves(connection),
            "drills": check_drills(connection, trust_roots_pem=roots),
            "journal": check_journal(
                connection,
                places,
                target.home / "keys" / "journal.key",
                is_erased=lambda found: _is_erased(target.database, found),
            ),
            "anchors": check_anchors(
                connection,
                anchored,
                trust_roots_pem=roots,
                timestamp_roots=pinned.timestamp_roots if pinned.is_from_outside else None,
            ),
            "log": check_log(connection, published=published, pinned=pinned, held=held, standing=standing),
            "cosignatures": check_cosignatures(connection, published=published, pinned=pinned, standing=standing),
        }
        if target.copy is not None:
            place = target.copy.name
            checks["second copy"] = check_copy(
                connection, target.copy, stored, now=lambda found: _copied_now(target.database, found, place)
            )
        for name, found in checks.items():
            yield from _to_the_end(name, found)
        told = "Something was laid over a stored file: whoever asks for its name alone gets that"
        yield from (invalid("fsck.covered", told, key) for key in sorted(places.covered()))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _roots(target: Target, pinned: Pinned, begun: list[Finding]) -> bytes | None:
    """Return the certificates to judge signatures by; None where there are none."""
    found = _read(target.trust_roots)
    if target.outside is None:
        return found
    former = _read(target.trust_roots.with_name("roots.pem"))  # what it was before it was extended, which others pin
    every = "".join(each.decode("ascii", "replace") for each in (found, former) if each) + target.outside.certificates
    wanted = pinned_certificates(every, pinned.roots)
    if pinned.roots and not wanted:
        told = "No certificate of this home is one of the roots that are pinned"
        begun.append(invalid("fsck.root_unpinned", told, str(target.trust_roots)))
    return wanted.encode() or None


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
        if any(as_uuid(found) == object_id for found in announced):
            return True
        # What went straight to the bucket, and either becomes an original or is removed again.
        straight = rows(tx.connection(), "SELECT key FROM direct_upload")
        return any(f"%3a{object_id}/" in str(row["key"]) for row in straight)


def _is_staged(database: Database, object_id: str) -> bool:
    """Whether an object in transfer still waits in staging, and not only in the snapshot."""
    with database.read() as tx:
        staged = rows(tx.connection(), "SELECT id FROM axis_object WHERE state = 'staged'")
        return any(as_uuid(row["id"]) == object_id for row in staged)


def _copied_now(database: Database, object_id: str, place: str) -> tuple[int, bool] | None:
    """What the catalogue says now of an object's copy in a place: its version, and whether an entry waits for it."""
    query = (
        "SELECT c.object_id, c.head, c.due_index FROM object_copy c JOIN copy_place p ON p.id = c.place_id "
        "WHERE p.place = :place"
    )
    with database.read() as tx:
        known = (row for row in rows(tx.connection(), query, place=place) if as_uuid(row["object_id"]) == object_id)
        row = next(known, None)
        return None if row is None else (int(row["head"]), row["due_index"] is not None)


def _is_open(database: Database, upload_id: str) -> bool:
    """Whether the upload is open now, and not only in the snapshot."""
    with database.read() as tx:
        open_ones = rows(tx.connection(), "SELECT id FROM upload WHERE state IN ('receiving', 'complete')")
        return any(as_uuid(row["id"]) == upload_id for row in open_ones)


def _is_erased(database: Database, entry_id: str) -> bool:
    """Whether the detail of an entry is erased now, and not only in the snapshot."""
    with database.read() as tx:
        erased = rows(tx.connection(), "SELECT entry_id FROM log_erasure")
        return any(as_uuid(row["entry_id"]) == entry_id for row in erased)
