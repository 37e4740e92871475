"""Schemathesis against a filled archive: does every address of the OpenAPI document answer as the document says?

Each caller is asked for by itself: what one may not do must be refused in documented words too.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx

from archive.access.api_keys import INTEGRATION_SCOPES, Scope
from archive.access.integrations import integration_named, issue_integration_key, revoke_integration_key
from archive.access.policy import Role
from archive.cases.filing import link_object
from archive.jobs.queue import LONG, PACKAGE, PROMPT
from archive.kernel.ids import CaseId, IntegrationId
from archive.ledger.entries import OPERATOR
from archive.notify.events import EventType
from archive.notify.webhooks import set_webhook
from archive.packages.requests import ask_for_package
from archive.web.app import create_app
from archive.worker.loop import Worker
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, make_home
from tests.support.case_system import CaseSystem

_FREELY = 10_000_000
CONFIG = Path(__file__).with_name("api_judge.toml")
_READING = (Scope.CASES_READ, Scope.ITEMS_READ, Scope.EVENTS_READ)


@dataclass(frozen=True)
class Judged:
    """What the tool said to one caller. `is_good` is its exit code."""

    caller: str
    is_good: bool
    said: str


@dataclass(frozen=True)
class Scene:
    """A filled archive that is served, and the header by which each caller is known."""

    home: ArchiveHome
    base: str
    callers: dict[str, str]


@contextmanager
def scene(folder: Path, database_url: str) -> Iterator[Scene]:
    """Make and serve an archive with a case system's case, an item that is filed, an event, a webhook, a package."""
    home = make_home(
        folder, database_url, api_requests_per_minute=_FREELY, strangers_per_minute=_FREELY, heavy_per_minute=_FREELY,
        webhook_networks=("127.0.0.0/8",),
    )  # fmt: skip
    with seed.listening(create_app(home.services)) as base:
        dock = home.dock()
        keys = {name: _key(home, name, scopes) for name, scopes in (("cms", INTEGRATION_SCOPES), ("gone", _READING))}
        keys["reading"] = _key(home, "cms", _READING)
        revoke_integration_key(home.database, keys["gone"].split("_")[1], by=OPERATOR, at=home.clock.now())
        _fill(home, base, keys["cms"])
        callers = {
            "a system with every scope": f"Authorization: Bearer {keys['cms']}",
            "a system that reads": f"Authorization: Bearer {keys['reading']}",
            "a docking station": f"Authorization: Bearer {dock.api_key}",
            "a revoked key": f"Authorization: Bearer {keys['gone']}",
            "a supervisor": f"Cookie: {_session(home, base, Role.SUPERVISOR)}",
            "an auditor": f"Cookie: {_session(home, base, Role.AUDITOR)}",
            "nobody": "Accept: */*",
        }
        yield Scene(home, base, callers)
    home.services.close()


def _key(home: ArchiveHome, name: str, scopes: tuple[Scope, ...]) -> str:
    now = home.clock.now()
    return issue_integration_key(
        home.database, name=name, title=None, scopes=scopes, lifetime=timedelta(days=9), by=OPERATOR, at=now
    )


def _session(home: ArchiveHome, base: str, role: Role) -> str:
    home.person(role)
    with httpx.Client(base_url=base, trust_env=False) as client:
        answer = client.post("/sign-in", data={"username": role.value, "password": PASSWORD})
        assert answer.status_code == 303
        return f"liuhen_session={client.cookies['liuhen_session']}"


def _fill(home: ArchiveHome, base: str, key: str) -> None:
    cms = CaseSystem.at(base, "cms", key)
    answers = cms.push_all()
    assert {answer.status_code for answer in answers.values()} == {201}
    case_id = CaseId(UUID(answers["case"].json()["id"]))
    object_id = home.deliver(home.dock("Dock 2"), b"footage of the street")
    link_object(home.database, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    head = home.person(Role.UNIT_HEAD, "head")
    ask_for_package(home.database, case_id, by=head, purpose="移送", with_renditions=False, at=home.clock.now())
    with home.database.read() as tx:
        integration_id = IntegrationId(integration_named(tx, "cms").id)
    set_webhook(
        home.services.webhooks, integration_id=integration_id, url="http://127.0.0.1:9/hook", types=list(EventType),
        by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    home.sequence()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([PROMPT, LONG, PACKAGE]):
        pass
    home.sequence()
    cms.client.close()


def judge(
    made: Scene, caller: str, *, examples: int, seed_number: int = 1, phases: str = "examples,coverage,fuzzing"
) -> Judged:
    """Have Schemathesis try every address as this caller. The same numbers try the same."""
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{made.base}/api/v1/openapi.json",
            "--header", made.callers[caller], "--max-examples", str(examples), "--seed", str(seed_number), "--phases", phases,
            "--generation-deterministic", "--no-color", "--workers", "1", "--continue-on-failure",
        ],
        capture_output=True, text=True, check=False, timeout=7200,
    )  # fmt: skip
    return Judged(caller, done.returncode == 0, done.stdout + done.stderr)
