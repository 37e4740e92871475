"""Extension checksum: Upload-Checksum on PATCH."""

import base64
import hashlib
import os
import re

import pytest

from tests.conformance.tus.client import CHUNK_TYPE, TusClient, Upload, due
from tests.conformance.tus.wire import Wire

pytestmark = pytest.mark.extension("checksum")

MIB = 1024 * 1024


def checksum(algorithm: str, chunk: bytes) -> dict[str, str]:
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(hashlib.new(algorithm, chunk).digest()).decode()}"}


def damaged(chunk: bytes) -> bytes:
    """Flip one bit in the middle."""
    middle = len(chunk) // 2
    return chunk[:middle] + bytes([chunk[middle] ^ 1]) + chunk[middle + 1 :]


@pytest.fixture(params=["sha1", "sha256", "sha512", "md5"])
def algorithm(request: pytest.FixtureRequest, client: TusClient) -> str:
    """Each algorithm of the usual ones that the target announces; sha1 it must."""
    name: str = request.param
    if name != "sha1" and name not in client.target.capabilities.checksum_algorithms:
        pytest.skip(f"the target does not announce the checksum algorithm {name}")
    return name


def test_algorithms_are_announced(client: TusClient) -> None:
    """OPTIONS lists the checksum algorithms, sha1 among them, in lower-case ASCII.

    Source: tus 1.0.0, Checksum, Tus-Checksum-Algorithm (MUST; at least sha1).
    """
    algorithms = client.target.capabilities.checksum_algorithms
    assert "sha1" in algorithms
    assert all(re.fullmatch(r"[!-@\[-~]+", name) for name in algorithms), algorithms


def test_right_checksum(client: TusClient, algorithm: str) -> None:
    """PATCHes with right checksums are taken, each with its own.

    Source: tus 1.0.0, Checksum (MUST verify; 204 if the checksums match).
    """
    upload = client.new(300_000)
    for start, end in ((0, 1), (1, 200_000), (200_000, 300_000)):
        chunk = upload.content[start:end]
        due(client.patch(upload, start, end - start, headers=checksum(algorithm, chunk)), 204)
    client.holds(upload)


def test_wrong_checksum(client: TusClient, algorithm: str) -> None:
    """PATCH with a wrong checksum is refused, its chunk discarded, and the right one can follow.

    Source: tus 1.0.0, Checksum (460; the chunk MUST be discarded, the offset MUST NOT be updated).
    """
    upload = client.new(1000)
    client.send(upload, 0, 400)
    chunk = upload.content[400:700]
    headers = {"Upload-Offset": "400", **checksum(algorithm, chunk)}
    due(client.patch_with(upload, damaged(chunk), headers), 460)
    client.unchanged(upload, 400)


def test_wrong_checksum_of_a_large_chunk(client: TusClient) -> None:
    """A chunk that is larger than any buffer is discarded as a whole when its checksum is wrong.

    Source: tus 1.0.0, Checksum (the chunk MUST be discarded, the offset MUST NOT be updated).
    """
    upload = client.new(9 * MIB)
    client.send(upload, 0, MIB)
    chunk = upload.content[MIB:]
    headers = {"Upload-Offset": str(MIB), **checksum("sha1", chunk)}
    due(client.patch_with(upload, damaged(chunk), headers), 460)
    client.unchanged(upload, MIB)


def test_wrong_checksum_of_the_last_chunk(client: TusClient) -> None:
    """A chunk that would finish the upload does not, when its checksum is wrong.

    Source: tus 1.0.0, Checksum (the upload MUST NOT be updated).
    """
    upload = client.new(1000)
    headers = {"Upload-Offset": "0", **checksum("sha1", upload.content)}
    due(client.patch_with(upload, damaged(upload.content), headers), 460)
    client.unchanged(upload, 0)


def test_unknown_algorithm(client: TusClient) -> None:
    """PATCH with an algorithm that the server does not have is a bad request, its chunk discarded.

    Source: tus 1.0.0, Checksum (400; the chunk MUST be discarded, the offset MUST NOT be updated).
    """
    upload = client.new(1000)
    due(client.patch(upload, 0, headers={"Upload-Checksum": "rot13 YQ=="}), 400)
    client.unchanged(upload, 0)


@pytest.mark.parametrize(
    "value",
    ["sha1", "sha1 ???", "", "sha1 YQ== YQ==", "YQ=="],
    ids=["no-digest", "not-base64", "empty", "three-parts", "no-algorithm"],
)
def test_malformed(client: TusClient, value: str) -> None:
    """PATCH with a checksum that breaks the syntax is a bad request without effect.

    Source: tus 1.0.0, Checksum, Upload-Checksum (MUST: algorithm, a space, Base64).
    """
    upload = client.new(1000)
    due(client.patch(upload, 0, headers={"Upload-Checksum": value}), 400)
    client.unchanged(upload, 0)


def test_digest_of_the_wrong_length(client: TusClient) -> None:
    """PATCH with a digest that the algorithm cannot make is refused without effect.

    Source: tus 1.0.0, Checksum (400 or 460; the offset MUST NOT be updated).
    """
    upload = client.new(1000)
    truncated = base64.b64encode(hashlib.sha1(upload.content).digest()[:10]).decode()
    due(client.patch(upload, 0, headers={"Upload-Checksum": f"sha1 {truncated}"}), 400, 460)
    client.unchanged(upload, 0)


def test_chunked_body(client: TusClient) -> None:
    """A checksum is held against a body of unannounced length too.

    Source: tus 1.0.0, Checksum (MUST verify once the entire request has been received).
    """
    upload = client.new(1000)
    pieces = (upload.content[at : at + 100] for at in range(0, 900, 100))
    headers = {"Upload-Offset": "0", **checksum("sha1", upload.content)}
    due(client.patch_with(upload, pieces, headers), 460)
    client.unchanged(upload, 0)


def test_empty_chunk(client: TusClient) -> None:
    """The checksum of no bytes is held against a PATCH without bytes.

    Source: tus 1.0.0, Checksum (MUST verify the uploaded chunk).
    """
    upload = client.new(1000)
    due(client.patch_with(upload, b"", {"Upload-Offset": "0", **checksum("sha1", b"x")}), 460)
    due(client.patch_with(upload, b"", {"Upload-Offset": "0", **checksum("sha1", b"")}), 204)
    client.unchanged(upload, 0)


def test_broken_off_chunk_is_not_taken(client: TusClient) -> None:
    """A chunk with a checksum that never arrived as a whole could not be verified, so none of it counts.

    Source: tus 1.0.0, Checksum (MUST verify once the entire request has been received; beyond the letter).
    """
    upload = client.new(2 * MIB)
    client.send(upload, 0, 1000)
    rest = upload.content[1000:]
    with Wire(client.target, upload.url) as wire:
        wire.begin_patch(1000, {"Content-Length": str(len(rest)), **checksum("sha1", rest)})
        assert wire.send(rest[:MIB])
        wire.settle()
        wire.reset()
    client.unchanged(upload, 1000)


@pytest.mark.extension("creation-with-upload")
def test_wrong_checksum_at_creation(client: TusClient) -> None:
    """A wrong checksum with the bytes of a POST keeps these bytes out.

    Source: tus 1.0.0, Creation With Upload (similar rules as for PATCH apply); Checksum.
    """
    content = os.urandom(1000)
    headers = {**client.creation_headers(content), "Content-Type": CHUNK_TYPE, **checksum("sha1", b"other")}
    answer = client.post(headers, body=content)
    due(answer, 201, 400, 460)
    if answer.status_code == 201:
        client.unchanged(Upload(client.location(answer), content), 0)


@pytest.mark.extension("creation-with-upload")
def test_right_checksum_at_creation(client: TusClient) -> None:
    """A right checksum with the bytes of a POST lets them in.

    Source: tus 1.0.0, Creation With Upload (similar rules as for PATCH apply); Checksum.
    """
    content = os.urandom(1000)
    headers = {**client.creation_headers(content), "Content-Type": CHUNK_TYPE, **checksum("sha1", content)}
    answer = client.post(headers, body=content)
    due(answer, 201)
    client.finish(Upload(client.location(answer), content))
