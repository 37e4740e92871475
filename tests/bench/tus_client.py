"""A tus client that costs next to nothing: the same one for our server and for every server beside it.

One POST, then PATCHes whose bodies go from the file to the socket inside the kernel (`sendfile`; over TLS, from the
mapped file). Connections are made and metadata is computed before the clock starts; it stops at the last answer.

As a program it uploads files in a process of its own and prints what it measured as one line of JSON:

    python -m tests.bench.tus_client --url URL [--header 'Name: value'] [--metadata FILE] FILE...

where the metadata file is a JSON object of file name to Upload-Metadata.
"""

import argparse
import http.client
import json
import mmap
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import urljoin, urlsplit

STALL_S = 600
TLS_BLOCK_BYTES = 1 << 20

MetadataOf = Callable[[Path], str | None]


class UploadFailed(RuntimeError):
    """The server refused an upload, or broke off."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What uploading some files at once came to.

    Units: `seconds` from the first byte of the first request to the last byte of the last answer; `cpu_seconds` is what
    the client itself used meanwhile, over all its threads.
    """

    seconds: float
    cpu_seconds: float
    size_bytes: int
    urls: Sequence[str]

    @property
    def megabytes_per_second(self) -> float:
        """The rate in MB/s, 10^6 bytes each."""
        return self.size_bytes / 1e6 / self.seconds


def upload_at_once(
    files: Sequence[Path],
    *,
    url: str,
    headers: Mapping[str, str] | None = None,
    metadata: MetadataOf | None = None,
    chunk_size_bytes: int | None = None,
    ca: Path | None = None,
) -> Measured:
    """Upload all `files` at the same time, each over its own connection, to the tus creation URL `url`.

    Raises: UploadFailed, OSError.
    """
    texts = [metadata(file) if metadata else None for file in files]
    tls = ssl.create_default_context(cafile=str(ca) if ca else None) if url.startswith("https:") else None
    ready = threading.Barrier(len(files))

    def run(file: Path, text: str | None) -> tuple[float, float, str]:
        try:
            with file.open("rb") as content, _Connection(url, tls=tls, headers=headers or {}) as connection:
                ready.wait()
                started = time.perf_counter()
                upload_url = _upload(connection, content, metadata=text, chunk_size_bytes=chunk_size_bytes)
                return started, time.perf_counter(), upload_url
        except BaseException:
            ready.abort()
            raise

    cpu_before = time.process_time()
    with ThreadPoolExecutor(len(files)) as pool:
        runs = [pool.submit(run, file, text) for file, text in zip(files, texts, strict=True)]
    failures = [error for error in (future.exception() for future in runs) if error is not None]
    for error in failures:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    results = [future.result() for future in runs]
    return Measured(
        seconds=max(ended for _, ended, _ in results) - min(started for started, _, _ in results),
        cpu_seconds=time.process_time() - cpu_before,
        size_bytes=sum(file.stat().st_size for file in files),
        urls=[upload_url for _, _, upload_url in results],
    )


def _upload(connection: "_Connection", content: BinaryIO, *, metadata: str | None, chunk_size_bytes: int | None) -> str:
    size_bytes = os.fstat(content.fileno()).st_size
    creation = {"Upload-Length": str(size_bytes), "Content-Length": "0"}
    if metadata is not None:
        creation["Upload-Metadata"] = metadata
    connection.send_head("POST", connection.url, creation)
    upload_url: str = urljoin(connection.url, connection.answer(201)["Location"])
    offset = 0
    while offset < size_bytes:
        count = min(chunk_size_bytes or size_bytes, size_bytes - offset)
        head = {
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(count),
            "Upload-Offset": str(offset),
        }
        connection.send_head("PATCH", upload_url, head, more=True)
        connection.send_file(content, offset, count)
        told = int(connection.answer(204)["Upload-Offset"])
        if told != offset + count:
            raise UploadFailed(f"the server is at {told} after {offset + count} bytes")
        offset = told
    return upload_url


class _Connection:
    """One kept-alive connection, made anew when the server closes it after an answer."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None, headers: Mapping[str, str]) -> None:
        self.url = url
        self._parts = urlsplit(url)
        self._tls = tls
        self._headers = {"Host": self._parts.netloc, "Tus-Resumable": "1.0.0", **headers}
        self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def send_head(self, method: str, url: str, headers: Mapping[str, str], *, more: bool = False) -> None:
        """Send request line and headers; with `more` they may wait for the body and leave in one packet with it."""
        lines = [f"{method} {urlsplit(url).path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in {**self._headers, **headers}.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if self._tls is None and more:
            self._socket.sendall(head, socket.MSG_MORE)
        else:
            self._socket.sendall(head)

    def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """Send bytes of the file. A server that stops listening has its say in the answer."""
        try:
            if self._tls is None:
                end = offset + count
                while offset < end:
                    sent = os.sendfile(self._socket.fileno(), file.fileno(), offset, end - offset)
                    if sent == 0:
                        raise UploadFailed(f"{file.name} became shorter while it was sent")
                    offset += sent
            else:
                with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
                    for at in range(offset, offset + count, TLS_BLOCK_BYTES):
                        with view[at : min(at + TLS_BLOCK_BYTES, offset + count)] as block:
                            self._socket.sendall(block)
        except ConnectionError:
            pass

    def answer(self, due: int) -> http.client.HTTPMessage:
        """Read an answer that has to have the status `due`, and give its headers."""
        response = http.client.HTTPResponse(self._socket)
        try:
            response.begin()
            body = response.read()
        except (ConnectionError, http.client.HTTPException) as error:
            raise UploadFailed(f"the server broke off: {error!r}") from error
        closing = response.will_close
        response.close()
        if response.status != due:
            raise UploadFailed(f"the server answered {response.status} {body[:300]!r}")
        if closing:
            self._close()
            self._connect()
        return response.headers

    def _connect(self) -> None:
        host, port = self._parts.hostname, self._parts.port or (443 if self._tls else 80)
        plain = socket.create_connection((host, port), timeout=30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Blocking, so that one sendfile carries a whole chunk; the kernel itself gives up on a stalled peer.
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            plain.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALL_S, 0))
        self._socket = self._tls.wrap_socket(plain, server_hostname=host) if self._tls else plain
        self._socket.settimeout(None)

    def _close(self) -> None:
        self._socket.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tus_client", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--url", required=True)
    parser.add_argument("--header", action="append", default=[], help="`Name: value`; repeatable")
    parser.add_argument("--metadata", type=Path, help="JSON object of file name to Upload-Metadata")
    parser.add_argument("--chunk-size", type=int, metavar="BYTES")
    parser.add_argument("--ca", type=Path)
    return parser.parse_args()


def main() -> None:
    """Upload the files of the command line at once, and print the measurement."""
    arguments = _arguments()
    texts = json.loads(arguments.metadata.read_text("utf-8")) if arguments.metadata else {}
    measured = upload_at_once(
        arguments.files,
        url=arguments.url,
        headers={name.strip(): value.strip() for name, _, value in (line.partition(":") for line in arguments.header)},
        metadata=lambda file: texts.get(str(file)),
        chunk_size_bytes=arguments.chunk_size,
        ca=arguments.ca,
    )
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    json.dump({**asdict(measured), "peak_bytes": peak_bytes}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
