"""Judging the signatures of what this archive preserves: as it stands now, with what was added for the long term.

The outcome is written to custody trail and log (`validation.checked`). What is judged is also held against the digests
that it was preserved with, and against the second signature beside it.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from archive.custody.events import digests_of, kept_object, record_event
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.documents.long_term import newest_extension
from archive.documents.records import MAX_RECORD_BYTES, SECOND_KEY, SECOND_SIGNATURE
from archive.kernel.digests import Digest
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.findings import Outcome, Report, indeterminate, invalid
from archive.kernel.ids import ObjectId
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ocfl.root import OcflRoot
from ingest.arriving import ArrivingFile
from ingest.judgements import Judge, Judgement, SecondSignature
from signing.sm2 import NotSm2Key, Sm2PublicKey, check_sm2

_PDF: Final = "application/pdf"
_MOST_BYTES: Final = 1 << 30
_MOST_KEY_BYTES: Final = 4096
_MOST_TOLD: Final = 20


class NotSignedDocument(InvalidInput):
    """Only signatures of PDF documents can be validated here."""

    code = "validation.not_signed_document"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class OwnDocuments:
    """What holds the documents. `known_second` are fingerprints of the archive's own keys of second signatures."""

    database: Database
    objects: OcflRoot
    known_second: Collection[str] = ()


def judge_object(own: OwnDocuments, judge: Judge, object_id: ObjectId, *, folder: Path, by: Actor) -> Judgement:
    """Judge the newest form of a preserved PDF; `folder` is empty, and gone afterwards.

    On return custody event and log entry are durable.
    Raises: ObjectNotFound, NotSignedDocument, TooLarge, BlobMissing; what judging raises.
    """
    with own.database.read() as tx:
        row, extension = kept_object(tx, object_id), newest_extension(tx, object_id)
        tx.expunge_all()
    if row.media_type != _PDF:
        raise NotSignedDocument
    path, sha512 = (row.content_path, row.sha512) if extension is None else (extension.path, extension.sha512)
    with own.objects.open_file(object_id, path) as source:
        file = ArrivingFile.copied(source, folder / "document", row.name, most=_MOST_BYTES)
    beside = []
    if file.digests.sha512 != Digest.from_hex("sha512", sha512):
        beside.append(invalid("document.not_as_preserved", "The file is not the one that was preserved", path))
    judged = replace(
        judge.judge(file),
        second=_second(own, object_id, row),
        about={"kind": row.kind, "id": str(object_id)},
        more=Report(tuple(beside)) if beside else None,
    )
    _write(own.database, object_id, row, judged, by=by)
    return judged


def _second(own: OwnDocuments, object_id: ObjectId, row: PreservedObject) -> SecondSignature | None:
    """Return what is found of the second signature, which is over the original as it was preserved."""
    try:
        with own.objects.open_file(object_id, SECOND_SIGNATURE) as file:
            signature = file.read(_MOST_KEY_BYTES)
    except NotFound:
        return None
    try:
        with own.objects.open_file(object_id, SECOND_KEY) as file:
            public = Sm2PublicKey.from_pem(file.read(_MOST_KEY_BYTES))
        with own.objects.open_file(object_id, row.content_path) as file:
            content = file.read(MAX_RECORD_BYTES + 1)
    except (NotFound, NotSm2Key):
        missing = indeterminate("signature.malformed", "The key of the second signature cannot be read", SECOND_KEY)
        return SecondSignature("", Report((missing,)))
    where = SECOND_SIGNATURE
    return SecondSignature(
        public.fingerprint, check_sm2(content, signature, public=public, known=own.known_second, where=where)
    )


def _write(database: Database, object_id: ObjectId, row: PreservedObject, judged: Judgement, *, by: Actor) -> None:
    wrong = [each["code"] for each in judged.findings if each["outcome"] != Outcome.VALID.value]
    detail = {
        "outcome": judged.outcome.value,
        "findings": list(dict.fromkeys(wrong))[:_MOST_TOLD],
        "signatures": len(judged.verdict["signatures"]),
        "judged_sha256": judged.file["sha256"],
        "trust_lists": [each["sha256"] for each in judged.lists][:_MOST_TOLD],
        "judge": judged.judge,
    }
    entry = NewEntry(
        EntryType.VALIDATION_CHECKED, by, Target(row.kind, object_id), digests=digests_of(row), detail=detail
    )
    with database.begin() as tx:
        record_event(tx, object_id, entry, at=judged.judged_at)
