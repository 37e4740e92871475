"""Core protocol: connections that break off, and the way on from there."""

import pytest

from tests.conformance.tus.client import TusClient
from tests.conformance.tus.wire import Wire, stalled_patch

MIB = 1024 * 1024
SIZE_BYTES = 4 * MIB + 77
SENT_BYTES = 3 * MIB + 5


@pytest.mark.parametrize(
    "sent_bytes", [0, 1, SENT_BYTES, SIZE_BYTES - 1], ids=["none", "one-byte", "most", "all-but-one"]
)
def test_reset_in_mid_request(client: TusClient, sent_bytes: int) -> None:
    """After a reset HEAD tells an offset that was reached, and the upload goes on from there to the right bytes.

    Source: tus 1.0.0, Core Protocol, HEAD and PATCH (the offset MUST be that of the bytes received and stored).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as wire:
        stalled_patch(wire, upload, sent_bytes=sent_bytes)
        wire.reset()
    offset = client.offset(upload)
    assert offset <= sent_bytes
    client.finish(upload)


def test_reset_while_the_body_is_on_its_way(client: TusClient) -> None:
    """After a reset that overtakes the body, HEAD tells an offset from which the upload goes on to the right bytes.

    Source: tus 1.0.0, Core Protocol, HEAD and PATCH (the offset MUST be that of the bytes received and stored).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as wire:
        wire.begin_patch(0, {"Content-Length": str(SIZE_BYTES)})
        wire.send(upload.content[:SENT_BYTES])
        wire.reset()
    assert client.offset(upload) <= SENT_BYTES
    client.finish(upload)


def test_orderly_close_in_mid_request(client: TusClient) -> None:
    """A body that ends before its announced length is no finished chunk, and the upload goes on.

    Source: tus 1.0.0, Core Protocol, PATCH (SHOULD detect and handle network errors predictably).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as wire:
        stalled_patch(wire, upload, sent_bytes=SENT_BYTES)
        wire.half_close()
        answer = wire.answer()
        assert answer is None or answer.status >= 400 or answer.offset <= SENT_BYTES
    assert client.offset(upload) <= SENT_BYTES
    client.finish(upload)


def test_what_has_arrived_is_kept(client: TusClient) -> None:
    """After a reset the bytes that had arrived are not asked for again.

    Source: tus 1.0.0, Core Protocol, PATCH (SHOULD always attempt to store as much of the received data as possible).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as wire:
        stalled_patch(wire, upload, sent_bytes=SENT_BYTES)
        wire.reset()
    assert client.offset(upload) > SENT_BYTES // 2


def test_offset_stays_once_told(client: TusClient) -> None:
    """An offset that HEAD has told after a reset does not move until the client sends more.

    Source: tus 1.0.0, Core Protocol, PATCH (Upload-Offset MUST be equal to the current offset of the resource).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as wire:
        wire.begin_patch(0, {"Content-Length": str(SIZE_BYTES)})
        wire.send(upload.content[:SENT_BYTES])
        wire.reset()
        told = client.offset(upload)
        wire.settle()
    assert client.offset(upload) == told
    client.finish(upload)


def test_broken_off_again_and_again(client: TusClient) -> None:
    """An upload whose every request breaks off still gets to its end, byte for byte.

    Source: tus 1.0.0, Core Protocol (how to resume an interrupted upload).
    """
    upload = client.new(MIB)
    for reach in (1000, 200_000, 200_001, 800_000):
        offset = client.offset(upload)
        with Wire(client.target, upload.url) as wire:
            wire.begin_patch(offset, {"Content-Length": str(MIB - offset)})
            wire.send(upload.content[offset:reach])
            wire.settle()
            wire.reset()
    client.finish(upload)


def test_chunked_body_breaks_off(client: TusClient) -> None:
    """A chunked body without its last chunk is no finished request, and the upload goes on.

    Source: tus 1.0.0, Core Protocol, PATCH; RFC 9112 section 8 (a chunked message without its end is incomplete).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as wire:
        wire.begin_patch(0, {"Transfer-Encoding": "chunked"})
        for at in range(0, SENT_BYTES, 100_000):
            wire.send_chunk(upload.content[at : min(at + 100_000, SENT_BYTES)])
        wire.settle()
        wire.reset()
    assert client.offset(upload) <= SENT_BYTES
    client.finish(upload)
