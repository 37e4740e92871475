"""One file from the card to its verified receipt.

The order is the promise: hash, sign, send, fetch the receipt, verify it, make it durable, and only then may the file be
deleted. Whatever breaks in between, the next try goes on where the archive says that the upload stands.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from archive.kernel.digests import DigestSet
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Outcome
from archive.ledger.receipt import parse_receipt, verify_receipt
from ingest.agent.direct import DirectSending
from ingest.agent.errors import (
    FileChanged,
    FileUnreadable,
    ReceiptRefused,
    Refused,
    ServerUntrusted,
    StateBroken,
    Stopped,
)
from ingest.agent.files import FileIdentity, Found, hash_file, opened
from ingest.agent.sending import Errand, Sending, Sent
from ingest.agent.wiping import wipe_file
from ingest.agent.wire import Wire
from ingest.manifest import parse_manifest


class Result(StrEnum):
    """What became of a file."""

    DELIVERED = "delivered"
    EARLIER = "delivered earlier"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    NOT_DELIVERED = "not delivered"

    @property
    def is_safe(self) -> bool:
        """Whether the archive holds the recording, by a receipt that was verified here."""
        return self in {Result.DELIVERED, Result.EARLIER}


@dataclass(slots=True)
class Delivery:
    """What became of one file. Units: bytes."""

    path: Path
    size_bytes: int
    result: Result = Result.NOT_DELIVERED
    code: str | None = None
    message: str | None = None
    sha256: str | None = None
    receipt: Path | None = None
    log_index: int | None = None
    is_wiped: bool = False
    is_access_refused: bool = False
    sent: Sent = field(default_factory=Sent)
    notes: list[str] = field(default_factory=list)

    @property
    def remarks(self) -> list[str]:
        """Everything worth telling of it, the failure first."""
        return [*([self.message] if self.message else []), *self.sent.notes, *self.notes]


@dataclass(slots=True)
class Courier:
    """Delivers files; shared by the threads of a push, each with a wire of its own."""

    errand: Errand
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _twins: dict[str, threading.Lock] = field(default_factory=dict)

    def deliver(self, wire: Wire, found: Found) -> Delivery:
        """Bring one file into the archive and say what became of it. Raises: StateBroken."""
        delivery = Delivery(found.path, found.size_bytes)
        self.errand.watcher.begun(found)
        try:
            self._deliver(wire, found, delivery)
        except StateBroken:
            raise
        except LiuhenError as exc:
            _put_down(delivery, exc)
        self.errand.watcher.ended(found, delivery.result)
        return delivery

    def _deliver(self, wire: Wire, found: Found, delivery: Delivery) -> None:
        with opened(found.path) as (source, identity):
            delivery.size_bytes = identity.size_bytes
            digests = self._digests(found, source, identity)
            delivery.sha256 = digests.sha256.hex
            with self._alone(digests.sha256.hex):
                if not self._take_stored(digests, delivery):
                    self._require_not_quarantined(digests)
                    self._bring(wire, found, source, identity, digests, delivery)
            if self.errand.wishes.wipe:
                self._wipe(found, source, identity, digests, delivery)

    def _digests(self, found: Found, source: BinaryIO, identity: FileIdentity) -> DigestSet:
        algorithms = self.errand.identity.algorithms
        known = self.errand.journal.digests_of(found.path, identity, algorithms=algorithms)
        if known is not None:
            return known

        def told(size_bytes: int) -> None:
            if self.errand.stopping.is_set():
                raise Stopped
            self.errand.watcher.hashed(found, size_bytes)

        digests = hash_file(source, identity, algorithms=algorithms, told=told)
        self.errand.journal.record_digests(found.path, identity, digests, algorithms=algorithms)
        return digests

    @contextlib.contextmanager
    def _alone(self, sha256: str) -> Iterator[None]:
        """Let the second of two files with the same bytes wait: it finds the receipt of the first."""
        with self._guard:
            lock = self._twins.setdefault(sha256, threading.Lock())
        with lock:
            yield

    def _take_stored(self, digests: DigestSet, delivery: Delivery) -> bool:
        stored = self.errand.state.stored_receipt(digests.sha256.hex)
        if stored is None:
            return False
        envelope, manifest = stored
        report = verify_receipt(envelope, trust=self.errand.identity.trust, digests=digests, manifest=manifest)
        if report.outcome is not Outcome.VALID:
            delivery.notes.append("the receipt kept here does not verify; the file was sent again")
            return False
        delivery.result = Result.EARLIER
        delivery.receipt = self.errand.state.receipt_path(digests.sha256.hex)
        delivery.log_index = parse_receipt(envelope).receipt.proof.index
        if self.errand.wishes.case_number not in {None, parse_manifest(manifest).case_number}:
            delivery.notes.append("delivered before: if it is not filed under the case yet, file it in the archive")
        return True

    def _require_not_quarantined(self, digests: DigestSet) -> None:
        code = self.errand.journal.quarantine_of(digests.sha256.hex, dock=self.errand.dock)
        if code is not None and not self.errand.wishes.again:
            raise Refused(
                code, "The archive put this recording into quarantine before; --again sends it again", status=422
            )

    def _bring(
        self,
        wire: Wire,
        found: Found,
        source: BinaryIO,
        identity: FileIdentity,
        digests: DigestSet,
        delivery: Delivery,
    ) -> None:
        sha256 = digests.sha256.hex
        way = DirectSending if self.errand.wishes.direct else Sending
        sending = way(self.errand, wire, found, source, identity, digests, delivery.sent)
        try:
            upload, envelope = sending.to_receipt()
        except Refused as exc:
            if exc.is_quarantine:
                self.errand.journal.record_quarantine(sha256, exc.problem, dock=self.errand.dock)
            raise
        report = verify_receipt(envelope, trust=self.errand.identity.trust, digests=digests, manifest=upload.manifest)
        if report.outcome is not Outcome.VALID or parse_receipt(envelope).receipt.upload_id != upload.id:
            kept = self.errand.state.reject_receipt(sha256, envelope)
            codes = ", ".join(finding.code for finding in report.findings if finding.outcome is not Outcome.VALID)
            raise ReceiptRefused(findings=codes or "receipt.other_upload", kept=str(kept))
        delivery.receipt = self.errand.state.store_receipt(sha256, envelope=envelope, manifest=upload.manifest)
        self.errand.journal.forget_upload(sha256)
        delivery.result = Result.DELIVERED
        delivery.log_index = parse_receipt(envelope).receipt.proof.index

    def _wipe(
        self, found: Found, source: BinaryIO, identity: FileIdentity, digests: DigestSet, delivery: Delivery
    ) -> None:
        try:
            wipe_file(found.path, source, identity, digests=digests)
        except (FileChanged, FileUnreadable) as exc:
            delivery.code, delivery.message = exc.code, f"delivered, but not deleted: {exc}"
            self.errand.journal.forget_file(found.path)
            return
        delivery.is_wiped = True
        self.errand.journal.forget_file(found.path)


def _put_down(delivery: Delivery, failure: LiuhenError) -> None:
    delivery.code = failure.problem if isinstance(failure, Refused) else failure.code
    delivery.message = str(failure)
    if isinstance(failure, ServerUntrusted) or (isinstance(failure, Refused) and failure.is_access):
        delivery.is_access_refused = True
    elif isinstance(failure, Refused) and failure.is_quarantine:
        delivery.result = Result.QUARANTINED
    elif not (failure.may_pass if isinstance(failure, Refused) else failure.retryable):
        delivery.result = Result.REFUSED
