"""The receiver: bytes as they come over the wire, and connections that break, hang, lie, or come twice."""

import asyncio
import hashlib
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ingest.chunks as chunks
import ingest.receiving as receiving
from archive.kernel.errors import LiuhenError, StorageFull
from archive.kernel.ids import ObjectId, UploadId
from ingest.chunks import Checksum, Disconnected
from ingest.errors import (
    ChecksumMismatch,
    DigestMismatch,
    OffsetConflict,
    StagedBytesLost,
    TooLong,
    UploadGone,
    UploadTakenOver,
)
from ingest.receiving import Receiver
from ingest.staging import staged_path
from ingest.uploads import expire_uploads, terminate_upload, upload_state
from tests.support.archive_home import ArchiveHome, EnrolledDock
from tests.support.deployment import is_in_buckets

DATA = random.Random(7).randbytes(3_000_001)  # more than one block, and no round number


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def breaking(*pieces: bytes) -> AsyncIterator[bytes]:
    """A client that goes away after these pieces."""
    for piece in pieces:
        yield piece
    raise Disconnected


class Hanging:
    """A connection that sends some bytes and then nothing, and does not go away either."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.hangs = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        self.hangs.set()
        await asyncio.Event().wait()


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


class Desk:
    """A receiver of one process and one dock that sends to it."""

    def __init__(self, home: ArchiveHome, dock: EnrolledDock, executor: ThreadPoolExecutor) -> None:
        self.home, self.dock, self.executor = home, dock, executor
        self.receiver = Receiver(home.intake, executor)

    def begin(self, data: bytes = DATA, **fields: Any) -> UploadId:
        return self.home.begin(self.dock, data, **fields).id

    def load(self, upload_id: UploadId) -> Callable[[], Any]:
        return partial(upload_state, self.home.intake, upload_id, dock_id=self.dock.id)

    async def send(self, upload_id: UploadId, source: Any, at: int, checksum: Checksum | None = None) -> int:
        return await self.receiver.append(upload_id, self.load(upload_id), source, offset_bytes=at, checksum=checksum)

    async def settled(self, upload_id: UploadId) -> int:
        return int((await self.receiver.settled(upload_id, self.load(upload_id))).offset_bytes)

    def offset(self, upload_id: UploadId) -> int:
        return int(self.load(upload_id)().offset_bytes)

    def restart(self) -> None:
        """What a new process has: nothing in memory. The old one's files are closed by its end."""
        for held in list(self.receiver._open):
            self.receiver._forget(held)
        self.receiver = Receiver(self.home.intake, self.executor)

    def assert_arrived(self, upload_id: UploadId, data: bytes = DATA) -> None:
        upload = self.home.upload(upload_id)
        assert upload.state == "accepted"
        assert self.home.file_of(ObjectId(upload.object_id), "original/a.mp4").read_bytes() == data
        assert upload_id not in self.receiver._open
        self.home.sequence()
        self.home.assert_sound()


type_play = Callable[[Callable[[Desk], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(home: ArchiveHome, dock: EnrolledDock) -> type_play:
    """Run a scene in an event loop of its own, with a receiver of its own."""

    def run(scene: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
        with ThreadPoolExecutor(12) as executor:
            desk = Desk(home, dock, executor)
            try:
                asyncio.run(asyncio.wait_for(scene(desk), 240))
            finally:
                desk.restart()

    return run


def sha(name: str, data: bytes) -> Checksum:
    return Checksum(name, hashlib.new(name, data).digest())


def test_a_file_in_one_piece_in_many_and_byte_by_byte(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        assert await desk.send(upload_id, body(DATA), 0) == len(DATA)
        desk.assert_arrived(upload_id)
        data = DATA[:2000]
        upload_id = desk.begin(data)
        assert await desk.send(upload_id, body(*pieces(data, 1)), 0) == len(data)
        desk.assert_arrived(upload_id, data)

    play(scene)


@pytest.mark.parametrize("seed", range(3))
def test_any_cutting_into_requests_and_pieces_is_the_same_file(play: type_play, seed: int) -> None:
    chance = random.Random(seed)

    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        at = 0
        while at < len(DATA):
            chunk = DATA[at : at + chance.choice([1, 1000, 65_536, 1_000_000, 2_500_000])]
            cut = body(*pieces(chunk, chance.choice([1000, 65_536, 262_144])))
            checksum = chance.choice([None, sha("sha1", chunk), sha("sha256", chunk)])
            end = at + len(chunk)
            match chance.choice(["whole", "whole", "restart", "broken"]):
                case "restart":
                    desk.restart()
                case "broken" if checksum is None:
                    with pytest.raises(Disconnected):
                        await desk.send(upload_id, breaking(chunk[: len(chunk) // 2]), at)
                    at += len(chunk) // 2
                    assert await desk.settled(upload_id) == at
                    continue
            at = await desk.send(upload_id, cut, at, checksum)
            assert at == end
            assert at == len(DATA) or desk.offset(upload_id) == at
        desk.assert_arrived(upload_id)

    play(scene)


def test_a_chunk_with_another_checksum_is_dropped(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        await desk.send(upload_id, body(DATA[:1000]), 0, sha("sha256", DATA[:1000]))
        for name in ("sha1", "sha256"):
            with pytest.raises(ChecksumMismatch):
                await desk.send(upload_id, body(DATA[1000:]), 1000, sha(name, b"other"))
            assert await desk.settled(upload_id) == 1000
        assert await desk.send(upload_id, body(DATA[1000:]), 1000, sha("sha1", DATA[1000:])) == len(DATA)
        desk.assert_arrived(upload_id)

    play(scene)


def test_a_chunk_that_breaks_off_stays_unless_its_checksum_cannot_be_known(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        for at_once in (1, 100_000, 2_200_000):
            before = desk.offset(upload_id)
            with pytest.raises(Disconnected):
                await desk.send(upload_id, breaking(DATA[before : before + at_once]), before)
            assert desk.offset(upload_id) == before + at_once, "durable although nobody was answered"
        before = desk.offset(upload_id)
        with pytest.raises(Disconnected):
            await desk.send(upload_id, breaking(DATA[before : before + 5]), before, sha("sha1", DATA[before:]))
        assert desk.offset(upload_id) == before
        await desk.send(upload_id, body(DATA[before:]), before)
        desk.assert_arrived(upload_id)

    play(scene)


def test_a_body_that_is_too_long_is_dropped(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        for too_long in (body(DATA, b"x"), body(DATA + b"x"), body(*pieces(DATA * 2, 65_536))):
            with pytest.raises(TooLong):
                await desk.send(upload_id, too_long, 0)
            assert await desk.settled(upload_id) == 0
        await desk.send(upload_id, body(DATA[:-1]), 0)
        with pytest.raises(TooLong):
            await desk.send(upload_id, body(b"xy"), len(DATA) - 1)
        assert await desk.send(upload_id, body(DATA[-1:]), len(DATA) - 1) == len(DATA)
        desk.assert_arrived(upload_id)

    play(scene)


def test_another_offset_is_refused_and_the_right_one_is_told(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        await desk.send(upload_id, body(DATA[:10]), 0)
        for at in (0, 9, 11, len(DATA)):
            with pytest.raises(OffsetConflict) as refused:
                await desk.send(upload_id, body(b"x"), at)
            assert refused.value.facts["offset_bytes"] == 10
        assert await desk.send(upload_id, body(), 10) == 10
        await desk.send(upload_id, body(DATA[10:]), 10)
        assert await desk.send(upload_id, body(), len(DATA)) == len(DATA), "what is finished stays finished"
        desk.assert_arrived(upload_id)

    play(scene)


@pytest.mark.parametrize("sent", [0, 1, 70_000, 2_100_000])
def test_whoever_asks_last_takes_over_a_connection_that_hangs(play: type_play, sent: int) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        stuck = Hanging(DATA[:sent]) if sent else Hanging()
        first = asyncio.create_task(desk.send(upload_id, stuck, 0))
        await stuck.hangs.wait()
        assert await desk.settled(upload_id) == sent, "what arrived is kept"
        with pytest.raises(UploadTakenOver):
            await first
        stuck = Hanging(DATA[sent : sent + 10])
        second = asyncio.create_task(desk.send(upload_id, stuck, sent))
        await stuck.hangs.wait()
        with pytest.raises(OffsetConflict):
            await desk.send(upload_id, body(DATA[sent:]), sent)
        with pytest.raises(UploadTakenOver):
            await second
        await desk.send(upload_id, body(DATA[sent + 10 :]), sent + 10)
        desk.assert_arrived(upload_id)

    play(scene)


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_of_requests_for_one_upload_ends_in_the_file(play: type_play, seed: int) -> None:
    """Requests come at any moment, also while the one before is making its last bytes durable."""
    chance = random.Random(seed)

    async def client(desk: Desk, upload_id: UploadId) -> None:
        pause_s = 0.01
        while True:
            try:
                at = await desk.settled(upload_id)
                if at == len(DATA):
                    return
                end = min(len(DATA), at + chance.choice([1000, 400_000, 3_000_000]))
                source = chance.choice([body, breaking])(*pieces(DATA[at:end], 100_000))
                checksum = sha("sha256", DATA[at:end]) if chance.random() < 0.3 else None
                await desk.send(upload_id, source, at, checksum)
            except (UploadTakenOver, OffsetConflict, Disconnected):
                await asyncio.sleep(chance.random() * pause_s)
                pause_s = min(pause_s * 1.5, 2)  # as clients do, or all take over from each other for ever

    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        await asyncio.gather(*(client(desk, upload_id) for _ in range(5)))
        desk.assert_arrived(upload_id)

    play(scene)


def test_a_server_that_was_restarted_reads_what_is_there_again(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        await desk.send(upload_id, body(DATA[:2_500_000]), 0)
        desk.restart()
        with staged_path(desk.home.intake.staging, upload_id).open("ab") as staged:
            staged.write(b"bytes that a crash left behind the offset")
        await desk.send(upload_id, body(DATA[2_500_000:]), 2_500_000)
        desk.assert_arrived(upload_id)

    play(scene)


def test_an_upload_that_was_complete_when_the_server_died_is_finished(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.home.bring(desk.dock, DATA)
        await desk.receiver.finish(upload_id)
        await desk.receiver.finish(upload_id)
        desk.assert_arrived(upload_id)
        asked = desk.home.bring(desk.dock, DATA[:-1])
        assert await desk.settled(asked) == len(DATA) - 1, "also by a dock that only asks"
        desk.assert_arrived(asked, DATA[:-1])
        sent = desk.home.bring(desk.dock, DATA[:-2])
        assert await desk.send(sent, body(), len(DATA) - 2) == len(DATA) - 2
        desk.assert_arrived(sent, DATA[:-2])

    play(scene)


@pytest.mark.parametrize("damage", ["short", "gone"])
def test_staged_bytes_that_the_disk_lost_are_no_bytes(play: type_play, damage: str) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        await desk.send(upload_id, body(DATA[:1000]), 0)
        desk.restart()
        path = staged_path(desk.home.intake.staging, upload_id)
        if damage == "gone":
            path.unlink()
        else:
            with path.open("r+b") as staged:
                staged.truncate(999)
        with pytest.raises(StagedBytesLost):
            await desk.send(upload_id, body(DATA[1000:]), 1000)
        assert desk.home.count("evidence_item") == 0

    play(scene)


def test_staged_bytes_that_changed_are_seen_when_they_are_read_again(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        await desk.send(upload_id, body(DATA[:1000]), 0)
        desk.restart()
        with staged_path(desk.home.intake.staging, upload_id).open("r+b") as staged:
            staged.write(bytes([DATA[0] ^ 1]))
        with pytest.raises(DigestMismatch):
            await desk.send(upload_id, body(DATA[1000:]), 1000)
        assert desk.home.upload(upload_id).state == "quarantined"

    play(scene)


def test_other_bytes_than_the_manifest_says_go_to_quarantine(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin(said=DATA[:-1] + b"x")
        with pytest.raises(DigestMismatch):
            await desk.send(upload_id, body(DATA), 0)
        upload = desk.home.upload(upload_id)
        assert (upload.state, desk.offset(upload_id)) == ("quarantined", len(DATA))
        assert await desk.settled(upload_id) == len(DATA)
        assert (desk.home.raw / "quarantine" / str(upload_id) / "bytes").read_bytes() == DATA

    play(scene)


def test_a_full_disk_is_told_and_the_upload_goes_on_later(play: type_play, tmp_path: Path) -> None:
    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        path = staged_path(desk.home.intake.staging, upload_id)
        path.rename(tmp_path / "kept")
        path.symlink_to("/dev/full")
        with pytest.raises(StorageFull) as full:
            await desk.send(upload_id, body(DATA), 0)
        assert full.value.retryable
        assert desk.offset(upload_id) == 0
        path.unlink()
        (tmp_path / "kept").rename(path)
        await desk.send(upload_id, body(DATA), 0)
        desk.assert_arrived(upload_id)

    play(scene)


def test_a_request_that_is_cancelled_keeps_what_arrived(play: type_play) -> None:
    """Shutting down cancels requests: nobody took over, so the cancellation goes on."""

    async def scene(desk: Desk) -> None:
        upload_id = desk.begin()
        stuck = Hanging(*pieces(DATA[:2_300_000], 65_536))
        request = asyncio.create_task(desk.send(upload_id, stuck, 0))
        await stuck.hangs.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert desk.offset(upload_id) == 2_300_000
        await desk.send(upload_id, body(DATA[2_300_000:]), 2_300_000)
        desk.assert_arrived(upload_id)

    play(scene)


def test_an_upload_that_ends_while_it_is_fed_takes_nothing_more(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        for end in ("terminate", "expire"):
            upload_id = desk.begin()
            stuck = Hanging(DATA[:10])
            request = asyncio.create_task(desk.send(upload_id, stuck, 0))
            await stuck.hangs.wait()
            if end == "terminate":
                stop = partial(terminate_upload, desk.home.intake, upload_id, dock_id=desk.dock.id)
                await desk.receiver.abandon(upload_id, stop)
            else:
                desk.home.execute("UPDATE upload SET expires_at = created_at WHERE state = 'receiving'")
                assert await desk.receiver.run(expire_uploads, desk.home.intake) == [upload_id]
                await desk.receiver.abandon(upload_id, lambda: None)
            with pytest.raises(LiuhenError):
                await request
            with pytest.raises(UploadGone):
                await desk.send(upload_id, body(b"x"), 10)
            assert upload_id not in desk.receiver._open
        assert list(desk.home.intake.staging.iterdir()) == []

    play(scene)


def test_many_uploads_at_once_are_each_their_own_file(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        files = {desk.begin(data): data for number in range(16) for data in [bytes([number]) * 300_000]}
        ends = await asyncio.gather(
            *(desk.send(upload_id, body(*pieces(data, 50_000)), 0) for upload_id, data in files.items())
        )
        assert ends == [300_000] * 16
        for upload_id, data in files.items():
            desk.assert_arrived(upload_id, data)

    play(scene)


def test_one_recording_sent_many_times_at_once_is_one_item(play: type_play) -> None:
    async def scene(desk: Desk) -> None:
        uploads = [desk.begin() for _ in range(6)]
        await asyncio.gather(*(desk.send(upload_id, body(*pieces(DATA, 500_000)), 0) for upload_id in uploads))
        assert desk.home.count("evidence_item") == 1
        for upload_id in uploads:
            desk.assert_arrived(upload_id)

    play(scene)


def test_when_too_many_are_open_the_oldest_are_closed_and_still_go_on(
    play: type_play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "_MOST_OPEN", 2)

    async def scene(desk: Desk) -> None:
        uploads = {desk.begin(data): data for number in range(6) for data in [bytes([number]) * 1000]}
        for upload_id, data in uploads.items():
            await desk.send(upload_id, body(data[:500]), 0)
            assert len(desk.receiver._open) <= 2
        for upload_id, data in uploads.items():
            await desk.send(upload_id, body(data[500:]), 500)
            desk.assert_arrived(upload_id, data)

    play(scene)


@pytest.mark.parametrize("size", [1 << 20, 4 << 20, (4 << 20) + 1])
def test_what_is_synced_on_the_way_does_not_end_an_upload(
    play: type_play, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(chunks, "_DURABLE_EVERY_BYTES", 1 << 20)

    async def scene(desk: Desk) -> None:
        data = random.Random(size).randbytes(size)
        upload_id = desk.begin(data)
        assert await desk.send(upload_id, body(data), 0) == size
        desk.assert_arrived(upload_id, data)

    play(scene)


def test_memory_does_not_grow_with_the_file(play: type_play) -> None:
    # To a bucket a few parts are on their way at once; a file is many of them all the same.
    size, most = (192 << 20, 60 << 20) if is_in_buckets() else (48 << 20, 12 << 20)
    piece = bytes(256 * 1024)

    async def fresh() -> AsyncIterator[bytes]:
        for _ in range(size // len(piece)):
            yield bytes(bytearray(piece))  # a new object each time, as from the wire

    async def scene(desk: Desk) -> None:
        await desk.send(desk.begin(piece), body(piece), 0)  # what is loaded once is not counted
        data = bytes(size)
        upload_id = desk.begin(data)
        del data
        tracemalloc.start()
        try:
            await desk.send(upload_id, fresh(), 0)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < most

    play(scene)
