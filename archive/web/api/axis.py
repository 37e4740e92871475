"""The door for Axis body-worn systems: the part of OpenStack Swift that they speak, as raw ASGI.

`GET /axis/auth/v1.0` trades user and key for a token; containers are recordings, objects their files; a recording is
taken in when its metadata says `Status: Complete`, and that is answered with success only when every item stands under
a checkpoint of the log. Nothing that was filmed can be read or deleted here. Codes as the protocol asks: 503 again
soon, 507 full, 400 never.

Source: Axis body worn content destination API; OpenStack object store API v1; docs/formats/axis-door.md.
"""

import asyncio
import functools
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from archive.kernel.digests import Hasher
from archive.kernel.errors import InvalidInput, LiuhenError, StorageFull, Unavailable
from archive.kernel.ids import DockId, UploadId, new_uuid7
from archive.web.api import swift
from archive.web.api.swift import Answer
from archive.web.problems import problem_response, status_of
from ingest.axis.closing import begin_closing, closing_progress, end_closing
from ingest.axis.errors import AxisRefused, EtagMismatch, ObjectQuarantined, RecordingClosing, TooManyTransfers
from ingest.axis.naming import REGISTERS, check_container, check_object, decoded_meta
from ingest.axis.recording import is_bookmark
from ingest.axis.systems import AxisSystem, open_token, system_of
from ingest.axis.transfer import (
    Arrived,
    is_end,
    put_container,
    record_object,
    require_writable,
    room_bytes,
    update_container,
    update_object,
)
from ingest.chunks import Chunk, Disconnected, Held, pour
from ingest.context import Intake
from ingest.doors import Doors
from ingest.errors import EmptyFile, Quarantined, TooLarge
from ingest.receiving import Receiver
from ingest.staged_lock import StagedLock
from ingest.staging import create_staged, remove_staged, staged_path, sync

_MOST_AT_ONCE: Final = 16
_MOST_KEPT_BYTES: Final = 4 * 1024
_CLOSING_WAIT_S: Final = 8.0
_CLOSING_PAUSE_S: Final = 0.1
_AGAIN_S: Final = 2
_SILENCE_S: Final = 60.0
_REFUSED_FOR_EVER: Final = frozenset({405, 409, 410, 413, 415, 422})
"""What the protocol has no word for, and what no repetition would change: 400 there."""
_POINTERS: Final = frozenset({b"x-object-manifest", b"x-copy-from", b"x-symlink-target"})
_log = structlog.get_logger("liuhen.axis")

Result = TypeVar("Result")


@dataclass(slots=True)
class _Request:
    """One request of a system that has shown its token."""

    scope: Mapping[str, Any]
    receive: Callable[[], Any]
    headers: Mapping[bytes, bytes]
    system: AxisSystem
    container: str
    name: str

    @property
    def method(self) -> str:
        """The method."""
        method: str = self.scope["method"]
        return method

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises: Disconnected; Unavailable when nothing comes any more."""
        while True:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    message = await self.receive()
            except TimeoutError as exc:
                raise Unavailable("The transfer stood still; send it again", retry_after_s=_AGAIN_S) from exc
            if message["type"] == "http.disconnect":
                raise Disconnected
            piece = message.get("body", b"")
            if piece:
                yield piece
            if not message.get("more_body", False):
                return

    @property
    def declared_bytes(self) -> int | None:
        """The length that the body is said to have. Raises: InvalidInput."""
        text = self.headers.get(b"content-length")
        if text is None:
            return None
        if not text.isdigit() or len(text) > 19:
            raise InvalidInput("The header Content-Length is not a number")
        return int(text)

    def meta(self, kind: str) -> dict[str, str]:
        """Return the metadata for a container or an object. Raises: InvalidInput."""
        prefix, removed = f"x-{kind}-meta-".encode(), f"x-remove-{kind}-meta-".encode()
        given = {name.removeprefix(prefix): value for name, value in self.headers.items() if name.startswith(prefix)}
        gone = {name.removeprefix(removed): b"" for name in self.headers if name.startswith(removed)}
        return decoded_meta(
            {name.decode("latin-1"): value.decode("latin-1") for name, value in {**given, **gone}.items()}
        )


class AxisApp:
    """The content destination. `receiver` finishes uploads, as it does for docks."""

    def __init__(self, intake: Intake, executor: Executor, receiver: Receiver, *, doors: Doors) -> None:
        """Serve systems, with blocking work in `executor`."""
        self._intake = intake
        self._executor = executor
        self._receiver = receiver
        self._doors = doors
        # By system: one that is slow, or means harm, does not stand in the way of the others.
        self._under_way: Counter[DockId] = Counter()
        self._coming_bytes: Counter[DockId] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request; every error becomes a problem with a status that the protocol knows."""
        try:
            answer = await self._answer(scope, receive)
        except Disconnected:
            return  # nobody is left to answer; what did not arrive whole is gone, and will be sent again
        except LiuhenError as error:
            response = problem_response(error, request_id=scope["state"].get("request_id"), status=_status(error))
            # The body may be unread; keeping the connection would mean reading all of it.
            if scope["method"] in {"PUT", "POST"}:
                response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        await answer.send(send)

    async def _answer(self, scope: Any, receive: Any) -> Answer:
        headers = dict(scope["headers"])
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in {"/auth/v1.0", "/auth/v1"} and scope["method"] in {"GET", "HEAD"}:
            return await self._token(scope, headers)
        if path == "/info" and scope["method"] in {"GET", "HEAD"}:
            return swift.info(self._intake.max_size_bytes)
        parts = path.split("/", 4)
        if len(parts) < 3 or parts[1] not in {"v1", "v1.0"}:
            raise InvalidInput("There is nothing at this address")
        system = await self._run(system_of, self._doors, headers.get(b"x-auth-token", b"").decode("latin-1"))
        if parts[2] != swift.account_of(system):
            raise AxisRefused
        container, name = (*parts[3:], "", "")[:2]
        if container:
            check_container(container)
        if name:
            check_object(name)
        request = _Request(scope, receive, headers, system, container, name)
        act = self._ACTS.get((request.method, 2 if name else 1 if container else 0))
        if act is not None:
            return await act(self, request)
        work = functools.partial(swift.looked_up, self._intake, system, container, name, scope)
        return await self._run(work)

    async def _token(self, scope: Any, headers: Mapping[bytes, bytes]) -> Answer:
        user, key = (headers.get(name, b"").decode("latin-1") for name in (b"x-auth-user", b"x-auth-key"))
        ticket = await self._run(functools.partial(open_token, self._doors, user=user, key=key))
        host = headers.get(b"host", b"").decode("latin-1")
        return swift.ticket(ticket, address=f"{scope['scheme']}://{host}{scope.get('root_path', '')}")

    async def _put_container(self, request: _Request) -> Answer:
        await _drained(request)
        change = request.meta("container")
        is_new = await self._run(put_container, self._intake, request.system, request.container, change)
        if is_end(request.container, change):
            await self._close(request)
        return Answer(201 if is_new else 202)

    async def _post_container(self, request: _Request) -> Answer:
        await _drained(request)
        change = request.meta("container")
        await self._run(update_container, self._intake, request.system, request.container, change)
        if is_end(request.container, change):
            await self._close(request)
        return Answer(204)

    async def _post_object(self, request: _Request) -> Answer:
        await _drained(request)
        meta = request.meta("object")
        await self._run(update_object, self._intake, request.system, request.container, request.name, meta)
        return Answer(202)

    async def _put_object(self, request: _Request) -> Answer:
        dock_id = request.system.dock_id
        if self._under_way[dock_id] >= _MOST_AT_ONCE:
            raise TooManyTransfers(retry_after_s=_AGAIN_S)
        self._under_way[dock_id] += 1
        try:
            return await self._stored(request)
        finally:
            self._under_way[dock_id] -= 1

    async def _stored(self, request: _Request) -> Answer:
        _require_plain(request)
        meta, declared = request.meta("object"), request.declared_bytes
        room = await self._run(self._room, request)
        if declared is not None and declared > self._intake.max_size_bytes:
            raise TooLarge(most_bytes=self._intake.max_size_bytes)
        staged_id = UploadId(new_uuid7())
        is_small = declared is not None and declared <= _MOST_KEPT_BYTES
        is_kept = request.container in REGISTERS or (is_bookmark(request.name) and is_small)
        taking = self._kept(request, meta) if is_kept else self._staged(request, staged_id, meta, room)
        try:
            arrived = await taking
            _require_etag(request.headers, arrived)
        except BaseException:
            await self._run(remove_staged, self._intake.staging, staged_id)
            raise
        await self._run(record_object, self._intake, request.system, request.container, staged_id, arrived)
        return Answer(201, swift.stored(arrived.md5))

    def _room(self, request: _Request) -> int:
        """Return up to how many bytes this system may have under way. Raises: as `require_writable`; StorageFull."""
        intake, system = self._intake, request.system
        with intake.database.read() as tx:
            require_writable(tx, system, request.container, request.name)
            share = room_bytes(tx, intake, system, request.container, request.name)
        coming = self._coming_bytes[system.dock_id]
        room = min(share, coming + intake.room_bytes(request.declared_bytes or 0))
        if coming + (request.declared_bytes or 0) > room:
            raise StorageFull
        return room

    async def _bounded(self, request: _Request, room: int) -> AsyncGenerator[bytes, None]:
        """Yield the body while all that the system sends at once stays within its room. Raises: StorageFull."""
        dock_id, count = request.system.dock_id, 0
        try:
            async for piece in request.body():
                count += len(piece)
                self._coming_bytes[dock_id] += len(piece)
                if self._coming_bytes[dock_id] > room:
                    raise StorageFull
                yield piece
        finally:
            self._coming_bytes[dock_id] -= count

    async def _kept(self, request: _Request, meta: dict[str, str]) -> Arrived:
        """Take what goes into the object's row."""
        body = bytearray()
        async for piece in request.body():
            body += piece
            if len(body) > _MOST_KEPT_BYTES:
                raise TooLarge(most_bytes=_MOST_KEPT_BYTES)
        hasher = Hasher(self._intake.algorithms)
        hasher.update(body)
        md5 = hashlib.md5(body, usedforsecurity=False)
        return _arrived(request, meta, hasher, md5.hexdigest(), body=bytes(body))

    async def _staged(self, request: _Request, staged_id: UploadId, meta: dict[str, str], room: int) -> Arrived:
        """Take what becomes an item into staging; on return it is durable there."""
        declared, most_bytes = request.declared_bytes, self._intake.max_size_bytes
        if declared == 0:
            raise EmptyFile
        await self._run(self._intake.require_room, declared or 0)
        await self._run(create_staged, self._intake.staging, staged_id)
        lock = StagedLock(staged_path(self._intake.staging, staged_id))
        try:
            await self._run(lock.begin_alone)  # no sweep of any process takes it for a leftover, however slow it comes
            held, md5 = Held(lock.fd, 0, Hasher(self._intake.algorithms)), hashlib.md5(usedforsecurity=False)
            chunk = Chunk(self._executor, held, None, lambda _: sync(lock.fd), also=(md5,))
            try:
                async with aclosing(self._bounded(request, room)) as body:
                    await pour(most_bytes if declared is None else declared, body, chunk)
            finally:
                await chunk.close()
            if declared is not None and held.offset_bytes != declared:
                raise Disconnected
            await self._run(sync, lock.fd)
        finally:
            lock.close()
        if held.offset_bytes == 0:
            raise EmptyFile
        return _arrived(request, meta, held.hasher, md5.hexdigest())

    async def _close(self, request: _Request) -> None:
        """Take the recording in, and return when it is in the log, under a checkpoint.

        Raises: RecordingClosing when that takes longer than a client should wait: everything goes on without it.
        """
        system, name = request.system, request.container
        await self._run(begin_closing, self._intake, self._doors, system, name)
        ends = asyncio.get_running_loop().time() + _CLOSING_WAIT_S
        while not (progress := await self._run(closing_progress, self._intake, system, name)).is_durable:
            for upload_id in progress.unfinished:
                await self._finish(upload_id)
                _require_time(ends)
            _require_time(ends)
            await asyncio.sleep(_CLOSING_PAUSE_S)
        await self._run(end_closing, self._intake, system, name)

    async def _finish(self, upload_id: UploadId) -> None:
        try:
            await self._receiver.finish(upload_id)
        except Quarantined as exc:
            raise ObjectQuarantined(upload_id=upload_id) from exc
        except StorageFull:
            raise
        except LiuhenError as error:
            _log.warning("finish_failed", upload_id=str(upload_id), code=error.code)
            raise RecordingClosing(retry_after_s=_AGAIN_S) from error

    async def _run(self, work: Callable[..., Result], *args: Any) -> Result:
        return await self._receiver.run(work, *args)

    _ACTS: Final = {
        ("PUT", 1): _put_container,
        ("POST", 1): _post_container,
        ("PUT", 2): _put_object,
        ("POST", 2): _post_object,
    }


def _require_time(ends: float) -> None:
    if asyncio.get_running_loop().time() > ends:
        raise RecordingClosing(retry_after_s=_AGAIN_S)


def _status(error: LiuhenError) -> int:
    status = status_of(error)
    return 400 if status in _REFUSED_FOR_EVER and not isinstance(error, EtagMismatch) else status


async def _drained(request: _Request) -> None:
    """Read a body that means nothing. Raises: InvalidInput when it is long."""
    left = _MOST_KEPT_BYTES
    async for piece in request.body():
        left -= len(piece)
        if left < 0:
            raise InvalidInput("This request has no body")


def _arrived(
    request: _Request, meta: dict[str, str], hasher: Hasher, md5: str, *, body: bytes | None = None
) -> Arrived:
    content_type = request.headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
    return Arrived(request.name, content_type[:200], meta, hasher.digests(), md5, body)


def _require_plain(request: _Request) -> None:
    """Refuse what only points at other objects: it would be taken for the bytes themselves. Raises: InvalidInput."""
    if _POINTERS & request.headers.keys() or b"multipart-manifest" in request.scope["query_string"]:
        raise InvalidInput("Objects in segments, copies and links are not taken; send the bytes")


def _require_etag(headers: Mapping[bytes, bytes], arrived: Arrived) -> None:
    given = headers.get(b"etag", b"").decode("latin-1").strip().strip('"').lower()
    if given and given != arrived.md5:
        raise EtagMismatch(actual=arrived.md5)
