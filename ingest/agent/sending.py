"""The bytes of one file on their way: a tus upload is made, fed, found again after a break, and gives a receipt.

Source: tus resumable upload protocol 1.0.0. A checksum for each chunk is not sent: TLS guards the wire, plain HTTP
reaches this machine only, and the archive compares the whole with the signed manifest anyway.
"""

import base64
import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Protocol

from archive.kernel.digests import DigestSet
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.ids import UploadId, parse_uuid
from archive.ports.clock import Clock
from ingest.agent.camera import Clocks, describe
from ingest.agent.errors import (
    ConnectionBroken,
    FileChanged,
    NotTheArchive,
    ReceiptPending,
    Refused,
    ServerUnreachable,
    Stopped,
)
from ingest.agent.files import FileIdentity, Found, require_same
from ingest.agent.journal import Journal, OpenUpload
from ingest.agent.patience import Patience
from ingest.agent.state import Identity, StateFolder
from ingest.agent.wire import FilePart, Wire, reread_s
from ingest.manifest import parse_manifest, sign_manifest
from ingest.sources.patterns import NamePatterns, shipped_patterns

CHUNK_BYTES: Final = 64 * 1024 * 1024
_UPLOADS: Final = "/api/v1/uploads"
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_LEAST_RECEIPT_WAIT_S: Final = 2.0
_MOST_RESTARTS: Final = 5
_BROKEN: Final = (ConnectionBroken, ServerUnreachable, NotTheArchive)


class Watcher(Protocol):
    """Hears how a push goes, from several threads."""

    def begun(self, found: Found) -> None:
        """Hear that work on a file begins."""

    def hashed(self, found: Found, size_bytes: int) -> None:
        """Hear that so many more bytes were read for the digests."""

    def stands_at(self, found: Found, offset_bytes: int) -> None:
        """Hear where the upload stands."""

    def sent(self, found: Found, size_bytes: int) -> None:
        """Hear that so many more bytes were sent."""

    def waits(self, found: Found, failure: LiuhenError) -> None:
        """Hear why a try failed that is made again."""

    def ended(self, found: Found, result: str) -> None:
        """Hear what became of a file."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked of this push. Units: seconds without progress until a file is given up; bytes of a chunk.

    `patterns` read the names of files. `direct` sends bytes straight to the archive's bucket.
    """

    case_number: str | None = None
    wipe: bool = False
    again: bool = False
    wait_s: float = 120.0
    chunk_bytes: int = CHUNK_BYTES
    direct: bool = False
    patterns: NamePatterns = field(default_factory=shipped_patterns)


@dataclass(frozen=True, slots=True)
class Errand:
    """What all files of one push have in common. Shared by its threads."""

    state: StateFolder
    identity: Identity
    journal: Journal
    wishes: Wishes
    clocks: Clocks
    clock: Clock
    watcher: Watcher
    stopping: threading.Event

    @property
    def dock(self) -> str:
        """The dock's id, as the journal keeps it."""
        return str(self.identity.dock_id)


@dataclass(slots=True)
class Sent:
    """What was sent in this push. Units: bytes, seconds."""

    size_bytes: int = 0
    lasted_s: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Sending:
    """One open file on its way. `wire` is this thread's own."""

    errand: Errand
    wire: Wire
    found: Found
    source: BinaryIO
    identity: FileIdentity
    digests: DigestSet
    sent: Sent
    upload: OpenUpload | None = None
    furthest: int = 0
    at_byte: int = 0

    def to_receipt(self) -> tuple[OpenUpload, bytes]:
        """Send what is missing until the archive gives a receipt; it is not verified yet.

        Raises: Refused, FileChanged, ReceiptPending, Stopped; a connection's failure when patience is over.
        """
        errand, sha256 = self.errand, self.digests.sha256.hex
        self.upload = errand.journal.upload_of(sha256, dock=errand.dock)
        if self.upload is not None and not self._says_what_is_wished(self.upload):
            self._terminate()
        patience = Patience(errand.wishes.wait_s, stopping=errand.stopping)
        restarts = 0
        while True:
            try:
                return self._try(patience)
            except FileChanged:
                self._terminate()
                raise
            except Refused as exc:
                if self.upload is not None and exc.is_gone and restarts < _MOST_RESTARTS:
                    errand.journal.forget_upload(sha256)
                    self.upload, self.furthest = None, 0
                    restarts += 1
                elif not exc.may_pass:
                    raise
                failure: LiuhenError = exc
            except _BROKEN as exc:
                failure = exc
            if errand.stopping.is_set():
                raise Stopped from failure
            errand.watcher.waits(self.found, failure)
            patience.pause(failure)

    def _says_what_is_wished(self, upload: OpenUpload) -> bool:
        wished = self.errand.wishes.case_number
        return wished is None or parse_manifest(upload.manifest).case_number == wished

    def _try(self, patience: Patience) -> tuple[OpenUpload, bytes]:
        upload = self.upload
        if upload is None:
            upload, offset = self._create(), 0
        else:
            offset = self._offset(upload)
        self._stands_at(offset, patience)
        while offset < self.identity.size_bytes:
            offset = self._send_chunk(upload, offset)
            self._stands_at(offset, patience)
        return upload, self._fetch_receipt(upload)

    def _stands_at(self, offset: int, patience: Patience) -> None:
        self.errand.watcher.stands_at(self.found, offset)
        if offset > self.furthest:
            self.furthest = offset
            patience.progressed()

    def _create(self) -> OpenUpload:
        manifest, signature = self._signed_manifest()
        answer = self.wire.request(
            "POST",
            _UPLOADS,
            headers={
                **_TUS,
                "Upload-Length": str(self.identity.size_bytes),
                "Upload-Metadata": f"manifest {b64(manifest)},signature {b64(signature)}",
            },
            body=b"",
        )
        # Only the id is taken: the key is sent to no address that an answer names.
        return self._opened(answer.headers.get("location", "").rstrip("/").rsplit("/", 1)[-1], manifest)

    def _signed_manifest(self) -> tuple[bytes, bytes]:
        errand = self.errand
        described = describe(
            self.found,
            self.source,
            self.identity,
            self.digests,
            dock_id=errand.identity.dock_id,
            case_number=errand.wishes.case_number,
            clocks=errand.clocks,
            signed_at=errand.clock.now(),
            patterns=errand.wishes.patterns,
        )
        self.sent.notes[:] = described.notes
        return described.manifest, sign_manifest(described.manifest, errand.identity.key)

    def _opened(self, told_id: str, manifest: bytes) -> OpenUpload:
        try:
            self.upload = OpenUpload(UploadId(parse_uuid(told_id)), manifest)
        except InvalidInput as exc:
            raise NotTheArchive from exc
        self.errand.journal.record_upload(self.digests.sha256.hex, self.upload, dock=self.errand.dock)
        return self.upload

    def _offset(self, upload: OpenUpload) -> int:
        try:
            answer = self.wire.request("HEAD", f"{_UPLOADS}/{upload.id}", headers=_TUS)
        except Refused as exc:
            if exc.is_access:
                self.wire.request("GET", f"{_UPLOADS}/{upload.id}/receipt")  # an answer to HEAD has no words
            raise
        return self._read_offset(answer.headers.get("upload-offset", ""))

    def _send_chunk(self, upload: OpenUpload, offset: int) -> int:
        require_same(self.source, self.identity)
        self.at_byte = offset
        began = time.perf_counter()
        size_bytes = min(self.errand.wishes.chunk_bytes, self.identity.size_bytes - offset)
        try:
            answer = self.wire.request(
                "PATCH",
                f"{_UPLOADS}/{upload.id}",
                headers={
                    **_TUS,
                    "Upload-Offset": str(offset),
                    "Content-Type": "application/offset+octet-stream",
                },
                body=FilePart(self.source, offset, size_bytes, self._told),
                timeout_s=reread_s(offset),
            )
        finally:
            self.sent.lasted_s += time.perf_counter() - began
        return self._read_offset(answer.headers.get("upload-offset", ""), least=offset + 1)

    def _told(self, size_bytes: int) -> None:
        if self.errand.stopping.is_set():
            raise Stopped
        self.sent.size_bytes += size_bytes
        self.errand.watcher.sent(self.found, size_bytes)
        self.at_byte += size_bytes
        if self.at_byte < self.identity.size_bytes:
            require_same(self.source, self.identity)

    def _read_offset(self, text: str, *, least: int = 0) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 19:
            raise NotTheArchive
        offset = int(text)
        if not least <= offset <= self.identity.size_bytes:
            raise NotTheArchive
        return offset

    def _fetch_receipt(self, upload: OpenUpload) -> bytes:
        """Ask until the receipt is there. Raises: Refused for a quarantine, ReceiptPending, Stopped."""
        until = time.monotonic() + max(self.errand.wishes.wait_s, _LEAST_RECEIPT_WAIT_S)
        pause_s = 0.05
        while True:
            answer = self.wire.request("GET", f"{_UPLOADS}/{upload.id}/receipt")
            if answer.status == 200:
                return answer.body
            if time.monotonic() > until:
                raise ReceiptPending
            if self.errand.stopping.wait(pause_s):
                raise Stopped
            pause_s = min(pause_s * 1.5, 1.0)

    def _terminate(self) -> None:
        """Tell the archive that this upload will never be whole, and forget it; what fails here expires there."""
        if self.upload is not None:
            with contextlib.suppress(LiuhenError):
                self.wire.request("DELETE", f"{_UPLOADS}/{self.upload.id}", headers=_TUS)
            self.errand.journal.forget_upload(self.digests.sha256.hex)
            self.upload = None


def b64(data: bytes) -> str:
    """Return bytes in Base64, as headers and JSON carry them."""
    return base64.b64encode(data).decode("ascii")
