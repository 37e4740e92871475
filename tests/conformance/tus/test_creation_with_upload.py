"""Extension creation-with-upload: POST carries the first bytes."""

import os
from collections.abc import Iterator

import pytest

from tests.conformance.tus.client import CHUNK_TYPE, TusClient, Upload, due, offset_of
from tests.conformance.tus.wire import Wire

pytestmark = pytest.mark.extension("creation-with-upload")

SIZE_BYTES = 300 * 1024 + 11


def create_with(client: TusClient, content: bytes, body: bytes | Iterator[bytes]) -> tuple[Upload, int]:
    """Create an upload with a body, and give it with the offset that the server tells."""
    answer = client.post({**client.creation_headers(content), "Content-Type": CHUNK_TYPE}, body=body)
    due(answer, 201)
    return Upload(client.location(answer), content), offset_of(answer)


@pytest.mark.parametrize("sent_bytes", [0, 1, 100_000, SIZE_BYTES], ids=["nothing", "one-byte", "part", "all"])
def test_takes_the_first_bytes(client: TusClient, sent_bytes: int) -> None:
    """POST with a body answers 201 with the offset after it, HEAD agrees, and the upload goes on from there.

    Source: tus 1.0.0, Creation With Upload (SHOULD accept as many bytes as possible, MUST tell Upload-Offset).
    """
    content = os.urandom(SIZE_BYTES)
    upload, offset = create_with(client, content, content[:sent_bytes])
    assert offset == sent_bytes
    client.unchanged(upload, sent_bytes)


def test_chunked_body(client: TusClient) -> None:
    """POST with a body of unannounced length is taken as well.

    Source: tus 1.0.0, Creation With Upload; RFC 9112 section 7.1 (a recipient MUST parse chunked).
    """
    content = os.urandom(SIZE_BYTES)
    pieces = (content[at : at + 70_000] for at in range(0, 210_000, 70_000))
    upload, offset = create_with(client, content, pieces)
    assert offset == 210_000
    client.unchanged(upload, 210_000)


def test_wrong_content_type(client: TusClient) -> None:
    """A body of another content type is not taken for the upload's bytes.

    Source: tus 1.0.0, Creation With Upload (the client MUST include the content type; as for PATCH).
    """
    content = os.urandom(100)
    answer = client.post({**client.creation_headers(content), "Content-Type": "text/plain"}, body=b"wrong")
    due(answer, 201, 400, 415)
    if answer.status_code == 201:
        client.unchanged(Upload(client.location(answer), content), 0)


def test_body_longer_than_the_upload(client: TusClient) -> None:
    """A body that is longer than the announced length is refused, or cut at the length.

    Source: tus 1.0.0, Core Protocol, Upload-Length (the size of the entire upload).
    """
    content = os.urandom(100)
    answer = client.post({**client.creation_headers(content), "Content-Type": CHUNK_TYPE}, body=content + b"more")
    due(answer, 201, 400, 413)
    if answer.status_code == 201:
        assert offset_of(answer) <= 100
        client.finish(Upload(client.location(answer), content))


def test_expect_100_continue(client: TusClient) -> None:
    """POST with Expect is answered 100 or 201, and the bytes are taken when they come.

    Source: tus 1.0.0, Creation With Upload (the client SHOULD include Expect: 100-continue).
    """
    content = os.urandom(SIZE_BYTES)
    headers = {
        **client.creation_headers(content),
        "Content-Type": CHUNK_TYPE,
        "Content-Length": str(SIZE_BYTES),
        "Expect": "100-continue",
    }
    with Wire(client.target, client.target.url) as wire:
        wire.request("POST", headers)
        interim = wire.first_answer()
        assert interim is not None
        assert interim.status == 100
        assert wire.send(content)
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 201
        assert answer.offset == SIZE_BYTES


def test_refusal_comes_before_the_body(client: TusClient) -> None:
    """POST with Expect that the server will not accept is refused without waiting for the body.

    Source: tus 1.0.0, Creation With Upload (Expect: early feedback before the first chunk is transferred).
    """
    headers = {
        **client.creation_headers(b"0123456789"),
        "Upload-Length": "many",
        "Content-Type": CHUNK_TYPE,
        "Content-Length": "10",
        "Expect": "100-continue",
    }
    with Wire(client.target, client.target.url) as wire:
        wire.request("POST", headers)
        answer = wire.answer()
        assert answer is not None
        assert 400 <= answer.status < 500
