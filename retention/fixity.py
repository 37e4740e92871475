"""Fixity: re-reading what is stored and holding it against catalogue, inventory and signature.

First part: one object, when somebody asks. Rounds over the whole store build on it.
"""

from dataclasses import dataclass

from archive.custody.events import digests_of, preserved_object, record_event
from archive.db.database import Database
from archive.kernel.digests import hash_stream
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, valid
from archive.kernel.ids import ObjectId
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobMissing
from archive.ports.clock import Clock
from signing.cades import check_detached


@dataclass(frozen=True, slots=True)
class Fixity:
    """What a fixity check needs, put together by wiring."""

    database: Database
    objects: OcflRoot
    clock: Clock
    trust_roots_pem: bytes


def check_fixity(fixity: Fixity, object_id: ObjectId, *, by: Actor) -> Report:
    """Re-read every byte of an object and say valid, invalid or indeterminate, naming the file.

    1. the OCFL object is whole: every stored file has the digest of its inventory   2. the original has the digests of
    the catalogue   3. the item manifest is signed by the archive. The outcome is written to the custody trail and the
    log (`fixity.ok`, `fixity.fail`); an indeterminate check is a `fixity.fail` with its findings.

    Raises: ObjectNotFound.
    """
    with fixity.database.read() as tx:
        row = preserved_object(tx, object_id)
    findings = [
        *fixity.objects.validate(object_id).findings,  # 1
        _original(fixity, object_id, row.content_path, digests_of(row)),  # 2
        *_signature(fixity, object_id),  # 3
    ]
    report = Report(tuple(findings))
    held = report.outcome is Outcome.VALID
    at = fixity.clock.now()
    with fixity.database.begin() as tx:
        record_event(
            tx,
            object_id,
            NewEntry(
                EntryType.FIXITY_OK if held else EntryType.FIXITY_FAIL,
                by,
                Target(row.kind, object_id),
                digests=digests_of(row),
                detail={
                    "outcome": report.outcome.value,
                    "findings": [
                        {"code": finding.code, "where": finding.where}
                        for finding in report.findings
                        if finding.outcome is not Outcome.VALID
                    ][:20],
                },
            ),
            at=at,
        )
    return report


def _original(fixity: Fixity, object_id: ObjectId, path: str, expected: object) -> Finding:
    try:
        with fixity.objects.open_file(object_id, path) as source:
            found = hash_stream(source)
    except BlobMissing:
        return invalid("fixity.original_missing", "The original is not in the store", path)
    except OSError as exc:
        return indeterminate("fixity.original_unreadable", f"The original cannot be read: {exc.strerror}", path)
    if not found.agrees_with(expected):  # type: ignore[arg-type]
        return invalid("fixity.original_changed", "The original does not have the digests of the catalogue", path)
    return valid("fixity.original", "The original has the digests that were logged when it came in", path)


def _signature(fixity: Fixity, object_id: ObjectId) -> tuple[Finding, ...]:
    try:
        with (
            fixity.objects.open_file(object_id, "metadata/manifest.json") as manifest,
            fixity.objects.open_file(object_id, "metadata/manifest.json.p7s") as signature,
        ):
            report = check_detached(
                manifest.read(),
                signature.read(),
                trust_roots_pem=fixity.trust_roots_pem,
                at=fixity.clock.now(),
            )
    except (BlobMissing, OSError):
        return (invalid("fixity.manifest_missing", "The item manifest or its signature is missing", "metadata"),)
    return tuple(report.findings)
