"""Files that a form sends to be looked at and forgotten: from the wire to a scratch folder, hashed as they arrive.

Never in memory, whatever their size, and gone when the request is. What a broken-off process left is swept by the next.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from archive.kernel.errors import DISK_FULL, InvalidInput, StorageFull
from archive.kernel.names import safe_file_name
from archive.web.pages.forms import MOST_FORM_BYTES, declared_bytes
from ingest.arriving import ArrivingFile
from ingest.judgements import SignedFile

_MULTIPART: Final = b"multipart/form-data"
_PREFIX: Final = "received-"
_LEFT_BEHIND_S: Final = 3600
_BLOCK_BYTES: Final = 1024 * 1024
_MOST_PARTS: Final = 8


@contextlib.asynccontextmanager
async def received_files(
    request: Request, scratch: Path, *, most: int, reserve_bytes: int
) -> AsyncIterator[Mapping[str, SignedFile]]:
    """Give the files of a form by the names of their fields; empty ones are left out, and so is what is no form.

    Raises: FormTooLarge, TooLarge, InvalidInput, StorageFull.
    """
    declared_bytes(request, most=most + MOST_FORM_BYTES)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != _MULTIPART or not options.get(b"boundary"):
        yield {}
        return
    if shutil.disk_usage(scratch).free < int(request.headers["content-length"]) + reserve_bytes:
        raise StorageFull
    await to_thread.run_sync(_sweep, scratch)
    folder = Path(await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix=_PREFIX, dir=scratch)))
    try:
        parts = _Parts(folder, most)
        with contextlib.closing(parts):
            parser = MultipartParser(options[b"boundary"], parts.callbacks())
            async for block in _blocks(request):
                await to_thread.run_sync(_fed, parser, block)
            if parser.state is not MultipartState.END:
                raise InvalidInput("The form ends in its middle")
        yield parts.files
    finally:
        await to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in blocks of about a megabyte: each goes to a thread of its own."""
    kept = bytearray()
    async for piece in request.stream():
        kept += piece
        if len(kept) >= _BLOCK_BYTES:
            yield bytes(kept)
            kept.clear()
    if kept:
        yield bytes(kept)


def _fed(parser: MultipartParser, block: bytes) -> None:
    try:
        parser.write(block)
    except FormParserError as exc:
        raise InvalidInput("The form cannot be read") from exc
    except OSError as exc:
        if exc.errno in DISK_FULL:
            raise StorageFull from exc
        raise


@contextlib.contextmanager
def scratch_folder(scratch: Path) -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=scratch, ignore_cleanup_errors=True) as name:
        yield Path(name)


@dataclass
class _Parts:
    """Takes the parts of a form as its parser meets them. Fields that are no files are passed over."""

    folder: Path
    most: int
    _files: dict[str, ArrivingFile] = field(default_factory=dict)
    _open: ArrivingFile | None = None
    _count: int = 0
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""

    def callbacks(self) -> Any:
        told: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._take,
            "on_part_end": self.close,
        }
        return told

    @property
    def files(self) -> Mapping[str, SignedFile]:
        return {name: each.file() for name, each in self._files.items() if each.size_bytes}

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise InvalidInput("The form has more parts than any form of ours")
        self._disposition = b""

    def _header_ends(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name, told = options.get(b"name", b""), options.get(b"filename")
        field_name = name.decode("utf-8", "replace")
        if told is None or field_name in self._files:
            return
        shown = safe_file_name(told.decode("utf-8", "replace") or "-")
        self._open = ArrivingFile(self.folder / str(self._count), shown, most=self.most)
        self._files[field_name] = self._open

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._open is not None:
            self._open.take(data[start:end])


def _sweep(scratch: Path) -> None:
    """Remove what a process that broke off left behind."""
    for path in scratch.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _LEFT_BEHIND_S:
                shutil.rmtree(path, ignore_errors=True)
