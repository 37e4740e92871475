"""Core protocol: bodies that are longer, smaller or framed otherwise than usual."""

import os

from tests.conformance.tus.client import TusClient, due, offset_of
from tests.conformance.tus.wire import Wire

MIB = 1024 * 1024


def test_body_longer_than_what_is_left(client: TusClient) -> None:
    """A PATCH that announces more bytes than are left is refused, or cut at the upload's length.

    Source: tus 1.0.0, Core Protocol, Upload-Length (the size of the entire upload).
    """
    upload = client.new(1000)
    client.send(upload, 0, 400)
    answer = client.patch_with(upload, upload.content[400:] + b"more", {"Upload-Offset": "400"})
    due(answer, 204, 400, 413)
    if answer.status_code == 204:
        assert offset_of(answer) <= 1000
    client.finish(upload)


def test_chunked_body_longer_than_what_is_left(client: TusClient) -> None:
    """A chunked PATCH that runs past the upload's length is refused, or cut at the length.

    Source: tus 1.0.0, Core Protocol, Upload-Length (the size of the entire upload).
    """
    upload = client.new(100_000)
    with Wire(client.target, upload.url) as wire:
        wire.patch(0, {"Transfer-Encoding": "chunked"})
        for piece in (upload.content[:60_000], upload.content[60_000:], os.urandom(50_000)):
            wire.send_chunk(piece)
        wire.send_chunk(b"")
        answer = wire.answer()
        assert answer is None or answer.status in {204, 400, 413}, answer
        if answer is not None and answer.status == 204:
            assert answer.offset <= 100_000
    client.finish(upload)


def test_endless_chunked_body_is_stopped(client: TusClient) -> None:
    """A chunked PATCH that never ends is answered or closed soon after the upload's length is passed.

    Source: tus 1.0.0, Core Protocol, Upload-Length (the size of the entire upload; beyond the letter: unfinished).
    """
    upload = client.new(100_000)
    with Wire(client.target, upload.url) as wire:
        wire.patch(0, {"Transfer-Encoding": "chunked"})
        wire.send_chunk(upload.content)
        for _ in range(64):
            if not wire.send_chunk(bytes(100_000)):
                break
        answer = wire.answer()
        assert answer is None or answer.status in {204, 400, 413}, answer
    client.finish(upload)


def test_chunked_body(client: TusClient) -> None:
    """A PATCH of unannounced length is taken like any other.

    Source: tus 1.0.0, Core Protocol, PATCH; RFC 9112 section 7.1 (a recipient MUST parse chunked).
    """
    upload = client.new(300_000)
    pieces = (upload.content[at : at + 70_000] for at in range(0, 210_000, 70_000))
    answer = client.patch_with(upload, pieces, {"Upload-Offset": "0"})
    due(answer, 204)
    assert offset_of(answer) == 210_000
    client.unchanged(upload, 210_000)


def test_chunks_of_one_byte(client: TusClient) -> None:
    """A chunked PATCH in chunks of one byte is put together in order.

    Source: tus 1.0.0, Core Protocol, PATCH; RFC 9112 section 7.1 (a recipient MUST parse chunked).
    """
    upload = client.new(500)
    pieces = (upload.content[at : at + 1] for at in range(500))
    due(client.patch_with(upload, pieces, {"Upload-Offset": "0"}), 204)
    client.holds(upload)


def test_expect_100_continue(client: TusClient) -> None:
    """A PATCH with Expect is told to go on, and its bytes are taken when they come.

    Source: tus 1.0.0, Core Protocol, PATCH; RFC 9110 section 10.1.1 (MUST send 100 or a final status).
    """
    upload = client.new(300_000)
    with Wire(client.target, upload.url) as wire:
        wire.patch(0, {"Content-Length": "300000", "Expect": "100-continue"})
        interim = wire.first_answer()
        assert interim is not None
        assert interim.status == 100
        assert wire.send(upload.content)
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 204
        assert answer.offset == 300_000
    client.holds(upload)


def test_refusal_comes_before_the_body(client: TusClient) -> None:
    """A PATCH with Expect at the wrong offset is refused without waiting for its body.

    Source: tus 1.0.0, Core Protocol, PATCH (MUST: 409); RFC 9110 section 10.1.1 (a final status before the body).
    """
    upload = client.new(1000)
    with Wire(client.target, upload.url) as wire:
        wire.patch(500, {"Content-Length": "500", "Expect": "100-continue"})
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 409
    client.unchanged(upload, 0)


def test_refusal_reaches_a_client_that_is_still_sending(client: TusClient) -> None:
    """A client that sends megabytes at the wrong offset gets to read the conflict.

    Source: tus 1.0.0, Core Protocol, PATCH (MUST: 409); RFC 9112 section 9.6 (no reset before the answer is read).
    """
    upload = client.new(8 * MIB)
    due(client.patch_with(upload, upload.content[1:], {"Upload-Offset": "1"}), 409)
    client.unchanged(upload, 0)


def test_one_byte_at_a_time(client: TusClient) -> None:
    """64 PATCHes of one byte fill an upload of 64 bytes.

    Source: tus 1.0.0, Core Protocol, PATCH (MAY use multiple small requests successively).
    """
    upload = client.new(64)
    for offset in range(64):
        client.send(upload, offset, 1)
    client.holds(upload)


def test_no_bytes(client: TusClient) -> None:
    """A PATCH without bytes succeeds and moves nothing.

    Source: tus 1.0.0, Core Protocol, PATCH (the new offset MUST be the sum of the old one and the bytes received).
    """
    upload = client.new(100)
    client.send(upload, 0, 40)
    client.send(upload, 40, 0)
    client.unchanged(upload, 40)


def test_no_bytes_at_the_wrong_offset(client: TusClient) -> None:
    """A PATCH without bytes at another offset than the upload's is a conflict all the same.

    Source: tus 1.0.0, Core Protocol, PATCH (MUST: 409).
    """
    upload = client.new(100)
    due(client.patch(upload, 40, 0), 409)
    client.unchanged(upload, 0)


def test_large_body(client: TusClient) -> None:
    """A PATCH of 32 MiB is taken in one go.

    Source: tus 1.0.0, Core Protocol, PATCH (the client SHOULD send all the remaining bytes in a single request).
    """
    upload = client.new(32 * MIB)
    client.send(upload, 0)
    client.holds(upload)


def test_slow_body(client: TusClient) -> None:
    """A PATCH that trickles in is taken, as long as bytes keep coming.

    Source: tus 1.0.0, Core Protocol, PATCH (timeouts are for connections that fail).
    """
    upload = client.new(1000)
    with Wire(client.target, upload.url) as wire:
        wire.patch(0, {"Content-Length": "1000"})
        for at in range(0, 1000, 250):
            assert wire.send(upload.content[at : at + 250])
            wire.settle()
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 204
    client.holds(upload)


def test_requests_follow_each_other_on_one_connection(client: TusClient) -> None:
    """PATCH, a conflict and PATCH again over one kept-alive connection each get their own answer.

    Source: tus 1.0.0, Core Protocol, PATCH; RFC 9112 section 9.3 (persistence).
    """
    upload = client.new(1000)
    client.send(upload, 0, 400)
    due(client.patch_with(upload, b"wrong", {"Upload-Offset": "0"}), 409)
    client.send(upload, 400, 600)
    client.holds(upload)
