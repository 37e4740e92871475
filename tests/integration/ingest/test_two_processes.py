"""Two web processes at one upload: one outlives its supervisor by some seconds, the next has begun already."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from ingest.errors import OffsetConflict, UploadTakenOver
from ingest.receiving import Receiver
from ingest.uploads import upload_state
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
