"""Clients that others wrote upload with interruption and resume: `tus-js-client` and `tuspy`."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage

from tests.conformance.liuhen.dock import ForeignDock
from tests.support.server import Server, serving
from tests.support.tus_peer import js_client_upload

SIZE_BYTES = 9 * 1024 * 1024 + 17
CHUNK_BYTES = 1024 * 1024


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with serving(tmp_path) as running:
        yield running


def test_tus_js_client_resumes_after_a_cut(server: Server, tmp_path: Path) -> None:
    dock, file = ForeignDock.enrolled(server, tmp_path / "dock"), tmp_path / "recording.mp4"
    content = os.urandom(SIZE_BYTES)
    file.write_bytes(content)
    upload: dict[str, Any] = {
        "endpoint": f"{server.address}/api/v1/uploads",
        "headers": dock.headers,
        "metadata": dock.metadata(content, file.name),
        "chunk_size_bytes": CHUNK_BYTES,
        "url_storage": tmp_path / "urls.json",
    }
    cut = js_client_upload(file, **upload, abort_after_bytes=4 * CHUNK_BYTES)
    assert cut.outcome == "aborted"
    server.kill("web")
    server.wait_ready()
    resumed = js_client_upload(file, **upload)
    assert resumed.outcome == "finished"
    assert resumed.resumed_from
    assert resumed.url is not None
    assert dock.stored(resumed.url) == content
    server.assert_sound()


def test_tuspy_resumes_after_a_cut(server: Server, tmp_path: Path) -> None:
    dock, file = ForeignDock.enrolled(server, tmp_path / "dock"), tmp_path / "recording.mp4"
    content = os.urandom(SIZE_BYTES)
    file.write_bytes(content)
    client = TusClient(f"{server.address}/api/v1/uploads", headers=dock.headers)
    with contextlib.closing(FileStorage(str(tmp_path / "urls.json"))) as urls:

        def uploader() -> Any:
            return client.uploader(
                file_stream=_KeptOpen(content),
                chunk_size=CHUNK_BYTES,
                metadata=dock.metadata(content, file.name),
                store_url=True,
                url_storage=urls,
                upload_checksum=True,
            )

        uploader().upload(stop_at=4 * CHUNK_BYTES)
        server.kill("web")
        server.wait_ready()
        second = uploader()
        assert second.offset == 4 * CHUNK_BYTES
        second.upload()
    assert dock.stored(second.url) == content
    server.assert_sound()


class _KeptOpen(io.BytesIO):
    """A stream for tuspy, which closes what it is given and then reads on."""

    def close(self) -> None:
        pass
