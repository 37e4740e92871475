"""What one dock may send, and a queue that is long enough: asked to come later, and counted by whoever shares the rows."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import update

from archive.kernel.ids import UploadId, parse_uuid
from archive.ledger.entries import OPERATOR
from archive.web.app import create_app
from ingest.docks import set_dock_limits
from ingest.models import Upload
from ingest.pressure import note_pace
from ingest.uploads import terminate_upload
from tests.integration.ingest.test_api import DATA, Door
from tests.support.archive_home import ArchiveHome, EnrolledDock

Scene = Callable[[Door], Coroutine[Any, Any, None]]


def _play(home: ArchiveHome, scene: Scene, **intake: Any) -> None:
    """Run a scene against an application without its sweep, so that what waits goes on waiting."""

    async def played() -> None:
        app = create_app(replace(home.services, intake=replace(home.intake, **intake)))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://archive.example") as http:
            await scene(Door(home, http))

    asyncio.run(asyncio.wait_for(played(), 60))


def _limit(home: ArchiveHome, dock: EnrolledDock, **limits: int) -> None:
    given = {"bytes_per_day": None, "bytes_per_s": None, "uploads": None, **limits}
    set_dock_limits(home.database, dock.id, **given, by=OPERATOR, at=home.clock.now())  # type: ignore[arg-type]


def _asked_to_wait(answer: httpx.Response, status: int, code: str) -> int:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return int(answer.headers["retry-after"])


def test_what_one_dock_may_begin_in_a_day_and_have_under_way_at_once(home: ArchiveHome, dock: EnrolledDock) -> None:
    other = home.dock("Dock 2")
    _limit(home, dock, bytes_per_day=len(DATA) * 2 + 10, uploads=2)

    async def scene(door: Door) -> None:
        first = await door.create(dock, DATA)
        await door.create(dock, DATA[::-1], "b.mp4")
        _asked_to_wait(await door.create(dock, b"third", "c.mp4"), 429, "ingest.dock_uploads")
        assert (await door.patch(dock, first.headers["location"], DATA)).status_code == 204
        wait_s = _asked_to_wait(await door.create(dock, b"more than ten bytes", "c.mp4"), 429, "ingest.dock_quota")
        assert 1 <= wait_s <= 3600
        assert (await door.create(dock, b"ten bytes.", "c.mp4")).status_code == 201
        assert (await door.create(other, DATA, "d.mp4")).status_code == 201, "each dock by itself"
        home.clock.step(timedelta(hours=25))
        assert (await door.create(dock, DATA[1:], "e.mp4")).status_code == 201, (
            "the day has gone by, and they lie still"
        )

    _play(home, scene)
    assert home.count("upload") == 5, "what was refused left nothing"
    assert len(list(home.intake.staging.iterdir())) == 4


def test_an_upload_that_was_ended_counts_for_what_was_sent(home: ArchiveHome, dock: EnrolledDock) -> None:
    _limit(home, dock, bytes_per_day=len(DATA) + 2)

    async def scene(door: Door) -> None:
        upload_id = UploadId(parse_uuid((await door.create(dock, DATA)).headers["location"].rpartition("/")[2]))
        _asked_to_wait(await door.create(dock, DATA[::-1]), 429, "ingest.dock_quota")
        with home.database.begin() as tx:
            tx.execute(update(Upload).values(offset_bytes=2))
        terminate_upload(home.intake, upload_id, dock_id=dock.id)
        assert (await door.create(dock, DATA[::-1])).status_code == 201

    _play(home, scene)


def test_a_dock_that_is_ahead_of_its_rate_waits_as_long_as_that_takes(home: ArchiveHome, dock: EnrolledDock) -> None:
    _limit(home, dock, bytes_per_s=1000)  # DATA is seven seconds' worth

    async def scene(door: Door) -> None:
        first, second = await door.create(dock), await door.create(dock, DATA[::-1], "b.mp4")
        assert (await door.patch(dock, first.headers["location"], DATA)).status_code == 204
        path = second.headers["location"]
        wait_s = _asked_to_wait(await door.patch(dock, path, DATA[::-1]), 429, "ingest.dock_pace")
        assert 3 <= wait_s <= 5
        home.clock.step(timedelta(seconds=wait_s))
        assert (await door.patch(dock, path, DATA[::-1])).status_code == 204

    _play(home, scene)
    with home.database.begin() as tx:
        # What another process counts is on the same account.
        note_pace(tx, dock.id, size_bytes=3_600_000, per_s=1000, at=home.clock.now())

    async def later(door: Door) -> None:
        third = await door.create(dock, DATA[1:], "c.mp4")
        assert 3000 < _asked_to_wait(third, 429, "ingest.dock_pace") <= 3600
        home.clock.step(timedelta(hours=2))
        assert (await door.create(dock, DATA[1:], "c.mp4")).status_code == 201

    _play(home, later)


def test_nothing_new_is_begun_while_enough_waits_to_be_taken_in(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.bring(dock, b"complete, and not taken in yet")
    home.deliver(dock, b"taken in, with a job that is due")

    async def scene(door: Door) -> None:
        wait_s = _asked_to_wait(await door.create(dock), 503, "ingest.intake_full")
        assert wait_s >= 1

    _play(home, scene, most_waiting_uploads=1)
    _play(home, scene, most_due_jobs=1)

    async def open_again(door: Door) -> None:
        assert (await door.create(dock)).status_code == 201

    _play(home, open_again, most_waiting_uploads=2, most_due_jobs=2)
