"""The same journey with PostgreSQL under the archive; and the supervisor's death, after which nobody is left."""

import time
from pathlib import Path

import pytest

from ingest.agent.delivery import Result
from ingest.agent.enrolment import enrol
from ingest.agent.push import push
from ingest.agent.sending import Wishes
from ingest.agent.state import StateFolder
from tests.integration.dock.conftest import MB, items_of, recording, sha512
from tests.support.server import serving


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.long("a server once more")
@pytest.mark.service
def test_pushing_to_an_archive_on_postgres(postgres_url: str, tmp_path: Path) -> None:
    with serving(tmp_path / "server", database_url=postgres_url) as server:
        state, path = StateFolder(tmp_path / "state"), recording(tmp_path / "card" / "clip.mp4", 5 * MB)
        enrol(state, server=server.address, code=server.invite())
        digest = sha512(path)
        report = push(state, [path], Wishes(wait_s=30, wipe=True))
        assert [delivery.result for delivery in report.deliveries] == [Result.DELIVERED]
        assert not path.exists()
        assert len(items_of(server, digest)) == 1
        server.assert_sound()

        children = {pid for role, pid in server.pids().items() if role != "supervisor"}
        server.kill("supervisor")
        assert server.pids() == {}
        until = time.monotonic() + 30
        while any(_is_alive(pid) for pid in children):
            assert time.monotonic() < until
            time.sleep(0.05)
        server.start()
        path = recording(path)
        assert [found.result for found in push(state, [path], Wishes(wait_s=30)).deliveries] == [Result.DELIVERED]
