"""What leaves the processes beside answers: traces and logs. Neither tells of persons or secrets."""

from pathlib import Path

import httpx

from ingest.agent.delivery import Result
from ingest.agent.enrolment import enrol
from ingest.agent.state import StateFolder
from tests.integration.dock.conftest import TestDock, recording
from tests.integration.dock.test_operations import person, wait_for
from tests.support.collector import Collector
from tests.support.server import Server

_NAME, _SECRET = "王五梅markedname", "markedsecret0123456789"


def test_a_trace_leads_from_the_request_to_the_job_and_tells_nothing_of_persons(
    tight_server: Server, collector: Collector, tmp_path: Path
) -> None:
    dock = TestDock(StateFolder(tmp_path / "state"), tight_server)
    enrol(dock.state, server=tight_server.address, code=tight_server.invite())
    assert dock.push_one(recording(tmp_path / f"{_NAME}.mp4", 50_000)).result is Result.DELIVERED
    with person(tight_server, "supervisor") as supervisor:
        assert supervisor.get("/search", params={"q": _NAME}).status_code == 200
    assert httpx.get(f"{tight_server.address}/api/v1/time?token={_SECRET}").status_code == 200

    def of_one_trace() -> bool:
        jobs = {span.trace for span in collector.spans() if span.name == "job probe_item"}
        asked = {span.trace for span in collector.spans() if span.attributes.get("http.method") or "http" in span.name}
        patches = {span.trace for span in collector.spans() if span.name.startswith("PATCH")}
        return bool(jobs & (asked | patches))

    wait_for(of_one_trace, lambda: sorted({span.name for span in collector.spans()}))
    wait_for(lambda: any("/search" in span.name for span in collector.spans()))
    statements = [span.attributes.get("db.statement", "") for span in collector.spans()]
    assert any("SELECT" in statement for statement in statements)
    sent = b"".join(collector.raw)
    assert sent.find(_NAME.encode()) == -1
    assert sent.find(b"markedname") == -1
    assert sent.find(_SECRET.encode()) == -1
    assert sent.find(b"127.0.0.1:") == -1, "no address of whoever asks"


def test_no_log_of_any_process_holds_names_or_secrets(tight_server: Server, tmp_path: Path) -> None:
    address = tight_server.address
    state = StateFolder(tmp_path / "state")
    enrol(state, server=address, code=tight_server.invite(_NAME))
    dock = TestDock(state, tight_server)
    assert dock.push_one(recording(tmp_path / f"{_NAME}.mp4", 60_000)).result is Result.DELIVERED
    key = {"Authorization": f"Bearer {_SECRET}"}
    with httpx.Client(base_url=address, timeout=30) as anybody:
        anybody.post("/sign-in", data={"username": _NAME, "password": _SECRET})
        anybody.post("/api/v1/docks/enrolment", json={"code": _SECRET, "public_key": _NAME})
        anybody.post("/api/v1/docks/enrolment", content=f"{{{_SECRET}".encode())
        anybody.post("/api/v1/docks/key", headers=key, json={})
        anybody.get("/metrics", headers=key)
        anybody.get(f"/nothing/{_SECRET}?q={_NAME}")
        anybody.post("/recovery", data={"code": _SECRET, "password": _SECRET, "again": _SECRET})
        anybody.post("/api/v1/uploads", headers={**key, "Tus-Resumable": "1.0.0", "Upload-Length": "5"})
        anybody.patch(f"/api/v1/uploads/{_SECRET}", headers={**key, "Tus-Resumable": "1.0.0"})
        anybody.get("/axis/v1.0/x", headers={"X-Auth-User": "markedname", "X-Auth-Key": _SECRET})
        anybody.get("/api/v1/events", headers=key)
        refused = anybody.get("/api/v1/log/proof/999999999", headers={"Accept": "application/json"})
    mine = {"password": tight_server.accounts["supervisor"], "key": state.identity().api_key}
    with person(tight_server, "supervisor") as supervisor, person(tight_server, "admin") as admin:
        supervisor.get("/search", params={"q": _NAME})
        supervisor.post("/cases", data={"number": _NAME, "title": _NAME, "subject": _NAME})
        supervisor.post("/search/lists", data={"q": _NAME, "purpose": _NAME})
        supervisor.get("/subjects", params={"q": _NAME})
        supervisor.post("/complaints", data={"says": _NAME, "kind": "complaint", "channel": "hotline"})
        admin.post("/admin/invitations", data={"name": _NAME})
        admin.post("/admin/accounts", data={"username": "marked", "display_name": _NAME, "password": _SECRET})
        cookies = [cookie.value for client in (supervisor, admin) for cookie in client.cookies.jar]
    mine |= {f"cookie {number}": str(value) for number, value in enumerate(cookies)}
    wait_for(lambda: any(line.get("request_id") == refused.json()["request_id"] for line in tight_server.log()))
    text = tight_server.log_file.read_text("utf-8")
    assert {line["event"] for line in tight_server.log()} >= {"request", "job_done", "sequencing"}, (
        "all processes log here"
    )
    held = [name for name, secret in {**mine, "name": _NAME, "secret": _SECRET}.items() if secret in text]
    assert held == []
    assert "markedname" not in text
    assert "\\u738b" not in text, "not written out either"
