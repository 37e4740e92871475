"""Core protocol: several requests for one upload at a time, among them clients that are no longer there."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.conformance.tus.client import NoAnswer, TusClient, Upload, offset_of
from tests.conformance.tus.wire import Wire, stalled_patch

MIB = 1024 * 1024
SIZE_BYTES = 4 * MIB + 77
SENT_BYTES = 3 * MIB + 5


def test_head_takes_a_stalled_upload_over(client: TusClient) -> None:
    """HEAD is answered although a half-open connection holds the upload, and the upload goes on at once.

    Source: tus 1.0.0, Core Protocol, HEAD (determines the offset to continue at; beyond the letter: half-open).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as stalled:
        stalled_patch(stalled, upload, sent_bytes=SENT_BYTES)
        assert client.offset(upload) <= SENT_BYTES
        client.finish(upload)


def test_patch_takes_a_stalled_upload_over(client: TusClient) -> None:
    """PATCH at the current offset is taken although a half-open connection holds the upload.

    Source: tus 1.0.0, Core Protocol, PATCH (SHOULD detect and handle network errors; beyond the letter: half-open).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as stalled:
        stalled_patch(stalled, upload, sent_bytes=0)
        client.send(upload, 0)
        client.holds(upload)


def test_stalled_client_wakes_up_too_late(client: TusClient) -> None:
    """What a stalled client sends after another one has taken over changes nothing.

    Source: tus 1.0.0, Core Protocol, PATCH (bytes apply at the current offset only).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as stalled:
        stalled_patch(stalled, upload, sent_bytes=MIB)
        offset = client.offset(upload)
        client.send(upload, offset, 1000)
        stalled.send(upload.content[MIB : 2 * MIB])
        stalled.settle()
        client.unchanged(upload, offset + 1000)
        stalled.send(upload.content[2 * MIB :])
        stalled.settle()
        client.holds(upload)


def test_stalled_client_is_not_told_success(client: TusClient) -> None:
    """A stalled client that goes on after it was taken over is never told that its bytes were taken.

    Source: tus 1.0.0, Core Protocol, PATCH (204 acknowledges success; 409 on another offset).
    """
    upload = client.new(SIZE_BYTES)
    with Wire(client.target, upload.url) as stalled:
        stalled_patch(stalled, upload, sent_bytes=MIB)
        offset = client.offset(upload)
        client.send(upload, offset, 1000)
        stalled.send(upload.content[MIB:])
        answer = stalled.answer()
        assert answer is None or answer.status >= 400 or answer.offset <= offset + 1000
    client.finish(upload)


def test_parallel_patches_never_corrupt(client: TusClient) -> None:
    """Six PATCHes of different lengths at one offset at once leave an upload that goes on to the right bytes.

    Whoever is not acknowledged may be refused or cut off; what is acknowledged has to be there.
    Source: tus 1.0.0, Core Protocol, PATCH (the offset MUST match; else 409 without modifying the upload).
    """
    upload = client.new(SIZE_BYTES)
    start = threading.Barrier(6)

    def race(size_bytes: int) -> int:
        with TusClient(client.target) as racer:
            start.wait()
            try:
                answer = racer.patch(upload, 0, size_bytes)
            except NoAnswer:
                return 0
            return offset_of(answer) if answer.status_code == 204 else 0

    with ThreadPoolExecutor(6) as pool:
        acknowledged = list(pool.map(race, [1, 1000, 70_000, MIB, 2 * MIB, 3 * MIB]))
    assert client.offset(upload) >= max(acknowledged), "bytes that were acknowledged are gone"
    client.finish(upload)


def test_parallel_clients_all_resume(client: TusClient) -> None:
    """Four clients that all try to finish one upload, each from the offset it is told, finish it once and right.

    Source: tus 1.0.0, Core Protocol, PATCH (the offset MUST match; else 409 without modifying the upload).
    """
    upload = client.new(2 * MIB)
    start = threading.Barrier(4)

    def resume(step_bytes: int) -> None:
        with TusClient(client.target) as racer:
            start.wait()
            for _ in range(20):
                with contextlib.suppress(NoAnswer):
                    offset = racer.offset(upload)
                    if offset == len(upload.content):
                        return
                    racer.patch(upload, offset, step_bytes)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(resume, [100_000, 150_001, 200_003, 300_007]))
    client.finish(upload)


def test_many_uploads_at_once(client: TusClient) -> None:
    """Eight uploads at once do not get into each other's way.

    Source: tus 1.0.0, Core Protocol (each upload is a resource of its own).
    """
    uploads = [client.new(MIB + number) for number in range(8)]

    def fill(upload: Upload) -> None:
        with TusClient(client.target) as filler:
            for offset in range(0, len(upload.content), 300_000):
                filler.send(upload, offset, min(300_000, len(upload.content) - offset))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, uploads))
    for upload in uploads:
        client.holds(upload)
