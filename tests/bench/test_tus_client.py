"""The benchmark's client uploads what it says it does."""

import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bench.tus_client import UploadFailed, upload_at_once
from tests.conformance.tus.reference import reference_server, self_signed
from tests.support.tus_peer import NodePeer, node_peer

SIZE_BYTES = 3 * 1024 * 1024 + 17


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodePeer]:
    with node_peer(tmp_path_factory.mktemp("peer"), max_size_bytes=2 * SIZE_BYTES) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number}.bin" for number in range(4)]
    for number, file in enumerate(made):
        file.write_bytes(os.urandom(SIZE_BYTES + number))
    return made


@pytest.mark.parametrize("chunk_size_bytes", [None, 1_000_000], ids=["whole", "chunks"])
def test_uploads_at_once(peer: NodePeer, files: list[Path], chunk_size_bytes: int | None) -> None:
    measured = upload_at_once(
        files,
        url=peer.url,
        metadata=lambda file: f"filename {base64.b64encode(file.name.encode()).decode()}",
        chunk_size_bytes=chunk_size_bytes,
    )
    assert measured.size_bytes == sum(file.stat().st_size for file in files)
    assert measured.seconds > 0
    for file, url in zip(files, measured.urls, strict=True):
        assert peer.content(url) == file.read_bytes()


def test_refusal_is_raised(peer: NodePeer, tmp_path: Path, files: list[Path]) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(2 * SIZE_BYTES + 1))
    with pytest.raises(UploadFailed, match="413"):
        upload_at_once([*files, large], url=peer.url)


def test_uploads_over_tls(tmp_path: Path, files: list[Path]) -> None:
    certificate, tls = self_signed(tmp_path)
    with reference_server(tls=tls) as url:
        measured = upload_at_once(files, url=url, ca=certificate, chunk_size_bytes=2_000_000)
        context = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(verify=context, trust_env=False) as http:
            for file, upload_url in zip(files, measured.urls, strict=True):
                assert http.get(upload_url).content == file.read_bytes()


def test_runs_as_a_program(peer: NodePeer, files: list[Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.tus_client", "--url", peer.url, *map(str, files)],
        stdout=subprocess.PIPE,
        check=True,
    )
    told = json.loads(done.stdout)
    assert len(told["urls"]) == len(files)
    assert told["size_bytes"] == sum(file.stat().st_size for file in files)
