"""The clock of a host is set while the archive runs on it: all hosts share the clock of the database server."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ingest.agent.delivery import Result
from ingest.agent.enrolment import enrol
from ingest.agent.push import push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from tests.support.footage import make_clip
from tests.support.moved_clock import MovedClock
from tests.support.server import Server, serving

HOUR_S = 3600
SOON = timedelta(minutes=2)


def _is_playable(server: Server, count: int) -> bool:
    with server.database.read() as tx:
        asked = text("SELECT count(*) FROM evidence_item WHERE play_state = 'playable'")
        return tx.execute(asked).scalar_one() == count


@pytest.mark.service
def test_a_host_whose_clock_is_set_an_hour_ahead_and_back_goes_on(postgres_url: str, tmp_path: Path) -> None:
    clock = MovedClock(tmp_path / "clock", "host")
    if not clock.can_move:
        pytest.skip("there is no C compiler")
    with serving(tmp_path / "server", database_url=postgres_url, environment=clock.environment) as server:
        state = StateFolder(tmp_path / "state")
        enrol(state, server=server.address, code=server.invite())
        for number, off_s in enumerate((HOUR_S, 0, -HOUR_S, 0), start=1):
            clock.move(off_s)
            path = make_clip(tmp_path / f"{number}.mp4", seconds=number)
            assert [found.result for found in push(state, [path], Wishes(wait_s=30)).deliveries] == [Result.DELIVERED]
            until = time.monotonic() + 60
            while not _is_playable(server, number):
                assert time.monotonic() < until, f"not playable with the clock {off_s} s off"
                time.sleep(0.1)
        with server.database.read() as tx:
            times = [row[0] for row in tx.execute(text("SELECT created_at FROM upload")).all()]
            times += [row[0] for row in tx.execute(text("SELECT issued_at FROM log_checkpoint")).all()]
        assert all(abs(datetime.now(UTC) - at.astimezone(UTC)) < SOON for at in times)
        server.assert_sound()
