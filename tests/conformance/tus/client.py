"""A tus client that hides nothing: each method is one request, and asserts only what its name says."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx

from tests.conformance.tus.target import VERSION, Target

CHUNK_TYPE = "application/offset+octet-stream"


class NoAnswer(AssertionError):
    """The server closed the connection, or was silent for too long, instead of answering."""


@dataclass(frozen=True)
class Upload:
    """An upload resource, and the bytes that are meant to fill it."""

    url: str
    content: bytes


class TusClient:
    """Requests to one target over kept-alive connections."""

    def __init__(self, target: Target) -> None:
        self.target = target
        # A server may wait that long before it answers, and the answer still has to travel.
        timeout = httpx.Timeout(target.patience_s, pool=None)
        self._http = httpx.Client(verify=target.tls, timeout=timeout, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        version: str | None = VERSION,
    ) -> httpx.Response:
        """Send one request with the target's headers and Tus-Resumable (None: without it).

        Raises: NoAnswer.
        """
        every = dict(self.target.headers)
        if version is not None:
            every["Tus-Resumable"] = version
        every.update(headers or {})
        try:
            return self._http.request(method, url, headers=httpx.Headers(every, encoding="latin-1"), content=body)
        except httpx.TransportError as error:
            raise NoAnswer(f"{method} {url} got no answer: {error!r}") from error

    def creation_headers(
        self, content: bytes, *, length: str | None = None, extra_metadata: str | None = None
    ) -> dict[str, str]:
        """Give the headers of a POST that announces `content`: length, and the metadata that the target demands."""
        metadata = [text for text in (self.target.metadata(content), extra_metadata) if text is not None]
        headers = {"Upload-Length": str(len(content)) if length is None else length}
        if metadata:
            headers["Upload-Metadata"] = ",".join(metadata)
        return headers

    def post(
        self, headers: Mapping[str, str], *, body: bytes | Iterable[bytes] | None = None, version: str | None = VERSION
    ) -> httpx.Response:
        """Ask the creation URL for an upload, whatever comes of it."""
        self.target.require("creation")
        return self.call("POST", self.target.url, headers=headers, body=body, version=version)

    def create(self, content: bytes, *, extra_metadata: str | None = None) -> Upload:
        """Create an upload for `content`, and send none of it yet."""
        answer = self.post(self.creation_headers(content, extra_metadata=extra_metadata))
        due(answer, 201)
        return Upload(self.location(answer), content)

    def new(self, size_bytes: int) -> Upload:
        """Create an upload for fresh random bytes, so that no two uploads are of the same content."""
        return self.create(os.urandom(size_bytes))

    def location(self, answer: httpx.Response) -> str:
        """Resolve the Location of a 201, absolute or relative."""
        location: str | None = answer.headers.get("Location")
        assert location, "a 201 answer has no Location"
        return urljoin(self.target.url, location)

    def unknown_url(self) -> str:
        """Give a URL of the form of the target's upload URLs that names no upload."""
        before, slash, name = self.new(8).url.rstrip("/").rpartition("/")
        half = len(name) // 2
        return f"{before}{slash}{name[half:]}{name[:half]}"

    def head(self, url: str) -> httpx.Response:
        """Ask for the state of an upload, whatever comes of it."""
        return self.call("HEAD", url)

    def offset(self, upload: Upload) -> int:
        """Ask for the offset of an upload that must be there."""
        answer = self.head(upload.url)
        due(answer, 200, 204)
        return offset_of(answer)

    def patch(
        self, upload: Upload, offset: int, size_bytes: int | None = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send the bytes of `upload` from `offset` (`size_bytes` of them, or all), whatever comes of it."""
        end = None if size_bytes is None else offset + size_bytes
        return self.patch_with(upload, upload.content[offset:end], {"Upload-Offset": str(offset), **(headers or {})})

    def patch_with(self, upload: Upload, body: bytes | Iterable[bytes], headers: Mapping[str, str]) -> httpx.Response:
        """Send a PATCH with this body and these headers, whatever comes of it."""
        return self.call("PATCH", upload.url, headers={"Content-Type": CHUNK_TYPE, **headers}, body=body)

    def send(self, upload: Upload, offset: int, size_bytes: int | None = None) -> int:
        """Send bytes that the server must accept, and give the new offset."""
        answer = self.patch(upload, offset, size_bytes)
        due(answer, 204)
        end = len(upload.content) if size_bytes is None else offset + size_bytes
        assert offset_of(answer) == end, f"PATCH told offset {offset_of(answer)} where {end} was due"
        return end

    def finish(self, upload: Upload) -> None:
        """Resume as a client does: ask for the offset, send what is left, then hold it to the content."""
        offset = self.offset(upload)
        assert offset <= len(upload.content), f"the offset {offset} is past the upload's end"
        if offset < len(upload.content):
            self.send(upload, offset)
        self.holds(upload)

    def holds(self, upload: Upload) -> None:
        """Assert that the upload is finished and, where the target can be read, that it stored the bytes sent."""
        offset = self.offset(upload)
        assert offset == len(upload.content), f"the offset is {offset} of {len(upload.content)}"
        if self.target.read_back is not None:
            stored = self.target.read_back(upload.url, upload.content)
            assert len(stored) == len(upload.content), f"{len(stored)} bytes stored of {len(upload.content)}"
            assert stored == upload.content, "the stored bytes are not those that were sent"

    def unchanged(self, upload: Upload, offset: int) -> None:
        """Assert that the upload stands at `offset`, and that the right bytes can go on from there."""
        told = self.offset(upload)
        assert told == offset, f"the offset is {told} where {offset} was due"
        self.finish(upload)


def due(answer: httpx.Response, *statuses: int) -> None:
    """Assert the status of an answer, and say what came instead."""
    request = answer.request
    assert answer.status_code in statuses, (
        f"{request.method} {request.url} answered {answer.status_code} {answer.text[:200]!r} "
        f"where {' or '.join(map(str, statuses))} was due"
    )


def refused(answer: httpx.Response) -> None:
    """Assert that the server blames the client (4xx)."""
    assert 400 <= answer.status_code < 500, (
        f"{answer.request.method} answered {answer.status_code} {answer.text[:200]!r} where a 4xx was due"
    )


def offset_of(answer: httpx.Response) -> int:
    """Read Upload-Offset, which must be there and be a non-negative integer."""
    value = answer.headers.get("Upload-Offset")
    assert value is not None, f"{answer.request.method} was answered without Upload-Offset"
    assert re.fullmatch("[0-9]+", value), f"Upload-Offset is {value!r}"
    return int(value)
