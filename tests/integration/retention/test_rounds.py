"""Fixity rounds over originals and their second copy: everything within its period, evenly, the oldest first."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from archive.doctor import examine
from archive.jobs.queue import FIXITY
from archive.kernel.findings import Finding, Outcome
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.worker.loop import Worker
from retention.fixity import check_fixity
from retention.rounds.due import leave, recheck, turns
from retention.rounds.models import ORIGINALS
from retention.rounds.standing import checks_of, standings
from tests.support.archive_crash import run_killed
from tests.support.archive_home import ArchiveHome, SteppedClock, flip, make_home
from tests.support.rounds import after_a_period, copy_all, damage_rows, faults, folder_in, go_on, rot

SERIAL = count(1000)
NO_LIMIT = {"fixity_bytes_per_s": 0, "lock_days": 3650}


@pytest.fixture
def home(tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    (tmp_path / "second").mkdir()
    made = make_home(tmp_path, "", clock, copy_folder=tmp_path / "second", **NO_LIMIT)
    made.services.rounds.throttle._is_pressed = lambda: False  # nobody works on the jobs of what came in
    yield made
    made.services.close()


def filled(home: ArchiveHome, how_many: int = 3) -> list[ObjectId]:
    dock = home.dock()
    made = [home.deliver(dock, f"film {next(SERIAL)}".encode() * 50, "a.mp4") for _ in range(how_many)]
    copy_all(home)
    return made


def rows(home: ArchiveHome, place: str = ORIGINALS) -> dict[UUID, tuple[str | None, str | None]]:
    """Outcome and type of the entry of each object's last check in a place."""
    types = {UUID(entry["id"]): entry["type"] for entry in home.entries()}
    found = home.rows("SELECT object_id, outcome, entry_id FROM fixity_check WHERE place = :place", place=place)
    return {UUID(str(row[0])): (row[1], None if row[2] is None else types[UUID(str(row[2]))]) for row in found}


def copy_place(home: ArchiveHome) -> str:
    return home.services.rounds.places.ids[1]


def doctor(home: ArchiveHome) -> dict[str, Finding]:
    return {found.code: found for found in examine(home.services).findings}


def test_everything_is_re_read_and_told_of_together(home: ArchiveHome) -> None:
    objects = filled(home)
    go_on(home.services)
    first = [entry for entry in home.entries() if entry["type"] == "fixity.ok"]
    assert len(first) <= 2, "one entry for many objects, in each place"
    after_a_period(home)
    assert doctor(home)["doctor.fixity"].outcome is Outcome.INDETERMINATE, "all of it is overdue"
    done = go_on(home.services)
    assert (done.whole, done.damaged, done.unread) == (6, 0, 0)
    for place in (ORIGINALS, copy_place(home)):
        assert set(rows(home, place).values()) == {("valid", "fixity.ok")}
        with home.database.read() as tx:
            (standing,) = standings(tx, [place], period=home.services.rounds.period, at=home.clock.now())
        assert (standing.objects, standing.checked, standing.overdue, standing.damaged) == (3, 3, 0, 0)
        assert standing.permille == 1000
    told = [entry for entry in home.entries() if entry["type"] == "fixity.ok"][len(first) :]
    assert len(told) == 2
    detail = json.loads(
        home.rows("SELECT detail FROM log_detail WHERE entry_id = :id", id=told_id(home, told[0]))[0][0]
    )
    assert detail["objects"] == {str(each): 1 for each in objects}
    assert detail["bytes"] > 3 * 9 * 50, "metadata and inventories too"
    assert go_on(home.services).whole == 0, "nothing is due any more"
    found = doctor(home)
    assert {found[code].outcome for code in ("doctor.fixity", "doctor.damage")} == {Outcome.VALID}
    home.sequence()
    with home.database.read() as tx:
        checks = checks_of(tx, objects[0])
    assert [check.place_id for check in checks] == [ORIGINALS, copy_place(home)]
    assert all(check.log_index is not None and check.outcome == "valid" for check in checks)
    assert faults(home) == set()


def told_id(home: ArchiveHome, entry: dict[str, str]) -> str:
    return home.id_value(UUID(entry["id"]))


def test_new_objects_count_from_their_intake_and_the_oldest_come_first(home: ArchiveHome) -> None:
    old = filled(home, 2)
    go_on(home.services)
    home.clock.step(timedelta(days=60))
    fresh = filled(home, 2)
    go_on(home.services)
    with home.database.read() as tx:
        (standing,) = standings(tx, [ORIGINALS], period=home.services.rounds.period, at=home.clock.now())
    assert (standing.objects, standing.overdue) == (4, 0)
    home.clock.step(timedelta(days=31))
    go_on(home.services)
    checked = {
        UUID(str(each)): at
        for each, at in home.rows("SELECT object_id, checked_at FROM fixity_check WHERE place = 'originals'")
    }
    assert set(old) <= set(checked)
    since = home.rows("SELECT object_id FROM fixity_check WHERE place = 'originals' ORDER BY since")
    assert {UUID(str(row[0])) for row in since[:2]} == set(fresh), "what was just re-read is last"


def test_what_is_asked_for_comes_first_and_the_newest_of_it(home: ArchiveHome) -> None:
    objects = filled(home, 4)
    go_on(home.services)
    asked = [objects[0], objects[2]]
    with home.database.begin() as tx:
        recheck(tx, asked, home.clock.now())
    rounds = home.services.rounds
    with home.database.read() as tx:
        found = turns(tx, ORIGINALS, at=home.clock.now(), period=rounds.period, is_even=True)
    seen = [turn.object_id for turn in found]
    assert seen[:2] == [objects[2], objects[0]], "the newest of what was moved is read first"
    assert [turn.is_asked for turn in found[:3]] == [True, True, False]
    assert go_on(home.services).whole >= 2
    assert home.count("fixity_check", "asked_at IS NOT NULL") == 0


def test_what_is_about_to_be_destroyed_is_no_damage(home: ArchiveHome) -> None:
    gone, stays = filled(home, 2)
    with home.database.begin() as tx:
        leave(tx, [gone])
    for place in (ORIGINALS, copy_place(home)):
        for path in [path for path in folder_in(home, gone, place).rglob("*") if path.is_file()]:
            path.unlink()
    after_a_period(home)
    done = go_on(home.services)
    assert (done.whole, done.damaged) == (2, 0)
    check_fixity(home.services.fixity, gone, by=OPERATOR)
    assert damage_rows(home) == []
    assert rows(home)[stays] == ("valid", "fixity.ok")


def test_the_even_pace_goes_through_everything_within_the_period(home: ArchiveHome) -> None:
    """Day by day, with nothing ever late: each day a part, the oldest first."""
    filled(home, 12)
    go_on(home.services)
    home.clock.step(timedelta(days=1))
    days = []
    for _ in range(100):
        days.append(go_on(home.services).whole)
        with home.database.read() as tx:
            found = standings(
                tx, home.services.rounds.places.ids, period=home.services.rounds.period, at=home.clock.now()
            )
        assert [each.overdue for each in found] == [0, 0]
        home.clock.step(timedelta(days=1))
    assert sum(days[:95]) >= 24, "all of both places"
    assert max(days) <= 4, "and never much at once"


def test_the_job_goes_on_by_itself_and_yields_to_intake(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(home)
    after_a_period(home)
    home.services.rounds.begin()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([FIXITY]):
        pass
    assert set(rows(home).values()) <= {(None, None), ("valid", "fixity.ok")}
    assert home.count("fixity_check", "read_at IS NOT NULL OR checked_at IS NOT NULL") == 6
    home.clock.step(timedelta(minutes=11))
    while worker.run_once([FIXITY]):
        pass
    assert set(rows(home).values()) == {("valid", "fixity.ok")}, "what was read is told of within ten minutes"
    assert home.count("job", "kind = 'check_objects' AND state = 'ready'") == 1
    # While intake is behind, only what is late is read.
    home.clock.step(timedelta(days=60))
    monkeypatch.setattr(home.services.rounds.throttle, "_is_pressed", lambda: True)
    monkeypatch.setattr(home.services.rounds.throttle, "_looked_at", -float("inf"))
    assert go_on(home.services).whole == 0
    home.clock.step(timedelta(days=31))
    monkeypatch.setattr(home.services.rounds.throttle, "_looked_at", -float("inf"))
    assert go_on(home.services).whole == 6


def test_a_kill_costs_what_was_under_way(home: ArchiveHome) -> None:
    objects = filled(home, 3)
    after_a_period(home)
    for at_step in range(1, 200):
        if not run_killed(home.settings, read_all, at_step=at_step):
            break
        assert set(rows(home).values()) <= {(None, None), ("valid", "fixity.ok")}
        assert damage_rows(home) == []
    else:
        raise AssertionError("it never came to its end")
    assert at_step > 3
    go_on(home.services)
    assert set(rows(home)) == set(objects)
    assert set(rows(home).values()) == {("valid", "fixity.ok")}
    home.sequence()
    assert faults(home) == set()


def read_all(services: object) -> None:
    go_on(services)  # type: ignore[arg-type]


def test_a_place_that_is_away_has_damaged_nothing(home: ArchiveHome, tmp_path: Path) -> None:
    filled(home)
    after_a_period(home)
    store, hidden = home.path / "store", home.path / "hidden"
    (tmp_path / "second").rename(tmp_path / "elsewhere")
    home.reopen()
    go_on(home.services)
    assert set(rows(home).values()) == {("valid", "fixity.ok")}, "the other place goes on"
    (tmp_path / "second").mkdir()
    home.reopen()
    if home.settings.store == "files":
        store.rename(hidden)
        store.mkdir()
    after_a_period(home)
    go_on(home.services)
    assert damage_rows(home) == []
    with home.database.read() as tx:
        found = standings(tx, home.services.rounds.places.ids, period=home.services.rounds.period, at=home.clock.now())
    assert found[1].trouble == "fixity.place_away"
    assert doctor(home)["doctor.fixity"].outcome is Outcome.INDETERMINATE


def test_a_check_that_somebody_asks_for_counts_and_finds_damage(home: ArchiveHome) -> None:
    object_id, *_ = filled(home)
    check_fixity(home.services.fixity, object_id, by=OPERATOR)
    assert rows(home)[object_id] == ("valid", "fixity.ok")
    rot(folder_in(home, object_id, ORIGINALS), Path())
    check_fixity(home.services.fixity, object_id, by=OPERATOR)
    check_fixity(home.services.fixity, object_id, by=OPERATOR)
    (damage,) = damage_rows(home)
    assert (damage.state, damage.place, rows(home)[object_id][0]) == ("found", ORIGINALS, "invalid")
    assert "a.mp4" not in damage.findings, "who sees the list may not see the object"
    assert home.types().count("fixity.fail") == 2
    rot(folder_in(home, object_id, ORIGINALS), Path())
    check_fixity(home.services.fixity, object_id, by=OPERATOR)
    (damage,) = damage_rows(home)
    assert (damage.state, damage.good_place) == ("repaired", None), "others put it right"
    assert home.types()[-2:] == ["fixity.ok", "fixity.repaired"]
    home.sequence()
    assert faults(home) == set()


def test_rows_that_were_changed_are_found(home: ArchiveHome) -> None:
    object_id, *_ = filled(home)
    go_on(home.services)
    after_a_period(home)
    flip(folder_in(home, object_id, copy_place(home)) / "v1/content/original/a.mp4")
    go_on(home.services)
    home.sequence()
    assert faults(home) == set()
    for change in (
        "UPDATE fixity_check SET since = NULL",
        "UPDATE fixity_check SET outcome = 'invalid'",
        "UPDATE fixity_check SET entry_id = (SELECT min(id) FROM log_entry)",
        "UPDATE fixity_check SET head = 7",
        "DELETE FROM fixity_check",
        "UPDATE fixity_batch SET objects = objects + 1",
        "DELETE FROM fixity_batch",
        "UPDATE fixity_damage SET state = 'found'",
        "UPDATE fixity_damage SET findings = '[]'",
        "DELETE FROM fixity_damage",
        "UPDATE fixity_place SET scanned = 0; DELETE FROM fixity_check",
    ):
        with home.database.begin() as tx:
            for table in ("fixity_check", "fixity_batch", "fixity_damage"):
                tx.connection().exec_driver_sql(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
            for statement in change.split(";"):
                tx.connection().exec_driver_sql(statement)
        assert faults(home) & {"fsck.row_changed", "fsck.row_missing", "fsck.fixity_lost"}, change
        with home.database.begin() as tx:
            for table in ("fixity_check", "fixity_batch", "fixity_damage"):
                tx.connection().exec_driver_sql(f"DELETE FROM {table}")
                tx.connection().exec_driver_sql(f"INSERT INTO {table} SELECT * FROM kept_{table}")
                tx.connection().exec_driver_sql(f"DROP TABLE kept_{table}")
    assert faults(home) == set()
