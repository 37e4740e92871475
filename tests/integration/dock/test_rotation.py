"""`liuhen dock rotate`: another key in trade for the old one, over the real server; what breaks off locks nobody out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.cli.main import run
from ingest.agent.delivery import Result
from ingest.agent.errors import NotTheArchive, PushRunning, Refused
from ingest.agent.rotation import rotate
from ingest.agent.wire import Wire
from tests.integration.dock.conftest import TestDock, recording
from tests.support.server import Server


def key_of(dock: TestDock) -> str:
    return str(json.loads((dock.state.path / "dock.json").read_text())["api_key"])


def test_a_dock_goes_on_with_its_new_key(dock: TestDock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = key_of(dock)
    assert run(["dock", "rotate", "--state", str(dock.state.path)]) == 0
    told = capsys.readouterr().out
    fresh = key_of(dock)
    assert fresh != old
    assert old not in told
    assert fresh not in told
    assert (dock.state.path / "dock.json").stat().st_mode & 0o777 == 0o600
    assert dock.push_one(recording(tmp_path / "a.mp4")).result is Result.DELIVERED


def test_the_old_key_asks_again_when_the_answer_was_lost(dock: TestDock, tmp_path: Path) -> None:
    old = key_of(dock)
    rotate(dock.state)
    dock.state.store_api_key(old)  # as if the answer had never come
    assert dock.push_one(recording(tmp_path / "a.mp4")).result is Result.DELIVERED
    rotate(dock.state)
    assert dock.push_one(recording(tmp_path / "b.mp4")).result is Result.DELIVERED


def test_a_dock_that_is_revoked_gets_no_key(dock: TestDock, server: Server) -> None:
    old = key_of(dock)
    server.command("dock", "revoke", str(dock.state.identity().dock_id))
    with pytest.raises(Refused) as refused:
        rotate(dock.state)
    assert refused.value.problem == "ingest.dock_revoked"
    assert key_of(dock) == old


def test_not_while_a_push_runs(dock: TestDock) -> None:
    old = key_of(dock)
    with dock.state.pushing(), pytest.raises(PushRunning):
        rotate(dock.state)
    assert key_of(dock) == old


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"api_key": 1}', b'{"api_key": "short"}', b'{"api_key": "with\\nline feed........."}']
)
def test_what_is_no_key_is_not_kept(
    enrolled: Callable[..., TestDock], monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    dock = enrolled()
    old = key_of(dock)

    class Answer:
        def __init__(self) -> None:
            self.body = body

    # No server of ours answers so: another one at the same address might.
    monkeypatch.setattr(Wire, "request", lambda *_, **__: Answer())
    with pytest.raises(NotTheArchive):
        rotate(dock.state)
    assert key_of(dock) == old
