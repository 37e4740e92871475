"""The peer's own parts work together: server, client, interruption, resumption."""

import os
from pathlib import Path

import pytest

from tests.conformance.tus.reference import read_back, reference_server, self_signed
from tests.support.tus_peer import js_client_upload, node_peer

SIZE_BYTES = 6 * 1024 * 1024 + 321


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "执法记录 01.mp4"
    file.write_bytes(os.urandom(SIZE_BYTES))
    return file


def test_client_uploads_to_server(recording: Path, tmp_path: Path) -> None:
    with node_peer(tmp_path / "store") as peer:
        done = js_client_upload(
            recording, endpoint=peer.url, metadata={"filename": recording.name}, chunk_size_bytes=2 * 1024 * 1024
        )
        assert done.outcome == "finished", done
        assert [method for method, _ in done.requests] == ["POST", "PATCH", "PATCH", "PATCH", "PATCH"]
        assert done.url is not None
        assert peer.content(done.url) == recording.read_bytes()


def test_cut_upload_is_resumed_by_a_second_run(recording: Path, tmp_path: Path) -> None:
    storage = tmp_path / "urls.json"
    with node_peer(tmp_path / "store") as peer:
        cut = js_client_upload(recording, endpoint=peer.url, url_storage=storage, abort_after_bytes=SIZE_BYTES // 2)
        assert cut.outcome == "aborted", cut
        done = js_client_upload(recording, endpoint=peer.url, url_storage=storage)
        assert done.outcome == "finished", done
        assert done.url == cut.url
        assert done.resumed_from is not None
        assert 0 < done.resumed_from <= SIZE_BYTES // 2
        assert done.url is not None
        assert peer.content(done.url) == recording.read_bytes()


def test_refusal_is_told(recording: Path, tmp_path: Path) -> None:
    with node_peer(tmp_path / "store", max_size_bytes=1000) as peer:
        refused = js_client_upload(recording, endpoint=peer.url)
        assert (refused.outcome, refused.status) == ("failed", 413)


def test_client_trusts_a_given_authority(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, tls = self_signed(tmp_path)
    monkeypatch.setenv("TUS_CA", str(certificate))
    with reference_server(tls=tls) as url:
        assert js_client_upload(recording, endpoint=url).outcome == "failed"
        done = js_client_upload(recording, endpoint=url, ca=certificate, upload_during_creation=True)
        assert done.outcome == "finished", done
        assert done.url is not None
        assert read_back(done.url, b"") == recording.read_bytes()
