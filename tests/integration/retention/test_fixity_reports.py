"""The report of a month: what it says, made once and in time, signed so that openssl can tell, back after a loss."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.jobs.queue import FIXITY
from archive.kernel.instants import BUREAU_ZONE
from archive.ledger.entries import OPERATOR
from archive.worker.loop import Worker
from retention.rounds.models import ORIGINALS
from retention.rounds.reports import Month, MonthNotOver, ReportMade, ReportNotFound, report_of
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.rounds import after_a_period, copy_all, faults, folder_in, go_on, rot


@pytest.fixture
def home(tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    (tmp_path / "second").mkdir()
    made = make_home(tmp_path, "", clock, copy_folder=tmp_path / "second", fixity_bytes_per_s=0, lock_days=3650)
    yield made
    made.services.close()


def filled(home: ArchiveHome) -> None:
    """Three objects, of which one original rotted and was repaired, and one rotted in both places."""
    dock = home.dock()
    made = [home.deliver(dock, bytes([number]) * 1000, "a.mp4") for number in range(3)]
    copy_all(home)
    for place in (ORIGINALS, "copy"):
        rot(folder_in(home, made[1], place), Path())
    rot(folder_in(home, made[0], ORIGINALS), Path())
    after_a_period(home)
    go_on(home.services)


def to_the_next_month(home: ArchiveHome) -> Month:
    """Step into the next month; return the one before."""
    month = Month.with_moment(home.clock.now())
    home.clock.step(month.ends - home.clock.now() + timedelta(minutes=30))
    return month


def test_what_a_report_says(home: ArchiveHome, tmp_path: Path) -> None:
    filled(home)
    month = to_the_next_month(home)
    row = home.services.fixity_reports.make(month, by=OPERATOR)
    told = json.loads(row.result)
    assert (told["month"], told["origin"], told["period_days"]) == (str(month), home.settings.origin, 90)
    first, second = told["places"]
    assert first["place"] == ORIGINALS
    assert {name: first[name] for name in ("objects", "bytes", "checked", "overdue", "damaged", "repaired", "open")} == {
        "objects": 3, "bytes": 3000, "checked": 1, "overdue": 0, "damaged": 2, "repaired": 1, "open": 1,
    }  # fmt: skip
    assert first["checked_bytes"] > 1000
    assert (second["checked"], second["damaged"], second["repaired"], second["open"]) == (2, 1, 0, 1)
    assert [each["state"] for each in told["damage"]].count("found") == 2
    assert "a.mp4" not in row.result.decode()
    files = {"report.json": row.result, "report.json.p7s": row.signature, "root.pem": home.services.authority.root_pem}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "report.json.p7s", "-content", "report.json",
        "-CAfile", "root.pem", "-purpose", "any", "-attime", str(int(row.made_at.timestamp())), "-out", "/dev/null",
    ]  # fmt: skip
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "report.json").write_bytes(row.result.replace(b'"damaged":2', b'"damaged":0'))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0
    with pytest.raises(ReportMade):
        home.services.fixity_reports.make(month)
    with pytest.raises(MonthNotOver):
        home.services.fixity_reports.make(Month.with_moment(home.clock.now()))
    assert home.types().count("fixity.reported") == 1
    home.sequence()
    changes = (
        "UPDATE fixity_report SET month = '2000-01'",
        "UPDATE fixity_report SET result = signature",
        "DELETE FROM fixity_report",
    )
    sound = faults(home)
    for change in changes:
        home.execute("CREATE TABLE kept AS SELECT * FROM fixity_report")
        home.execute(change)
        assert faults(home) - sound, change
        home.execute("DELETE FROM fixity_report")
        home.execute("INSERT INTO fixity_report SELECT * FROM kept")
        home.execute("DROP TABLE kept")
    assert faults(home) == sound


def test_the_job_makes_each_month_once_also_those_it_missed(home: ArchiveHome) -> None:
    filled(home)
    reports = home.services.fixity_reports
    reports.begin()
    worker = Worker(home.database, handlers=reports.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([FIXITY]):
        pass
    begun = Month.with_moment(home.clock.now())
    assert home.count("fixity_report") == 0, "before the first round there was nothing to report"
    to_the_next_month(home)
    while worker.run_once([FIXITY]):
        pass
    months = [row[0] for row in home.rows("SELECT month FROM fixity_report ORDER BY month")]
    assert months == [str(begun)]
    to_the_next_month(home)
    to_the_next_month(home)
    while worker.run_once([FIXITY]):
        pass
    assert home.count("fixity_report") == 3
    while worker.run_once([FIXITY]):
        pass
    assert home.count("fixity_report") == 3
    due = home.rows("SELECT not_before FROM job WHERE kind = 'report_fixity'")
    assert len(due) == 1


def test_a_month_is_one_of_the_bureau_s_calendar(home: ArchiveHome) -> None:
    month = Month.of("2026-12")
    assert month.begins == datetime(2026, 12, 1, tzinfo=BUREAU_ZONE)
    assert (str(month), str(month.before()), str(Month.of("2027-01").before())) == ("2026-12", "2026-11", "2026-12")
    assert str(Month.with_moment(datetime(2026, 11, 30, 16, tzinfo=UTC))) == "2026-12", "it is December there already"
    assert Month.of("2026-02").ends == Month.of("2026-03").begins
    with home.database.read() as tx, pytest.raises(ReportNotFound):
        report_of(tx, "1999-01")
