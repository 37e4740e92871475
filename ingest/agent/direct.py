"""The bytes of one file on their way straight to the archive's bucket, several parts at once.

The archive hands out an address for each part with its digest, which the bucket checks; the archive reads the whole
anew before it gives a receipt. The dock's key goes to the archive alone: an address needs none.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from archive.kernel.errors import LiuhenError
from ingest.agent.errors import BadServer, ConnectionBroken, FileChanged, NotTheArchive, Refused, Stopped
from ingest.agent.files import key_of, require_same
from ingest.agent.journal import OpenUpload
from ingest.agent.patience import Patience
from ingest.agent.sending import Sending, b64
from ingest.agent.wire import FilePart, Place, Wire, reread_s, tls_context

_DIRECT: Final = "/api/v1/direct-uploads"
_AT_ONCE: Final = 4
_ASKED_AT_ONCE: Final = 32
_READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where the archive says that an upload stands. Units: bytes."""

    state: str
    part_size_bytes: int
    parts: int
    stored: frozenset[int]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "_Standing":
        """Read an answer. Raises: NotTheArchive."""
        try:
            numbers = int(told["part_size_bytes"]), int(told["parts"])
            if min(numbers) < 1:
                raise NotTheArchive
            return cls(str(told["state"]), *numbers, frozenset(int(number) for number in told["stored"]))
        except (KeyError, TypeError, ValueError) as exc:
            raise NotTheArchive from exc


class DirectSending(Sending):
    """One open file on its way to the bucket."""

    def _try(self, patience: Patience) -> tuple[OpenUpload, bytes]:
        upload, standing = self._begun()
        self._told_of(standing, patience)
        if standing.state == "direct":
            began = time.perf_counter()
            try:
                sha256s = self._send_parts(upload, standing, patience)
            finally:
                self.sent.lasted_s += time.perf_counter() - began
            self._ask("POST", f"{_DIRECT}/{upload.id}/completion", {"sha256": sha256s}, is_slow=True)
        return upload, self._fetch_receipt(upload)

    def _begun(self) -> tuple[OpenUpload, _Standing]:
        if self.upload is not None:
            return self.upload, _Standing.of(self._ask("GET", f"{_DIRECT}/{self.upload.id}"))
        manifest, signature = self._signed_manifest()
        wish = {
            "size_bytes": self.identity.size_bytes,
            "manifest": b64(manifest),
            "signature": b64(signature),
            "announced": key_of(self.found),
        }
        told = self._ask("POST", _DIRECT, wish)
        return self._opened(str(told.get("id", "")), manifest), _Standing.of(told)

    def _told_of(self, standing: _Standing, patience: Patience) -> None:
        done = self.identity.size_bytes
        if standing.state == "direct":
            done = sum(self._size_of(standing, number) for number in standing.stored)
        self._stands_at(done, patience)

    def _size_of(self, standing: _Standing, number: int) -> int:
        start = (number - 1) * standing.part_size_bytes
        return max(0, min(standing.part_size_bytes, self.identity.size_bytes - start))

    def _send_parts(self, upload: OpenUpload, standing: _Standing, patience: Patience) -> Sequence[str]:
        """Send what the bucket lacks; return the digest of every part, in order."""
        sha256s: dict[int, str] = {}
        broken = threading.Event()
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="direct") as pool, self._wires() as wires:
            running: set[Future[None]] = set()
            try:
                for batch in self._batches(standing, sha256s):
                    asked = [{"number": number, "sha256": sha256s[number]} for number in batch]
                    told = self._ask("POST", f"{_DIRECT}/{upload.id}/parts", {"parts": asked})
                    for part in self._addresses(told, batch):
                        if len(running) >= 2 * _AT_ONCE:
                            running = self._some_ended(running, patience)
                        running.add(pool.submit(self._send_part, wires, part, standing, broken))
                while running:
                    running = self._some_ended(running, patience)
            except BaseException:
                broken.set()
                for wire in wires.made:
                    wire.abort()
                raise
        return [sha256s[number] for number in range(1, standing.parts + 1)]

    def _some_ended(self, running: set[Future[None]], patience: Patience) -> set[Future[None]]:
        ended, rest = wait(running, return_when=FIRST_COMPLETED)
        for task in ended:
            task.result()
        patience.progressed()
        return rest

    def _batches(self, standing: _Standing, sha256s: dict[int, str]) -> Iterator[list[int]]:
        """Hash part after part, and yield the numbers of those that are to be sent, some at a time."""
        batch: list[int] = []
        for number in range(1, standing.parts + 1):
            sha256s[number] = self._hash_part(standing, number)
            if number not in standing.stored:
                batch.append(number)
            # The first ones go off at once, so that the line is busy while the others are hashed.
            if len(batch) >= (_AT_ONCE if number <= _ASKED_AT_ONCE else _ASKED_AT_ONCE):
                yield batch
                batch = []
        if batch:
            yield batch

    def _hash_part(self, standing: _Standing, number: int) -> str:
        require_same(self.source, self.identity)
        hasher, left = hashlib.sha256(), self._size_of(standing, number)
        at_byte = (number - 1) * standing.part_size_bytes
        while left:
            if self.errand.stopping.is_set():
                raise Stopped
            block = os.pread(self.source.fileno(), min(_READ_BYTES, left), at_byte)
            if not block:
                raise FileChanged
            hasher.update(block)
            at_byte, left = at_byte + len(block), left - len(block)
        return hasher.hexdigest()

    def _addresses(self, told: Mapping[str, Any], wanted: Sequence[int]) -> Sequence[tuple[int, str, dict[str, str]]]:
        try:
            found = [
                (int(part["number"]), str(part["url"]), {str(k): str(v) for k, v in part["headers"].items()})
                for part in told["parts"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise NotTheArchive from exc
        if [number for number, _, _ in found] != list(wanted):
            raise NotTheArchive
        return found

    def _send_part(
        self, wires: "_Wires", part: tuple[int, str, dict[str, str]], standing: _Standing, broken: threading.Event
    ) -> None:
        number, url, headers = part

        def told(size_bytes: int) -> None:
            if self.errand.stopping.is_set() or broken.is_set():
                raise Stopped
            self.sent.size_bytes += size_bytes
            self.errand.watcher.sent(self.found, size_bytes)

        address, at_byte = urlsplit(url), (number - 1) * standing.part_size_bytes
        # Opened anew, since several threads read at once, each at a place of its own.
        with Path(f"/proc/self/fd/{self.source.fileno()}").open("rb") as own:
            body = FilePart(own, at_byte, self._size_of(standing, number), told)
            try:
                wires.to(url).request("PUT", f"{address.path}?{address.query}", headers=headers, body=body)
            except BadServer as exc:
                raise NotTheArchive("The archive names a bucket that is not on https") from exc
            except Refused as exc:  # by the bucket, which knows no dock: an address is too old
                raise ConnectionBroken("The bucket refuses a part", cause=exc.problem) from exc

    @contextlib.contextmanager
    def _wires(self) -> Iterator["_Wires"]:
        made = _Wires(self.errand.identity.ca_pem)
        try:
            yield made
        finally:
            made.close()

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, is_slow: bool = False
    ) -> Mapping[str, Any]:
        answer = self.wire.request(
            method,
            path,
            headers={"Content-Type": "application/json"},
            body=None if body is None else json.dumps(body).encode(),
            timeout_s=reread_s(self.identity.size_bytes if is_slow else 0),
        )
        try:
            told = json.loads(answer.body)
        except ValueError as exc:
            raise NotTheArchive from exc
        if not isinstance(told, dict):
            raise NotTheArchive
        return told


class _Wires:
    """A connection to the bucket for each thread. The archive's own authority is believed there too."""

    def __init__(self, ca_pem: str | None) -> None:
        self._ca_pem, self._own = ca_pem, threading.local()
        self.made: list[Wire] = []

    def to(self, url: str) -> Wire:
        """Return this thread's connection. Raises: BadServer for plain http to another machine."""
        address = urlsplit(url)
        place = Place.parse(f"{address.scheme}://{address.netloc}")
        if getattr(self._own, "place", None) != place:
            self._own.place = place
            self._own.wire = Wire(place, tls=tls_context(place, ca_pem=self._ca_pem))
            self.made.append(self._own.wire)
        wire: Wire = self._own.wire
        return wire

    def close(self) -> None:
        """Close all of them."""
        for wire in self.made:
            with contextlib.suppress(LiuhenError):
                wire.close()
