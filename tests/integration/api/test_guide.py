"""The guide for case systems, run as it stands: against a real server, with curl, with footage from a real dock."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from archive.cli.main import run as run_command
from tests.support import footage
from tests.support.receiver import Receiver, receiving
from tests.support.server import Server, serving

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "case-systems.md"
SCOPES = ("cases.write", "officers.write", "items.read", "events.read")


@dataclass
class Scene:
    """A served archive with one recording, a key, a webhook and somebody who listens."""

    server: Server
    receiver: Receiver
    key: str
    webhook: str
    secret: str
    item: str

    def get(self, path: str) -> Any:
        answer = httpx.get(self.server.address + path, headers={"Authorization": f"Bearer {self.key}"}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def told(self, event_type: str, *, timeout_s: float = 60) -> dict[str, Any]:
        """Return the first event of this type, as soon as it has come."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for event in self.receiver.events():
                if event["type"] == event_type:
                    return event
            time.sleep(0.05)
        raise TimeoutError(f"{event_type} did not come: {[event['type'] for event in self.receiver.events()]}")


def run(server: Server, *arguments: object) -> str:
    done = server.command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("served")
    environment = {
        "LIUHEN_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
        "LIUHEN_SANDBOX": "preferred",
        "LIUHEN_RESERVE_BYTES": "0",
    }
    with receiving() as receiver, serving(folder, environment=environment) as server:
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        key = run(server, "keys", "issue", "--system", "cms", "--title", "行政执法办案系统", *scopes)
        made = json.loads(run(server, "webhooks", "set", "--system", "cms", "--url", receiver.url, "--json"))
        clip = footage.make_clip(folder / "clip.mp4", seconds=1, size=(160, 120))
        state = folder / "dock"
        agent = [["enrol", "--server", server.address, "--code", server.invite()], ["push", clip]]
        for arguments in agent:
            done = subprocess.run(
                ["python", "-m", "archive.cli", "dock", *map(str, arguments), "--state", str(state)],
                capture_output=True, text=True, check=False, env={**server.environment, "PATH": _path()}, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr + done.stdout
        (item,) = [json.loads(line) for line in run(server, "item", "list", "--json").splitlines()]
        yield Scene(server, receiver, key, made["id"], made["secret"], item["id"])


def _path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_every_example_does_what_it_says(scene: Scene) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "ARCHIVE": scene.server.address,
        "KEY": scene.key,
        "ITEM": scene.item,
        "WEBHOOK": scene.webhook,
        "no_proxy": "*",
    }
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 10
    for block in blocks:
        if "$CASE" in block:
            environment["CASE"] = scene.get("/api/v1/systems/cms/cases/CASE%2F2026%2F0031")["id"]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    assert scene.told("liuhen.item.ready")["data"]["state"] == "playable"
    linked = scene.told("liuhen.item.linked")["data"]
    assert linked["case"]["external_id"] == "CASE/2026/0031"
    assert linked["act"]["external_id"] == "ACT-551"
    scene.told("liuhen.item.unlinked")
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code, names)
    for received in list(scene.receiver.got):
        assert names["is_ours"](received.headers, received.body, scene.secret)
        assert not names["is_ours"](received.headers, received.body + b" ", scene.secret)
        assert received.is_signed_by(scene.secret)
    log = scene.server.log_file.read_text("utf-8", "replace")
    for hidden in (scene.key.split("_", 2)[2], scene.secret, "阿明"):
        assert hidden not in log
    scene.server.assert_sound()


def test_every_command_of_the_guide_is_one(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    def here(*arguments: str, expected: int = 0) -> str:
        """Run a command in this process: starting Python costs more than the command."""
        capsys.readouterr()
        assert run_command([*arguments, "--home", str(scene.server.home)]) == expected
        return capsys.readouterr().out.strip()

    for line in re.findall(r"^liuhen (\w+ \w+)", GUIDE.read_text("utf-8"), re.MULTILINE):
        assert run_command([*line.split(), "--help"]) == 0
    listed = json.loads(here("keys", "list", "--json").splitlines()[0])
    assert (listed["system"], listed["state"], listed["scopes"]) == ("cms", "valid", sorted(SCOPES))
    assert "cms" in here("keys", "list")
    assert json.loads(here("webhooks", "list", "--json"))["id"] == scene.webhook
    assert scene.receiver.url in here("webhooks", "list")
    renewed = json.loads(here("webhooks", "renew", scene.webhook, "--json"))
    assert renewed["secret"] != scene.secret
    other = here("keys", "issue", "--system", "other", "--scope", "items.read")
    here("keys", "revoke", other.split("_")[1])
    address, headers = scene.server.address + "/api/v1/items", {"Authorization": f"Bearer {other}"}
    assert httpx.get(address, headers=headers, trust_env=False).status_code == 401
    here("keys", "revoke", other.split("_")[1], expected=66)
    here("keys", "issue", "--system", "Bad Name", "--scope", "items.read", expected=64)
    here("webhooks", "set", "--system", "nobody", "--url", "https://x.example/", expected=66)
    spare = here("webhooks", "set", "--system", "other", "--url", "https://x.example/").splitlines()[0]
    assert here("webhooks", "replay", spare, "--since", "2020-01-01", "--dead") == "0"
    here("webhooks", "remove", spare)
    here("webhooks", "remove", spare, expected=66)


def test_events_arrive_after_the_worker_was_killed(scene: Scene) -> None:
    scene.receiver.answer = lambda _: (503, {})
    before = len(scene.receiver.got)
    sent = int(run(scene.server, "webhooks", "replay", scene.webhook, "--since", "2020-01-01"))
    assert sent >= 1
    scene.receiver.wait(before + 1)
    scene.server.kill("worker")
    scene.receiver.answer = lambda _: (204, {})
    until = time.monotonic() + 60
    while time.monotonic() < until:
        (row,) = scene.get("/api/v1/webhooks")["webhooks"]
        if row["waiting"] == 0:
            break
        time.sleep(0.3)
    assert (row["waiting"], row["dead"]) == (0, 0)
    assert row["delivered"] >= sent
