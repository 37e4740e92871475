"""The scaled deployment as a whole: PostgreSQL, buckets with Object Lock, and workers behind each broker."""

import hashlib
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from archive.evidence.models import EvidenceItem
from archive.jobs.models import Job
from ingest.agent.delivery import Result
from ingest.agent.enrolment import enrol
from ingest.agent.push import push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from tests.support import footage
from tests.support.deployment import s3_environment
from tests.support.server import serving

_PATIENCE_S = 120.0


@pytest.mark.service
@pytest.mark.parametrize("broker", ["redis_server", "rabbit_server"])
def test_a_recording_comes_in_and_is_made_playable(
    broker: str, request: pytest.FixtureRequest, postgres_url: str, tmp_path: Path
) -> None:
    rings = request.getfixturevalue(broker)
    environment = {
        **s3_environment(tmp_path),
        "LIUHEN_BROKER_URL": rings.url,
        "LIUHEN_BROKER_PASSWORD_FILE": str(rings.password_file),
    }
    path = footage.make_clip(tmp_path / "现场 1.mp4", seconds=2)
    sha512 = hashlib.sha512(path.read_bytes()).hexdigest()
    with serving(tmp_path / "server", database_url=postgres_url, environment=environment) as server:
        assert set(server.pids()) == {"supervisor", "web", "worker", "sequencer", "relay"}
        state = StateFolder(tmp_path / "state")
        enrol(state, server=server.address, code=server.invite())
        (delivery,) = push(state, [path], Wishes(wait_s=_PATIENCE_S, wipe=True)).deliveries
        assert (delivery.result, delivery.is_wiped) == (Result.DELIVERED, True)
        until = time.monotonic() + _PATIENCE_S
        while True:
            with server.database.read() as tx:
                item = tx.scalars(select(EvidenceItem).where(EvidenceItem.sha512 == sha512)).one()
                dead = tx.scalars(select(Job.kind).where(Job.state == "dead")).all()
            if item.play_state == "playable":
                break
            assert time.monotonic() < until, item.play_state
            time.sleep(0.1)
        assert dead == []
        server.assert_sound()
