"""Two web processes at one upload: one outlives its supervisor by some seconds, the next has begun already."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from archive.kernel.ids import new_uuid7
from ingest.errors import OffsetConflict, UploadElsewhere, UploadTakenOver
from ingest.receiving import Receiver
from ingest.staged_lock import StagedLock
from ingest.uploads import complete_uploads, expire_uploads, sweep_staging, terminate_upload, upload_state
from tests.support.archive_home import ArchiveHome, EnrolledDock

DATA = bytes(range(256)) * 4096


def test_only_one_process_writes_to_an_upload(home: ArchiveHome, dock: EnrolledDock) -> None:
    begun = home.begin(dock, DATA)
    load = partial(upload_state, home.intake, begun.id, dock_id=dock.id)

    async def first_body(may_end: asyncio.Event) -> AsyncIterator[bytes]:
        yield DATA
        await may_end.wait()

    async def second_body() -> AsyncIterator[bytes]:
        yield DATA[:1000]

    async def both() -> None:
        with ThreadPoolExecutor(8) as threads:
            first, second = Receiver(home.intake, threads), Receiver(home.intake, threads)
            may_end = asyncio.Event()
            feeding = asyncio.create_task(first.append(begun.id, load, first_body(may_end), offset_bytes=0))
            await asyncio.sleep(0.2)
            # Whoever asks last takes over, and finds what the first has made durable: here it was everything.
            with pytest.raises(OffsetConflict) as caught:
                await second.append(begun.id, load, second_body(), offset_bytes=0)
            assert caught.value.facts["offset_bytes"] == len(DATA)
            with pytest.raises(UploadTakenOver):
                await feeding
            assert await second.append(begun.id, load, second_body(), offset_bytes=len(DATA)) == len(DATA)

    asyncio.run(both())
    assert home.count("preserved_object") == 1
    home.assert_sound()


def test_a_state_that_was_read_before_the_other_process_ended_is_not_believed(
    home: ArchiveHome, dock: EnrolledDock
) -> None:
    begun = home.begin(dock, DATA)
    stale = upload_state(home.intake, begun.id, dock_id=dock.id)
    states = iter([stale])

    def load_stale_first() -> object:
        return next(states, None) or upload_state(home.intake, begun.id, dock_id=dock.id)

    home.stage(begun.id, DATA[:5000])  # meanwhile the other process has made these durable

    async def body() -> AsyncIterator[bytes]:
        yield DATA

    async def append() -> int:
        with ThreadPoolExecutor(8) as threads:
            return await Receiver(home.intake, threads).append(begun.id, load_stale_first, body(), offset_bytes=0)  # type: ignore[arg-type]

    with pytest.raises(OffsetConflict) as caught:
        asyncio.run(append())
    assert caught.value.facts["offset_bytes"] == 5000
    home.assert_sound()


def test_what_lies_on_another_host_is_neither_lost_nor_finished_here(home: ArchiveHome, dock: EnrolledDock) -> None:
    """The bytes of an upload are on the disk of the host that began it; a second host shares only the database."""
    begun = home.begin(dock, DATA)
    home.stage(begun.id, DATA[:5000])
    complete = home.bring(dock, DATA[:-1])
    other = replace(home.intake, place="elsewhere", staging=home.intake.staging / "none")
    load = partial(upload_state, other, begun.id, dock_id=dock.id)

    async def body() -> AsyncIterator[bytes]:
        yield DATA[5000:]

    async def at_the_other() -> None:
        with ThreadPoolExecutor(8) as threads:
            receiver = Receiver(other, threads)
            for refused in (
                receiver.append(begun.id, load, body(), offset_bytes=5000),
                receiver.settled(begun.id, load),
            ):
                with pytest.raises(UploadElsewhere):
                    await refused

    asyncio.run(at_the_other())
    assert complete_uploads(other) == []
    assert complete_uploads(home.intake) == [complete]
    home.execute("UPDATE upload SET place = 'elsewhere' WHERE state = 'receiving'")
    assert [fault.code for fault in home.faults()] == ["fsck.staged_elsewhere"], "it says that it did not look"


@pytest.mark.parametrize("end", ["terminate", "expire"])
def test_an_upload_that_another_process_ends_is_not_fed_any_longer(
    home: ArchiveHome, dock: EnrolledDock, end: str
) -> None:
    begun = home.begin(dock, DATA)
    load = partial(upload_state, home.intake, begun.id, dock_id=dock.id)

    async def hanging(hangs: asyncio.Event) -> AsyncIterator[bytes]:
        yield DATA[:1000]
        hangs.set()
        await asyncio.Event().wait()

    async def both() -> None:
        with ThreadPoolExecutor(8) as threads:
            first, second, hangs = Receiver(home.intake, threads), Receiver(home.intake, threads), asyncio.Event()
            feeding = asyncio.create_task(first.append(begun.id, load, hanging(hangs), offset_bytes=0))
            await hangs.wait()
            if end == "terminate":
                await second.abandon(begun.id, partial(terminate_upload, home.intake, begun.id, dock_id=dock.id))
            else:
                home.execute("UPDATE upload SET expires_at = created_at WHERE state = 'receiving'")
                assert await second.run(expire_uploads, home.intake) == [begun.id]
            with pytest.raises((UploadTakenOver, OffsetConflict)):
                await feeding

    asyncio.run(asyncio.wait_for(both(), 60))
    assert list(home.intake.staging.iterdir()) == []


def test_no_sweep_takes_what_somebody_feeds(home: ArchiveHome) -> None:
    """A file without a row, old and slow: an object of an Axis system that is still on its way."""
    path = home.intake.staging / str(new_uuid7())
    path.write_bytes(b"x")
    os.utime(path, (1, 1))
    lock = StagedLock(path)
    assert lock.begin_alone()
    assert sweep_staging(home.intake) == 0
    lock.close()
    assert sweep_staging(home.intake) == 1
    assert not path.exists()
