"""What docks announce: who sees it and may ask for it, and what becomes of it; and what the forecasts make of it."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from archive.access.policy import Role
from archive.db.base import insert_row
from archive.db.sight import FIRST_UNIT, Sight
from archive.evidence.models import EvidenceItem
from archive.jobs.models import Job
from archive.jobs.queue import PROMPT, claim_job, finish_job
from archive.kernel.ids import UnitId
from archive.ledger.entries import OPERATOR
from archive.notify.models import Notice
from archive.organisation.units import record_unit
from ingest.capacity import Capacity, capacity, sample_room
from ingest.models import RoomSample, WaitingRecording
from ingest.staging import free_bytes
from ingest.waiting import (
    AlreadyWished,
    Announced,
    WaitingNotFound,
    announce,
    forget_left,
    waiting_rows,
    wish,
    wished_keys,
)
from tests.support.archive_home import ArchiveHome, EnrolledDock

_DATA = b"a recording that waited"


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _announce(home: ArchiveHome, dock: EnrolledDock, *names: str, is_first: bool = True) -> list[str]:
    told = [Announced(key=_key(name), name=name, size_bytes=len(_DATA)) for name in names]
    return list(announce(home.database, dock.id, told, is_first=is_first, at=home.clock.now()))


def _rows(home: ArchiveHome) -> dict[str, WaitingRecording]:
    with home.database.read() as tx:
        return {row.name: row for row in tx.scalars(select(WaitingRecording))}


def _here(home: ArchiveHome) -> set[str]:
    return {name for name, row in _rows(home).items() if row.left_at is None}


def test_an_announcement_replaces_the_one_before_and_parts_add_to_it(home: ArchiveHome, dock: EnrolledDock) -> None:
    other = home.dock("Dock 2")
    _announce(home, other, "b.mp4")
    _announce(home, dock, "a.mp4", "c.mp4")
    _announce(home, dock, "d.mp4", is_first=False)
    assert _here(home) == {"a.mp4", "b.mp4", "c.mp4", "d.mp4"}
    _announce(home, dock, "c.mp4")
    assert _here(home) == {"b.mp4", "c.mp4"}
    _announce(home, dock)
    assert _here(home) == {"b.mp4"}
    home.clock.step(timedelta(days=31))
    forget_left(home.database, at=home.clock.now())
    assert set(_rows(home)) == {"b.mp4"}


def test_only_who_sees_the_dock_may_ask_and_hears_when_it_is_here(home: ArchiveHome) -> None:
    unit = record_unit(
        home.database, parent_id=UnitId(FIRST_UNIT), code="N", name="North", by=OPERATOR, at=home.clock.now()
    )
    aside = record_unit(
        home.database, parent_id=UnitId(FIRST_UNIT), code="S", name="South", by=OPERATOR, at=home.clock.now()
    )
    dock = home.dock(unit_id=unit)
    head = home.person(Role.UNIT_HEAD, "head", unit_id=unit)
    above = home.person(Role.UNIT_HEAD, "above", unit_id=FIRST_UNIT)
    stranger = home.person(Role.UNIT_HEAD, "stranger", unit_id=aside)
    assert _announce(home, dock, "a.mp4", "b.mp4") == []
    rows = _rows(home)
    with home.database.read() as tx:
        assert [row.waiting.name for row in waiting_rows(tx, stranger.sight)] == []
        assert {row.waiting.name for row in waiting_rows(tx, above.sight)} == {"a.mp4", "b.mp4"}
    with pytest.raises(WaitingNotFound):
        wish(home.database, rows["b.mp4"].id, by=stranger, at=home.clock.now())
    wish(home.database, rows["b.mp4"].id, by=above, at=home.clock.now())
    with pytest.raises(AlreadyWished):
        wish(home.database, rows["b.mp4"].id, by=head, at=home.clock.now())
    with home.database.read() as tx:
        assert list(wished_keys(tx, dock.id)) == [_key("b.mp4")]
        assert waiting_rows(tx, head.sight)[0].waiting.name == "b.mp4"
        told = {(notice.account_id, notice.kind) for notice in tx.scalars(select(Notice))}
    assert told == {(head.account_id, "recording.wished")}, "the head of the dock's unit, and not who asked"
    assert _announce(home, dock, "a.mp4", "b.mp4") == [_key("b.mp4")], "a wish outlives the next announcement"

    object_id = home.deliver(dock, _DATA, "b.mp4", announced=_key("b.mp4"))
    assert _here(home) == {"a.mp4"}
    with home.database.read() as tx:
        notices = tx.scalars(select(Notice).where(Notice.kind == "recording.arrived")).all()
    (arrived,) = notices
    assert (arrived.account_id, arrived.link) == (above.account_id, f"/items/{object_id}")
    home.assert_sound()


def test_forecasts_rest_on_what_was_measured(home: ArchiveHome, dock: EnrolledDock) -> None:
    places = {"store": home.raw / "store"}

    def found() -> Capacity:
        with home.database.seen_by(Sight(frozenset(), 0, home.clock.now())).read() as tx:  # as an operator sees it
            return capacity(tx, places=places, reserve_bytes=1000, at_once={PROMPT: 2}, at=home.clock.now())

    _announce(home, dock, "a.mp4")
    before = found()
    assert (before.coming_bytes, before.received_in) == (len(_DATA), None), "nothing came, so nothing is forecast"
    (prompt,) = [one for one in before.queues if one.queue == PROMPT]
    assert (prompt.ready, prompt.job_s) == (0, None)
    assert before.disks[0].growth is None

    home.deliver(dock, _DATA + b"another")
    home.deliver(dock, _DATA + b"one more")
    job = claim_job(home.database, queues=[PROMPT], at=home.clock.now(), lease_s=60)
    assert job is not None
    with home.database.begin() as tx:
        finish_job(tx, job, at=home.clock.step(timedelta(seconds=4)))
        tx.execute(update(EvidenceItem).values(duration_ms=1_800_000))
    after = found()
    (prompt,) = [one for one in after.queues if one.queue == PROMPT]
    assert (prompt.ready, prompt.measured) == (1, 1)
    assert prompt.job_s == pytest.approx(4, abs=1)
    assert prompt.hour_s == pytest.approx(8, abs=2), "four seconds for half an hour"
    assert prompt.empty_in is not None
    assert prompt.empty_in.total_seconds() == pytest.approx(2, abs=0.5), "one job, two at once"
    assert after.received_in is not None
    assert after.received_in.total_seconds() == pytest.approx(3600 * len(_DATA) / (2 * len(_DATA) + 15), rel=0.01)

    sample_room(home.database, places, at=home.clock.now())
    sample_room(home.database, places, at=home.clock.now())
    assert home.count("room_sample") == 1, "once an hour"
    with home.database.begin() as tx:
        at = home.clock.now() - timedelta(days=2)
        tx.execute(update(RoomSample).values(at=at, free_bytes=free_bytes(places["store"]) + 10_000_000_000))
    (disk,) = found().disks
    assert disk.growth == pytest.approx(5_000_000_000, rel=0.2)
    assert disk.full_in is not None
    assert home.count("job", "state = 'done'") == 1
    with home.database.read() as tx:
        assert tx.scalars(select(Job.ran_ms).where(Job.state == "done")).one() >= 4000
    with home.database.begin() as tx:
        insert_row(
            tx, RoomSample, place="elsewhere", at=home.clock.now() - timedelta(days=36), free_bytes=1
        )  # what is old goes with the next sample
    sample_room(home.database, places, at=home.clock.step(timedelta(hours=1)))
    assert home.count("room_sample", "place = 'elsewhere'") == 0
