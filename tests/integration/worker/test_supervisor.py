"""`liuhen serve`: three processes that are watched, restarted when they die, and gone when it is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from archive.kernel.instants import parse_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.deployment import as_variables, broker_settings, is_brokered, new_database

PATIENCE_S = 90


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


ROLES = ("web", "worker", "sequencer", *(["relay"] if is_brokered() else []))


class Served:
    """One running `liuhen serve`."""

    def __init__(self, home: ArchiveHome, log: Path, *, errors: Path | None = None) -> None:
        self.home = home
        self.errors = errors or log
        self.environment = {
            **os.environ,
            "LIUHEN_HOME": str(home.path),
            "LIUHEN_DATABASE_URL": home.settings.effective_database_url,
            **as_variables(broker_settings()),
        }
        self.log = log
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log, self.errors.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "archive.cli", "serve", "--no-tls", "--port", "0"],
                env=self.environment,
                stdout=log,
                stderr=errors,
            )

    def children(self) -> dict[str, psutil.Process]:
        """The processes under the supervisor, by what they do."""
        try:
            found = psutil.Process(self.process.pid).children()
            # Read once: a process that is just being made or just dying has another line the next time.
            words = [(child, child.cmdline()) for child in found]
            return {line[3]: child for child, line in words if len(line) > 3}
        except psutil.NoSuchProcess:
            return {}

    def answers(self) -> bool:
        try:
            address = (self.home.path / "run" / "address").read_text().strip()
            return httpx.get(f"{address}/api/v1/health", timeout=5, trust_env=False).status_code == 200
        except (httpx.HTTPError, FileNotFoundError):
            return False

    def write(self) -> None:
        with self.home.database.begin() as tx:
            append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR), at=self.home.clock.now())

    def is_sequenced(self) -> bool:
        return self.home.count("log_pending") == 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    home = make_home(tmp_path, new_database(tmp_path / "archive.sqlite3"))
    made = Served(home, tmp_path / "log")
    yield made
    made.end()
    home.services.close()


def test_serving(served: Served) -> None:
    wait_for(served.answers)
    address = (served.home.path / "run" / "address").read_text()
    assert set(served.children()) == set(ROLES)
    served.write()
    wait_for(served.is_sequenced)

    # A second one over the same home would cut uploads off: it is refused, and the first one goes on.
    second = served.start()
    assert second.wait(PATIENCE_S) == 73
    assert b"serve.already_running" in served.log.read_bytes()
    assert served.answers()

    # Whatever dies comes back, and the address stays.
    for name in ROLES:
        child = served.children()[name]
        child.kill()
        wait_for(
            lambda name=name, old=child.pid: served.children().get(name, psutil.Process()).pid not in {old, os.getpid()}
        )
    wait_for(served.answers)
    assert (served.home.path / "run" / "address").read_text() == address
    served.write()
    wait_for(served.is_sequenced)

    # When the supervisor is killed nothing is left behind, and the next one takes over.
    orphans = list(served.children().values())
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    assert psutil.wait_procs(orphans, timeout=PATIENCE_S)[1] == []
    served.process = served.start()
    wait_for(lambda: served.answers() and (served.home.path / "run" / "address").read_text() != address)

    # Told to end, it ends everything in order.
    children = list(served.children().values())
    served.process.terminate()
    assert served.process.wait(PATIENCE_S) == 0
    assert psutil.wait_procs(children, timeout=PATIENCE_S)[1] == []
    assert not (served.home.path / "run" / "address").exists()
    served.home.assert_sound()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_under_the_log_ends_nothing(tmp_path: Path) -> None:
    home = make_home(tmp_path, new_database(tmp_path / "archive.sqlite3"))
    served = Served(home, tmp_path / "log", errors=Path("/dev/full"))
    try:
        wait_for(served.answers)
        children = {name: child.pid for name, child in served.children().items()}
        killed = served.children()["sequencer"]
        killed.kill()
        wait_for(lambda: served.children().get("sequencer", killed).pid != killed.pid)
        served.write()
        wait_for(served.is_sequenced)
        assert served.answers()
        now = {name: child.pid for name, child in served.children().items()}
        assert {name for name in now if now[name] != children[name]} == {"sequencer"}
        served.process.terminate()
        assert served.process.wait(PATIENCE_S) == 0
    finally:
        served.end()
        home.services.close()


def test_what_is_lost_is_told_when_there_is_room_again(tmp_path: Path) -> None:
    """Told with the next line; and a line that broke off in the middle has an end before it."""
    script = (
        "import resource, sys\n"
        "from archive.cli.logs import StandardError\n"
        "out = StandardError()\n"
        "most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "out.write('whole\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))\n"
        "out.write('broken off\\n')\n"
        "out.write('lost\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "out.write('there\\n')\n"
        "out.write('and there\\n')\n"
    )
    log = tmp_path / "log"
    with log.open("ab") as errors:
        subprocess.run([sys.executable, "-c", script], stderr=errors, check=True)
    lines = log.read_text().splitlines()
    told = json.loads(lines.pop(2))
    assert parse_instant(told.pop("timestamp")) <= datetime.now(UTC)
    assert told == {"event": "log_lines_lost", "lines": 2, "level": "warning"}
    assert lines == ["whole", "brok", "there", "and there"]


def test_what_goes_to_the_log_of_the_process_tells_no_secrets() -> None:
    """A traceback has the lines of the program in it, and not what was in hand there."""
    script = (
        "import structlog\n"
        "from archive.cli.logs import configure_logging\n"
        "configure_logging()\n"
        "def sign_in(password):\n"
        "    name = '张三'\n"
        "    raise ValueError('no')\n"
        "try:\n"
        "    sign_in('hunter2' * 2)\n"
        "except ValueError:\n"
        "    structlog.get_logger().exception('failed')\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr
    assert '"ValueError"' in told
    assert "sign_in" in told
    assert "hunter2" not in told
    assert "张三" not in told
