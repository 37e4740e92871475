"""The door for recordings: a tus 1.0 server as raw ASGI, since nothing may buffer, parse or spool these bodies.

A dock shows its API key. A browser shows the session cookie of a person who may upload; it has a manifest that the
archive's own door made for that person before (`archive.web.api.door`), and sees that person's uploads only. Requests
of other sites are refused before they come here (`archive.web.middleware`).

Extensions: creation, creation-with-upload, checksum (sha1, sha256), termination, expiration. `Upload-Metadata` carries
the dock's signed manifest (`manifest`, `signature`). `GET /{id}/receipt` answers 202 until a checkpoint covers the
reception, then 200 with the receipt.

Source: tus resumable upload protocol 1.0.0.
"""

import base64
import binascii
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, Final
from uuid import UUID

from starlette.requests import HTTPConnection

from archive.access.api_keys import KeyRefused, renew_hash
from archive.access.policy import Capability, CertificateBars, require
from archive.access.sign_ins import SignIns
from archive.kernel.errors import InvalidInput, LiuhenError, StorageFull
from archive.kernel.ids import AccountId, DockId, UploadId, parse_uuid
from archive.meters import meters
from archive.web.dependencies import NotSignedIn, caller_of, origin, require_nothing_due
from archive.web.ending import Ending
from archive.web.limits import Cost, Limits
from archive.web.problems import problem_response
from ingest.chunks import Checksum, Disconnected
from ingest.context import Intake
from ingest.docks import authenticated_dock
from ingest.doors import Door, Doors
from ingest.errors import HeldBack, ManifestMissing, Quarantined, UploadNotFound
from ingest.pressure import Gate, Stretch, count_held_back, dock_limits, note_pace, require_pace
from ingest.receipts import receipt
from ingest.receiving import Receiver
from ingest.uploads import UploadState, create_upload, require_acceptable_size, terminate_upload, upload_state

_VERSION: Final = b"1.0.0"
_DIGEST_BYTES: Final = {"sha1": 20, "sha256": 32}
_MOST_METADATA_BYTES: Final = 32 * 1024
_MOST_RECEIPT_WAIT: Final = 1
_SIGNATURE_BYTES: Final = 64
_MOST_KEY: Final = 64


class VersionUnsupported(LiuhenError):
    """This server speaks tus 1.0.0."""

    code = "tus.version_unsupported"
    exit_code = 64


class WrongContentType(InvalidInput):
    """A chunk is sent as application/offset+octet-stream."""

    code = "tus.content_type"


class MethodUnknown(InvalidInput):
    """This address does not know the method."""

    code = "tus.method"


@dataclass(frozen=True, slots=True)
class _Sender:
    """Who uploads: a dock, or a person through the archive's own door."""

    dock_id: DockId
    credential: str
    account_id: AccountId | None = None
    door: Door | None = None
    bytes_per_s: int = 0


@dataclass(slots=True)
class _Request:
    """One request: its headers, its sender, and how it is answered."""

    scope: Mapping[str, Any]
    receive: Callable[[], Any]
    send: Callable[[dict[str, Any]], Any]
    headers: Mapping[bytes, bytes]
    method: str
    sender: _Sender

    def integer(self, name: bytes) -> int:
        """Return a header as a number without sign. Raises: InvalidInput."""
        text = self.headers.get(name, b"")
        if not text.isdigit() or len(text) > 19:
            raise InvalidInput(f"The header {name.decode().title()} is not a number")
        return int(text)

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises: Disconnected."""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            piece = message.get("body", b"")
            if piece:
                yield piece
            if not message.get("more_body", False):
                return

    @property
    def has_body(self) -> bool:
        """Whether a body is announced."""
        return b"transfer-encoding" in self.headers or self.headers.get(b"content-length", b"0") != b"0"

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send the answer."""
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"tus-resumable", _VERSION),
                    (b"cache-control", b"no-store"),
                    *((name.encode(), value.encode()) for name, value in headers.items()),
                    *([] if status == 204 else [(b"content-length", str(len(body)).encode())]),
                ],
            }
        )
        await self.send({"type": "http.response.body", "body": body})


_BROWSERS_SEND: Final = {b"cookie", b"sec-fetch-site"}
_NOBODY: Final = _Sender(DockId(UUID(int=0)), "")


class UploadsApp:
    """The tus server. Mounted where docks expect it; `base_path` is put before the ids in `Location`."""

    def __init__(
        self,
        intake: Intake,
        executor: Executor,
        *,
        base_path: str,
        doors: Doors,
        sign_ins: SignIns,
        limits: Limits,
        ending: Ending,
    ) -> None:
        """Serve uploads into `intake`, with blocking work in `executor`."""
        self._limits = limits
        self._doors = doors
        self._sign_ins = sign_ins
        self._intake = intake
        self._executor = executor
        self._base_path = base_path
        self._ending = ending
        self._gate = Gate(intake)
        self.receiver = Receiver(intake, executor)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request; every error becomes a problem."""
        try:
            await self._serve(scope, receive, send)
        except Disconnected:
            return  # nobody is left to answer; what arrived is kept
        except LiuhenError as error:
            _count(error)
            # A disk that is full passes: who uploads has to wait, and tus clients wait after a 503.
            status = 503 if isinstance(error, StorageFull) else None
            response = problem_response(error, request_id=scope["state"].get("request_id"), status=status)
            response.headers["Tus-Resumable"] = _VERSION.decode()
            response.headers["Cache-Control"] = "no-store"
            if isinstance(error, VersionUnsupported):
                response.headers["Tus-Version"] = _VERSION.decode()
            if "offset_bytes" in error.facts:
                response.headers["Upload-Offset"] = str(error.facts["offset_bytes"])
            # The body may be unread; keeping the connection would mean reading all of it.
            if scope["method"] in {"POST", "PATCH"}:
                response.headers["Connection"] = "close"
            await response(scope, receive, send)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        method = headers.get(b"x-http-method-override", scope["method"].encode()).decode("latin-1").upper()
        if method == "OPTIONS":
            await self._options(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
        is_receipt = path.endswith("/receipt")
        scope["state"]["route"] = (
            self._base_path + ("/{upload_id}" if path else "") + ("/receipt" if is_receipt else "")
        )
        if not is_receipt and headers.get(b"tus-resumable") != _VERSION:
            raise VersionUnsupported
        sender = await self._authenticate(scope, headers)
        request = _Request(scope, receive, send, headers, method, sender)
        if is_receipt and method == "GET":
            await self._receipt(request, _upload_id(path.removesuffix("/receipt")))
        elif not path and method == "POST":
            await self._create(request)
        elif path and method in {"HEAD", "PATCH", "DELETE"}:
            await {"HEAD": self._head, "PATCH": self._patch, "DELETE": self._delete}[method](request, _upload_id(path))
        else:
            raise MethodUnknown(method=method[:16])

    async def _authenticate(self, scope: Any, headers: Mapping[bytes, bytes]) -> _Sender:
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if not scheme and headers.keys() & _BROWSERS_SEND:
            return await self.receiver.run(self._person, HTTPConnection(scope))
        if scheme.lower() != "bearer":
            key = ""

        def look_up() -> _Sender:
            try:
                with self._intake.database.read() as tx:
                    dock, holder = authenticated_dock(tx, key, at=self._intake.clock.now())
                    per_s = dock_limits(self._intake, dock).bytes_per_s
                    sender = _Sender(DockId(dock.id), holder.actor.auth or "", bytes_per_s=per_s)
            except KeyRefused:
                self._limits.take(Cost.STRANGERS, origin(HTTPConnection(scope)).network)
                raise
            renew_hash(self._intake.database, key)
            return sender

        return await self.receiver.run(look_up)

    def _person(self, connection: HTTPConnection) -> _Sender:
        """Return the person of a session.

        Raises: NotSignedIn, TermsDue, SecondFactorDue, Forbidden, DockRevoked when the door is closed.
        """
        caller = caller_of(connection, self._sign_ins, self._intake.clock)
        if caller is None:
            raise NotSignedIn
        require_nothing_due(self._sign_ins, caller, path=connection.url.path)
        require(caller.roles, Capability.UPLOAD)
        if not caller.may(Capability.UPLOAD):
            raise CertificateBars
        door = self._doors.browser()
        return _Sender(door.dock_id, caller.actor.auth or "", caller.account_id, door)

    async def _options(self, scope: Any, receive: Any, send: Any) -> None:
        request = _Request(scope, receive, send, {}, "OPTIONS", _NOBODY)
        await request.answer(
            204,
            {
                "tus-version": _VERSION.decode(),
                "tus-extension": "creation,creation-with-upload,checksum,termination,expiration",
                "tus-max-size": str(self._intake.max_size_bytes),
                "tus-checksum-algorithm": ",".join(_DIGEST_BYTES),
            },
        )

    async def _create(self, request: _Request) -> None:
        who = request.sender.account_id or request.sender.dock_id
        await self.receiver.run(self._limits.take, Cost.UPLOADS, who)
        size = request.integer(b"upload-length")
        require_acceptable_size(self._intake, size)
        header = request.headers.get(b"upload-metadata", b"")
        metadata = parse_metadata(header)
        checksum = _checksum(request.headers)
        if request.has_body and request.headers.get(b"content-type") != b"application/offset+octet-stream":
            raise WrongContentType
        if "manifest" not in metadata or "signature" not in metadata:
            raise ManifestMissing
        await self._require_open(request)
        state = await self.receiver.run(
            lambda: self._created(
                request.sender,
                size_bytes=size,
                metadata_header=header.decode("latin-1"),
                manifest=metadata["manifest"],
                manifest_signature=_signature(metadata["signature"]),
                announced=_announced(metadata.get("announced")),
            )
        )
        headers = {"location": f"{self._base_path}/{state.id}"}
        offset = 0
        if request.has_body:
            try:
                offset = await self._append(request, state.id, offset=0, checksum=checksum)
            except LiuhenError as error:
                # The upload exists: without its address the client would start a second one.
                if isinstance(error, Quarantined):
                    raise
                state = await self.receiver.run(self._loader(request, state.id))
                offset = state.offset_bytes
                if not state.is_open:
                    raise
        await request.answer(201, {**headers, "upload-offset": str(offset), "upload-expires": _expires(state)})

    def _created(
        self,
        sender: _Sender,
        *,
        size_bytes: int,
        metadata_header: str,
        manifest: bytes,
        manifest_signature: bytes,
        announced: str | None,
    ) -> UploadState:
        if sender.door is not None and sender.account_id is not None:
            self._doors.require_own(sender.door, manifest, manifest_signature, account_id=sender.account_id)
        return create_upload(
            self._intake,
            dock_id=sender.dock_id,
            credential=sender.credential,
            size_bytes=size_bytes,
            metadata_header=metadata_header,
            manifest=manifest,
            manifest_signature=manifest_signature,
            sender_id=sender.account_id,
            announced=announced,
        )

    async def _head(self, request: _Request, upload_id: UploadId) -> None:
        state = await self.receiver.settled(upload_id, self._loader(request, upload_id))
        headers = {"upload-offset": str(state.offset_bytes), "upload-length": str(state.size_bytes)}
        if state.metadata_header:
            headers["upload-metadata"] = state.metadata_header
        if state.is_open:
            headers["upload-expires"] = _expires(state)
        await request.answer(200, headers)

    async def _patch(self, request: _Request, upload_id: UploadId) -> None:
        if request.headers.get(b"content-type") != b"application/offset+octet-stream":
            raise WrongContentType
        offset, checksum = request.integer(b"upload-offset"), _checksum(request.headers)
        await self._require_open(request)
        offset = await self._append(request, upload_id, offset=offset, checksum=checksum)
        state = await self.receiver.run(self._loader(request, upload_id))
        headers = {"upload-offset": str(offset)}
        if state.is_open:
            headers["upload-expires"] = _expires(state)
        await request.answer(204, headers)

    async def _append(self, request: _Request, upload_id: UploadId, *, offset: int, checksum: Checksum | None) -> int:
        stretch = Stretch(self._gate, request.sender.bytes_per_s, self._ending.require_going_on)
        try:
            return await self.receiver.append(
                upload_id,
                self._loader(request, upload_id),
                stretch.pieces(request.body()),
                offset_bytes=offset,
                checksum=checksum,
            )
        finally:
            if stretch.per_s and stretch.count:
                await self.receiver.run(self._note_pace, request.sender, stretch.count)

    async def _require_open(self, request: _Request) -> None:
        """Ask whoever brings something to come later while there is no room, or when it was too much just now.

        Raises: HeldBack.
        """
        self._ending.require_going_on()
        await self.receiver.run(self._gate.require_open)
        if request.sender.bytes_per_s:
            await self.receiver.run(self._require_pace, request.sender)

    def _require_pace(self, sender: _Sender) -> None:
        with self._intake.database.read() as tx:
            require_pace(tx, sender.dock_id, per_s=sender.bytes_per_s, at=self._intake.clock.now())

    def _note_pace(self, sender: _Sender, size_bytes: int) -> None:
        with self._intake.database.begin() as tx:
            at = self._intake.clock.now()
            note_pace(tx, sender.dock_id, size_bytes=size_bytes, per_s=sender.bytes_per_s, at=at)

    async def _delete(self, request: _Request, upload_id: UploadId) -> None:
        sender = request.sender
        await self.receiver.run(self._loader(request, upload_id))
        await self.receiver.abandon(
            upload_id,
            lambda: terminate_upload(self._intake, upload_id, dock_id=sender.dock_id, sender_id=sender.account_id),
        )
        await request.answer(204, {})

    async def _receipt(self, request: _Request, upload_id: UploadId) -> None:
        sender = request.sender
        found = await self.receiver.run(
            functools.partial(receipt, self._intake, upload_id, dock_id=sender.dock_id, sender_id=sender.account_id)
        )
        if found is None:
            await request.answer(202, {"retry-after": str(_MOST_RECEIPT_WAIT)})
        else:
            await request.answer(200, {"content-type": "application/json"}, found)

    def _loader(self, request: _Request, upload_id: UploadId) -> Callable[[], UploadState]:
        sender = request.sender
        return functools.partial(
            upload_state, self._intake, upload_id, dock_id=sender.dock_id, sender_id=sender.account_id
        )


def _announced(key: bytes | None) -> str | None:
    """Return what the dock called the recording in its announcement; what is no key names none."""
    return key.decode("ascii") if key is not None and key.isalnum() and len(key) <= _MOST_KEY else None


def _count(error: LiuhenError) -> None:
    if isinstance(error, HeldBack):
        count_held_back(error)
    else:
        meters().refused.labels(error.code).inc()


def parse_metadata(header: bytes) -> Mapping[str, bytes]:
    """Parse `Upload-Metadata`: comma-separated keys, each with a Base64 value or none.

    Raises: InvalidInput for bad Base64, empty or repeated keys, more than 32 KiB.
    Source: tus 1.0.0, extension creation.
    """
    if len(header) > _MOST_METADATA_BYTES:
        raise InvalidInput("Upload-Metadata is longer than 32 KiB")
    found: dict[str, bytes] = {}
    for pair in header.split(b",") if header.strip() else []:
        key, _, value = pair.strip().partition(b" ")
        try:
            name, decoded = key.decode("ascii"), base64.b64decode(value.strip(), validate=True)
        except (UnicodeDecodeError, binascii.Error) as exc:
            raise InvalidInput("Upload-Metadata is not in the form that tus asks for") from exc
        if not name or name in found:
            raise InvalidInput("Upload-Metadata has an empty or repeated key")
        found[name] = decoded
    return found


def _signature(value: bytes) -> bytes:
    """Take a signature as 64 bytes or as their Base64 text: common tus clients can send text values only."""
    with contextlib.suppress(binascii.Error):
        return base64.b64decode(value, validate=True) if len(value) != _SIGNATURE_BYTES else value
    return value


def _checksum(headers: Mapping[bytes, bytes]) -> Checksum | None:
    given = headers.get(b"upload-checksum")
    if given is None:
        return None
    algorithm, _, encoded = given.decode("latin-1").partition(" ")
    try:
        value = base64.b64decode(encoded, validate=True)
    except ValueError as exc:  # also for what is not ASCII
        raise InvalidInput("Upload-Checksum is not in Base64") from exc
    if _DIGEST_BYTES.get(algorithm) != len(value):
        raise InvalidInput("Upload-Checksum names an algorithm that is not offered, or has the wrong length")
    return Checksum(algorithm, value)


def _upload_id(text: str) -> UploadId:
    try:
        return UploadId(parse_uuid(text))
    except InvalidInput as exc:
        raise UploadNotFound from exc


def _expires(state: UploadState) -> str:
    return format_datetime(state.expires_at, usegmt=True)
