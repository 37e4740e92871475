"""Schemathesis against a filled archive: does every address of the OpenAPI document answer as the document says?

Each caller is asked for by itself: what one may not do must be refused in documented words too.
"""

import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
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
_RULES = Path(__file__).with_name("api_judge.toml")
_READING = (Scope.CASES_READ, Scope.ITEMS_READ, Scope.EVENTS_READ)


@dataclass(frozen=True)
class Judged:
    """What the tool said to one caller. `is_good` is its exit code."""

    caller: str
    is_good: bool
    said: str


@dataclass(frozen=True)
class Scene:
    """A filled archive that is served over TLS, the header by which each caller is known, and ids of what there is."""

    home: ArchiveHome
    base: str
    callers: dict[str, str]
    known: dict[str, str]

    @property
    def authority(self) -> Path:
        """The root certificate."""
        return self.home.path / "ca" / "root.cert.pem"


@contextmanager
def scene(folder: Path, database_url: str) -> Iterator[Scene]:
    """Make and serve an archive with a case system's case, an item that is filed, an event, a webhook, a package."""
    home = make_home(
        folder, database_url, api_requests_per_minute=_FREELY, strangers_per_minute=_FREELY, heavy_per_minute=_FREELY,
        webhook_networks=("127.0.0.0/8",),
    )  # fmt: skip
    with seed.listening(create_app(home.services), tls=home.path / "ca" / "tls.pem") as base:
        dock = home.dock()
        keys = {name: _key(home, name, scopes) for name, scopes in (("cms", INTEGRATION_SCOPES), ("gone", _READING))}
        keys["reading"] = _key(home, "cms", _READING)
        revoke_integration_key(home.database, keys["gone"].split("_")[1], by=OPERATOR, at=home.clock.now())
        known = _fill(home, base, keys["cms"])
        callers = {
            "a system with every scope": f"Authorization: Bearer {keys['cms']}",
            "a system that reads": f"Authorization: Bearer {keys['reading']}",
            "a docking station": f"Authorization: Bearer {dock.api_key}",
            "a revoked key": f"Authorization: Bearer {keys['gone']}",
            "a supervisor": f"Cookie: {_session(home, base, Role.SUPERVISOR)}",
            "an auditor": f"Cookie: {_session(home, base, Role.AUDITOR)}",
            "nobody": "Accept: */*",
        }
        yield Scene(home, base, callers, known)
    home.services.close()


def _key(home: ArchiveHome, name: str, scopes: tuple[Scope, ...]) -> str:
    now = home.clock.now()
    return issue_integration_key(
        home.database, name=name, title=None, scopes=scopes, lifetime=timedelta(days=9), by=OPERATOR, at=now
    )


def _session(home: ArchiveHome, base: str, role: Role) -> str:
    home.person(role)
    with httpx.Client(base_url=base, trust_env=False, verify=_trust(home)) as client:
        answer = client.post("/sign-in", data={"username": role.value, "password": PASSWORD})
        assert answer.status_code == 303
        return f"__Host-liuhen_session={client.cookies['__Host-liuhen_session']}"


def _trust(home: ArchiveHome) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=home.path / "ca" / "root.cert.pem")


def _fill(home: ArchiveHome, base: str, key: str) -> dict[str, str]:
    """Fill the archive; return ids by the names that they have in addresses."""
    cms = CaseSystem.at(base, "cms", key, verify=_trust(home))
    answers = cms.push_all()
    assert {answer.status_code for answer in answers.values()} == {201}
    case_id = CaseId(UUID(answers["case"].json()["id"]))
    object_id = home.deliver(home.dock("Dock 2"), b"footage of the street")
    link_object(home.database, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())
    head = home.person(Role.UNIT_HEAD, "head")
    package_id = ask_for_package(
        home.database,
        case_id,
        by=head,
        purpose="移送",
        with_renditions=False,
        rules=home.services.retrievals.rules,
        at=home.clock.now(),
    )
    with home.database.read() as tx:
        integration_id = IntegrationId(integration_named(tx, "cms").id)
    webhook = set_webhook(
        home.services.webhooks, integration_id=integration_id, url="http://127.0.0.1:9/hook", types=list(EventType),
        by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    home.sequence()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([PROMPT, LONG, PACKAGE]):
        pass
    home.sequence()
    cms.client.close()
    return {
        "object_id": str(object_id), "case_id": str(case_id), "package_id": str(package_id), "webhook_id": str(webhook.id),
    }  # fmt: skip


def judge(
    made: Scene, caller: str, *, examples: int, phases: str, is_guided: bool = True, tags: Sequence[str] = ()
) -> Judged:
    """Have Schemathesis try the addresses, of these tags or all, as this caller. The same numbers try the same.

    It is guided when it is told ids of what there is; else it makes up its own.
    """
    config = made.home.path.parent / "schemathesis.toml"
    told = {"system": "cms", **(made.known if is_guided else {})}
    # A cookie from the command line is there in every request: one that the tool leaves out, or makes up, is not seen.
    made_up = "false" if made.callers[caller].startswith("Cookie") else "true"
    values = ", ".join(f'"path.{name}" = "{value}"' for name, value in told.items())
    config.write_text(f"parameters = {{ {values} }}\n{_RULES.read_text('utf-8')}", "utf-8")
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{made.base}/api/v1/openapi.json",
            "--header", made.callers[caller], "--max-examples", str(examples), "--phases", phases,
            "--tls-verify", str(made.authority), "--generation-deterministic", "--no-color", "--workers", "1",
            "--continue-on-failure", "--generation-with-security-parameters", made_up,
            *(part for tag in tags for part in ("--include-tag", tag)),
        ],
        cwd=made.home.path.parent, capture_output=True, text=True, check=False, timeout=7200,
    )  # fmt: skip
    return Judged(caller, done.returncode == 0, done.stdout + done.stderr)
