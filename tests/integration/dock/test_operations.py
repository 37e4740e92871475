"""What whoever keeps an archive going sees and asks for, with the real agent against a real server."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from archive.ledger.models import LogEntry
from archive.notify.models import Notice
from ingest.agent.delivery import Result
from ingest.agent.files import Found
from ingest.agent.push import PushReport, QuietWatcher
from ingest.models import WaitingRecording
from tests.integration.dock.conftest import METRICS_TOKEN, TestDock, recording
from tests.support.server import Server

_PATIENCE_S = 60
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}")


def wait_for(what: Callable[[], bool], told: Callable[[], object] = lambda: None) -> None:
    """Wait until something holds."""
    until = time.monotonic() + _PATIENCE_S
    while not what():
        assert time.monotonic() < until, told()
        time.sleep(0.05)


def counts(server: Server) -> Mapping[str, float]:
    """Return what /metrics tells, by name and labels."""
    answer = httpx.get(f"{server.address}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.name.startswith("liuhen_"), family.name
        assert family.documentation, family.name
        for sample in family.samples:
            assert not any(_ID.search(value) for value in sample.labels.values()), sample
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


@contextmanager
def person(server: Server, username: str) -> Iterator[httpx.Client]:
    """A browser in which somebody has signed in."""
    headers = {"Accept": "text/html", "Accept-Language": "en"}
    with httpx.Client(base_url=server.address, timeout=30, headers=headers) as client:
        form = {"username": username, "password": server.accounts[username]}
        assert client.post("/sign-in", data=form).status_code == 303
        yield client


def test_one_scrape_tells_what_web_worker_and_sequencer_have_counted(
    dock: TestDock, server: Server, tmp_path: Path
) -> None:
    assert httpx.get(f"{server.address}/metrics").status_code == 401
    wrong = {"Authorization": f"Bearer {METRICS_TOKEN}x"}
    assert httpx.get(f"{server.address}/metrics", headers=wrong).status_code == 401
    before = counts(server)
    assert dock.push_one(recording(tmp_path / "clip.bin", 3_000_000)).result is Result.DELIVERED

    def more(name: str) -> float:
        return counts(server).get(name, 0.0) - before.get(name, 0.0)

    assert more("liuhen_intake_bytes_total{}") == 3_000_000
    assert more("liuhen_uploads_ended_total{outcome=accepted}") == 1
    assert more("liuhen_receipts_total{}") >= 1
    assert more("liuhen_receipt_delay_seconds_count{}") >= 1
    assert more("liuhen_log_checkpoints_total{}") >= 1, "counted by the sequencer"
    assert more("liuhen_http_requests_total{method=PATCH,route=/api/v1/uploads/{upload_id},status=204}") == 1
    wait_for(lambda: more("liuhen_jobs_ended_total{kind=probe_item,outcome=done}") >= 1)
    told = counts(server)
    assert all(told[f"liuhen_source_up{{source={source}}}"] == 1 for source in ("database", "log", "disk")), told
    assert told["liuhen_log_size_entries{}"] >= 2
    assert told["liuhen_disk_free_bytes{place=store}"] > 0
    assert told["liuhen_jobs_oldest_due_seconds{queue=prompt}"] >= 0


class _HeldAtFirst(QuietWatcher):
    """Holds the work on one file until it is released, and keeps the order in which files ended."""

    def __init__(self, name: str) -> None:
        self.name, self.release, self.ended_names = name, threading.Event(), list[str]()

    def begun(self, found: Found) -> None:
        if found.path.name == self.name:
            assert self.release.wait(_PATIENCE_S)

    def ended(self, found: Found, result: str) -> None:
        self.ended_names.append(found.path.name)


def test_what_a_supervisor_asks_for_is_sent_before_all_others(dock: TestDock, server: Server, tmp_path: Path) -> None:
    card = tmp_path / "card"
    for number in range(5):
        recording(card / f"{number}.bin", 10_000 + number)
    watcher, reports = _HeldAtFirst("0.bin"), list[PushReport]()
    pushing = threading.Thread(target=lambda: reports.append(dock.push(card, jobs=1, watcher=watcher)))
    pushing.start()

    def waiting() -> dict[str, WaitingRecording]:
        with server.database.read() as tx:
            ours = WaitingRecording.dock_id == dock.state.identity().dock_id
            rows = tx.scalars(select(WaitingRecording).where(ours, WaitingRecording.left_at.is_(None)))
            return {row.name: row for row in rows}

    try:
        wait_for(lambda: "3.bin" in waiting())
        with person(server, "supervisor") as supervisor, person(server, "auditor") as auditor:
            assert "3.bin" in supervisor.get("/waiting").text
            address = f"/waiting/{waiting()['3.bin'].id}/wish"
            assert auditor.post(address).status_code == 403
            assert supervisor.post(address).status_code == 303
            assert supervisor.post(address).status_code == 409, "once is enough"
            wait_for(lambda: "3.bin" in watcher.ended_names)
            assert watcher.ended_names == ["3.bin"], "while the first was still under way"
    finally:
        watcher.release.set()
        pushing.join(_PATIENCE_S)
    (report,) = reports
    assert report.exit_code == 0
    assert sorted(watcher.ended_names) == [f"{number}.bin" for number in range(5)]
    wait_for(lambda: not waiting(), waiting)
    with server.database.read() as tx:
        kinds = [notice.kind for notice in tx.scalars(select(Notice))]
        logged = [entry for entry in tx.scalars(select(LogEntry)) if b'"ingest.wished"' in entry.body]
    assert "recording.arrived" in kinds, "whoever asked is told"
    assert len(logged) == 1
    assert b"3.bin" not in logged[0].body, "names stand in the detail"
