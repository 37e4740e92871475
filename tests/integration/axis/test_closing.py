"""The Axis door in one process with its test: full disks, changed bytes, crashes between the steps, on both databases."""

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import IntegrityError

from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem, ItemLook
from archive.jobs.queue import LONG, PROMPT
from archive.ledger.entries import OPERATOR
from archive.web.app import create_app
from archive.worker.loop import Worker
from ingest.axis.closing import begin_closing, closing_progress, end_closing
from ingest.axis.systems import AxisSystem, enrol_system
from ingest.uploads import complete_uploads, sweep_staging
from tests.integration.axis.conftest import COMPLETE, Film, headers
from tests.support import footage
from tests.support.archive_home import ArchiveHome, doom_commits, spare_commits

CLIP = "20260302_013112_4711.mp4"
Scene = Callable[["Door"], Coroutine[Any, Any, None]]


class Door:
    """A system that talks to the application in this process."""

    def __init__(self, home: ArchiveHome, http: httpx.AsyncClient, name: str = "bws") -> None:
        self.home, self.http, self.film, self.name = home, http, Film(), name
        self.dock_id, self.key = enrol_system(home.services.doors, name=name, by=OPERATOR)
        self.base = ""

    async def sign_in(self) -> None:
        answer = await self.http.get("/axis/auth/v1.0", headers={"X-Auth-User": self.name, "X-Auth-Key": self.key})
        assert answer.status_code == 200
        self.http.headers["X-Auth-Token"] = answer.headers["x-auth-token"]
        self.base = answer.headers["x-storage-url"]

    async def ask(self, method: str, *path: str, **given: Any) -> httpx.Response:
        return await self.http.request(method, "/".join((self.base, self.film.name, *path)), **given)

    async def begin(self) -> None:
        assert (await self.ask("PUT", headers=self.film.meta)).status_code == 201

    @property
    def system(self) -> AxisSystem:
        return AxisSystem(self.dock_id, "bws", "key:" + self.key.split("_")[1])


@pytest.fixture
def play(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], None]:
    """Run a scene against the application, with a sequencer beside it and a client that waits."""
    monkeypatch.setattr("archive.web.api.axis._CLOSING_WAIT_S", 50.0)

    def run(scene: Scene) -> None:
        async def played() -> None:
            app = create_app(home.services)
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://archive.example", timeout=60) as http,
                sequencing(home),
            ):
                door = Door(home, http)
                await door.sign_in()
                await scene(door)

        asyncio.run(asyncio.wait_for(played(), 60))

    return run


@asynccontextmanager
async def sequencing(home: ArchiveHome) -> AsyncIterator[None]:
    async def forever() -> None:
        while True:
            await asyncio.to_thread(home.sequence)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def changed(target: Any, name: str, value: object) -> Iterator[None]:
    """Have another value in a frozen setting for a block."""
    before = getattr(target, name)
    object.__setattr__(target, name, value)
    try:
        yield
    finally:
        object.__setattr__(target, name, before)


def code(answer: httpx.Response) -> str:
    found: str = json.loads(answer.content)["code"]
    return found


def test_a_full_disk_is_507_and_the_same_request_succeeds_later(
    home: ArchiveHome,
    play: Callable[[Scene], None],
) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        with changed(home.intake, "reserve_bytes", 1 << 60):
            answer = await door.ask("PUT", CLIP, content=b"x" * 1000)
            assert (answer.status_code, code(answer)) == (507, "store.full")
            assert list(home.intake.staging.iterdir()) == []
        assert (await door.ask("PUT", CLIP, content=b"x" * 1000)).status_code == 201
        assert (await door.ask("POST", headers=COMPLETE)).status_code == 204
        home.assert_sound()

    play(scene)


def test_too_many_transfers_at_once_are_put_off(play: Callable[[Scene], None]) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        let_go, under_way = asyncio.Event(), asyncio.Semaphore(0)

        async def slow() -> AsyncIterator[bytes]:
            yield b"a"
            under_way.release()  # the archive asks for more
            await let_go.wait()

        waiting = [asyncio.create_task(door.ask("PUT", f"a{n}.mp4", content=slow())) for n in range(16)]
        for _ in waiting:
            await under_way.acquire()
        answer = await door.ask("PUT", CLIP, content=b"one too many")
        assert (answer.status_code, code(answer)) == (503, "axis.busy")
        assert answer.headers["retry-after"]
        let_go.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {201}
        assert (await door.ask("PUT", CLIP, content=b"now there is room")).status_code == 201

    play(scene)


def test_complete_is_not_answered_before_the_log_has_it(
    home: ArchiveHome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a sequencer nothing is under a checkpoint: 503, until one comes."""
    monkeypatch.setattr("archive.web.api.axis._CLOSING_WAIT_S", 0.2)

    async def played() -> None:
        app = create_app(home.services)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://archive.example") as http,
        ):
            door = Door(home, http)
            await door.sign_in()
            await door.begin()
            await door.ask("PUT", CLIP, content=b"clip")
            answer = await door.ask("POST", headers=COMPLETE)
            assert (answer.status_code, code(answer)) == (503, "axis.recording_closing")
            assert (await door.ask("HEAD")).headers["x-container-meta-status"] == "Transferring"
            late = await door.ask("PUT", "late.mp4", content=b"late")
            assert (late.status_code, code(late)) == (503, "axis.recording_closing")
            home.sequence()
            assert (await door.ask("POST", headers=COMPLETE)).status_code == 204
            assert (await door.ask("HEAD")).headers["x-container-meta-status"] == "Complete"
            home.assert_sound()

    asyncio.run(asyncio.wait_for(played(), 60))


def test_bytes_that_changed_while_they_waited_are_no_success(
    home: ArchiveHome,
    play: Callable[[Scene], None],
) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        await door.ask("PUT", CLIP, content=b"x" * 1000)
        (staged,) = home.intake.staging.iterdir()
        staged.write_bytes(b"y" * 1000)
        for _ in range(2):
            answer = await door.ask("POST", headers=COMPLETE)
            assert (answer.status_code, code(answer)) == (400, "axis.object_quarantined")
        assert home.count("quarantine_item") == 1
        home.assert_sound()

    play(scene)


def test_a_crash_after_any_step_is_finished_by_repeating(
    home: ArchiveHome,
    play: Callable[[Scene], None],
) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        await door.ask("PUT", CLIP, content=b"clip")
        await door.ask("PUT", "20260302_013142_4711.mp4", content=b"other clip")
        doors, system, name = home.services.doors, door.system, door.film.name
        doom_commits(home.database, "upload")
        with pytest.raises(IntegrityError):
            begin_closing(home.intake, doors, system, name)
        spare_commits(home.database, "upload")
        assert home.count("upload") == 0
        begin_closing(home.intake, doors, system, name)
        begin_closing(home.intake, doors, system, name)
        assert home.count("upload") == 2
        # A restart finds them, whether the system asks again or not.
        assert len(complete_uploads(home.intake)) == 2
        assert sweep_staging(home.intake) == 0
        more = await door.ask("POST", headers=COMPLETE)
        assert (more.status_code, code(more)) == (503, "axis.recording_closing"), "it says more than was closed with"
        assert (await door.ask("POST", headers=headers("Container", Status="Complete"))).status_code == 204
        end_closing(home.intake, system, name)
        assert closing_progress(home.intake, system, name).is_durable
        assert home.count("evidence_item") == 2
        home.assert_sound()

    play(scene)


def test_a_row_that_is_not_written_leaves_the_object_untaken(
    home: ArchiveHome,
    play: Callable[[Scene], None],
) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        doom_commits(home.database, "axis_object")
        answer = await door.ask("PUT", CLIP, content=b"clip")
        assert answer.status_code >= 500
        spare_commits(home.database, "axis_object")
        assert home.count("axis_object") == 0
        assert list(home.intake.staging.iterdir()) == []
        assert (await door.ask("PUT", CLIP, content=b"clip")).status_code == 201

    play(scene)


def test_what_waits_for_its_end_is_not_swept_away_and_is_missed_when_it_is_gone(
    home: ArchiveHome,
    play: Callable[[Scene], None],
) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        await door.ask("PUT", CLIP, content=b"clip")
        (staged,) = home.intake.staging.iterdir()
        os.utime(staged, (0, 0))
        assert sweep_staging(home.intake) == 0
        home.assert_sound()
        staged.unlink()
        assert [fault.code for fault in home.faults()] == ["fsck.staged_bytes_lost"]
        assert (await door.ask("PUT", CLIP, content=b"clip")).status_code == 201
        home.assert_sound()

    play(scene)


def _committed(home: ArchiveHome) -> None:
    while home.count("axis_object") == 0:
        time.sleep(0.01)


def test_a_request_that_is_cut_off_at_its_commit_takes_no_bytes_away(
    home: ArchiveHome, play: Callable[[Scene], None]
) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        loop, cut_off = asyncio.get_running_loop(), threading.Event()

        def cut() -> None:
            asked.cancel()
            cut_off.set()

        def at_commit(connection: Connection) -> None:
            if loop_thread == threading.get_ident() or cut_off.is_set():
                return
            if connection.exec_driver_sql(
                "SELECT count(*) FROM axis_object"
            ).scalar_one():  # its own, and no other commit
                loop.call_soon_threadsafe(cut)
                cut_off.wait(10)

        loop_thread = threading.get_ident()
        event.listen(home.database.engine, "commit", at_commit)
        try:
            asked = asyncio.create_task(door.ask("PUT", CLIP, content=b"clip"))
            with pytest.raises(asyncio.CancelledError):
                await asked
        finally:
            event.remove(home.database.engine, "commit", at_commit)
        assert cut_off.is_set()
        await asyncio.to_thread(_committed, home)  # the commit that was waited at goes on beside us
        assert home.count("axis_object") == 1
        assert (await door.ask("PUT", CLIP, content=b"clip")).status_code == 201
        assert (await door.ask("POST", headers=COMPLETE)).status_code == 204
        home.assert_sound()

    play(scene)


def test_a_recording_that_has_ended_keeps_its_bytes_however_they_come_again(
    home: ArchiveHome, play: Callable[[Scene], None]
) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        yield b"seen"

    async def scene(door: Door) -> None:
        await door.begin()
        assert (await door.ask("PUT", "bookmark_1_1", content=in_pieces())).status_code == 201
        begin_closing(home.intake, home.services.doors, door.system, door.film.name)
        assert (await door.ask("PUT", "bookmark_1_1", content=b"seen")).status_code == 201
        assert (await door.ask("POST", headers=headers("Container", Status="Complete"))).status_code == 204
        assert home.count("evidence_item") == 1
        home.assert_sound()

    play(scene)


def test_what_waits_for_one_system_is_bounded(home: ArchiveHome, play: Callable[[Scene], None]) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    async def scene(door: Door) -> None:
        await door.begin()
        with changed(home.intake, "axis_waiting_bytes", 60_000):
            assert (await door.ask("PUT", CLIP, content=b"x" * 40_000)).status_code == 201
            for content in (b"x" * 40_000, in_pieces()):
                answer = await door.ask("PUT", "other.mp4", content=content)
                assert (answer.status_code, code(answer)) == (507, "store.full")
                assert len(list(home.intake.staging.iterdir())) == 1
            assert (await door.ask("PUT", CLIP, content=b"y" * 40_000)).status_code == 201, "in place of itself"
            assert (await door.ask("PUT", "bookmark_1_1", content=b"a")).status_code == 201
            answer = await door.ask("PUT", "bookmark_1_2", content=b"")
            assert (answer.status_code, code(answer)) == (507, "store.full"), "rows cost room too"
            assert (await door.ask("POST", headers=COMPLETE)).status_code == 204
            door.film = Film()
            await door.begin()
            assert (await door.ask("PUT", CLIP, content=b"z" * 40_000)).status_code == 201
        home.assert_sound()

    play(scene)


def test_a_transfer_that_stands_still_is_ended(
    home: ArchiveHome, play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archive.web.api.axis._SILENCE_S", 0.2)

    async def silent() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async def scene(door: Door) -> None:
        await door.begin()
        answer = await door.ask("PUT", CLIP, content=silent())
        assert (answer.status_code, code(answer)) == (503, "service.unavailable")
        assert list(home.intake.staging.iterdir()) == []

    play(scene)


def test_a_slow_system_leaves_room_for_another(home: ArchiveHome, play: Callable[[Scene], None]) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        let_go, begun = asyncio.Event(), asyncio.Barrier(17)

        async def slow() -> AsyncIterator[bytes]:
            yield b"a"
            await begun.wait()
            await let_go.wait()

        waiting = [asyncio.create_task(door.ask("PUT", f"a{n}.mp4", content=slow())) for n in range(16)]
        await begun.wait()
        async with httpx.AsyncClient(transport=door.http._transport, base_url="http://archive.example") as http:
            other = Door(home, http, name="other")
            await other.sign_in()
            await other.begin()
            assert (await other.ask("PUT", CLIP, content=b"not held up")).status_code == 201
        let_go.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {201}

    play(scene)


def test_names_and_numbers_that_no_database_knows_are_refused(play: Callable[[Scene], None]) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        for path in ("%00", f"{door.film.name}/a%00b", "?marker=%00", "?prefix=%00", "?limit=" + "9" * 5000):
            for method in ("GET", "HEAD", "PUT", "POST"):
                if path[0] == "?" and method != "GET":
                    continue
                answer = await door.http.request(method, f"{door.base}/{path}")
                assert answer.status_code == 400, (method, path[:20], answer.status_code)

    play(scene)


def test_what_points_at_other_objects_is_not_taken_for_bytes(play: Callable[[Scene], None]) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        pointing = [
            await door.ask("PUT", CLIP, params={"multipart-manifest": "put"}, content=b'[{"path": "c/1"}]'),
            await door.ask("PUT", CLIP, headers={"X-Object-Manifest": "c/1"}, content=b"x"),
            await door.ask("PUT", CLIP, headers={"X-Copy-From": "/c/1"}, content=b"x"),
        ]
        assert {answer.status_code for answer in pointing} == {400}
        assert door.home.count("axis_object") == 0

    play(scene)


def test_marks_of_any_bytes_and_names_as_long_as_can_be_do_not_hold_a_recording_up(
    home: ArchiveHome, play: Callable[[Scene], None]
) -> None:
    """Whatever may be said fits into the manifests, where a quotation mark takes two bytes."""

    async def scene(door: Door) -> None:
        door.film.name = '"' * 256
        said = headers("Container", UserID='"' * 3000)
        assert (await door.ask("PUT", headers=said)).status_code == 201
        said = headers("Object", StartTime="2026-03-02T01:31:13Z", Model='"' * 3000)
        for ending in (".mp4", ".key"):
            path = '"' * 1020 + ending
            assert (await door.ask("PUT", path, content=ending.encode(), headers=said)).status_code == 201
        for number, marked in enumerate((b"a\0b", b"\xff\xfe", "\u202e\u2028".encode(), b"=1+1")):
            assert (await door.ask("PUT", f"bookmark_1_{number}", content=marked, headers=said)).status_code == 201
        assert (await door.ask("POST", headers=headers("Container", Status="Complete"))).status_code == 204
        assert home.count("evidence_item") == 3
        home.assert_sound()

    play(scene)


def test_a_recording_of_bookmarks_alone_is_kept_too(
    home: ArchiveHome,
    play: Callable[[Scene], None],
) -> None:
    async def scene(door: Door) -> None:
        await door.begin()
        said = headers("Object", CategoryName="巡查")
        assert (await door.ask("PUT", "bookmark_1_1", content="没有画面".encode(), headers=said)).status_code == 201
        assert (await door.ask("POST", headers=COMPLETE)).status_code == 204
        assert home.count("evidence_item") == 1
        home.assert_sound()

    play(scene)


def test_trail_and_bookmarks_are_found_in_the_clip(
    home: ArchiveHome, play: Callable[[Scene], None], tmp_path: Path
) -> None:
    clip = footage.make_clip(tmp_path / "a.mp4", seconds=2).read_bytes()
    entries = [
        {"LocationWKT": f"POINT(102.71{second} 25.04)", "SecondsFromStart": second, "Timestamp": at}
        for second, at in enumerate(["2026-03-02T01:31:12Z", "2026-03-02T01:31:13Z", "2026-03-02T01:40:00Z"])
    ]

    async def scene(door: Door) -> None:
        await door.begin()
        told = headers("Object", StartTimeISO="2026-03-02T01:31:12Z", StopTimeISO="2026-03-02T01:31:14Z")
        await door.ask("PUT", CLIP, content=clip, headers=told)
        await door.ask("PUT", door.film.trail_name, content=json.dumps({"CoordinateEntries": entries}).encode())
        said = headers("Object", StartTime="2026-03-02T01:31:13Z", CategoryName="占道经营")
        await door.ask("PUT", "bookmark_20260302T013113Z_1", content=b"", headers=said)
        encrypted = b"\x93\x01" * 3000
        await door.ask("PUT", "20260302_013142_4711.mp4", content=encrypted)
        await door.ask("PUT", "20260302_013142_4711.key", content=b'{"EncryptedKey": "x"}')
        assert (await door.ask("POST", headers=COMPLETE)).status_code == 204

    play(scene)
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([PROMPT, LONG]):
        pass
    home.sequence()
    with home.database.read() as tx:
        items = {
            original.name: (item, tx.get(ItemLook, (item.object_id, "track")))
            for item, original in tx.execute(
                select(EvidenceItem, PreservedObject).join(
                    PreservedObject, PreservedObject.id == EvidenceItem.object_id
                )
            )
        }
    item, look = items[CLIP]
    assert item.play_state == "playable"
    assert look is not None
    assert [point[:3] for point in look.found["points"]] == [
        [0, 250400000, 1027100000],
        [1000, 250400000, 1027110000],
    ]
    assert look.found["points_from"] == f"axis.{_trail_name(items)}"
    (bookmark,) = look.found["bookmarks"]
    assert (bookmark["at_ms"], bookmark["label"]) == (1000, "占道经营")
    item, _ = items["20260302_013142_4711.mp4"]
    assert (item.play_state, item.play_reason) == ("unplayable", "media.encrypted")
    home.assert_sound()


def _trail_name(items: Mapping[str, object]) -> str:
    return next(name for name in items if name.endswith("_gpstrail.json"))
