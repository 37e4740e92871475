"""A small bureau behind the real application, and one browser for each role."""

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from archive.access.policy import Role
from archive.cases.filing import link_object, open_case
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.records import file_text_record
from archive.cases.subjects import KnownSubject, NewSubject, record_subject
from archive.cases.terms import Category, RecordForm, SubjectKind
from archive.jobs.models import Job
from archive.kernel.ids import ObjectId
from archive.web.app import create_app
from tests.support import footage, hostile, seed
from tests.support.seed import PASSWORD, PEOPLE, Bureau
from tests.support.seed_records import begin

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "zh-CN,zh;q=0.9"}
HTMX = {"HX-Request": "true", "Accept-Language": "zh-CN"}
CREDIT_CODE = Identifier(IdentifierKind.CREDIT_CODE, "92530111MA6PA8CD24")
VIDEO, RECORD_TITLE = "现场 <b>检查</b>.mp4", "现场检查笔录"


def browser(base: str, **given: Any) -> httpx.Client:
    """Return a browser that nobody has signed in with; it follows nothing by itself."""
    return httpx.Client(base_url=base, headers=HTML, timeout=60, trust_env=False, **given)


def signed_in(base: str, role: Role) -> httpx.Client:
    """Return a browser in which this role has signed in."""
    client = browser(base)
    answer = client.post("/sign-in", data={"username": PEOPLE[role][0], "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return client


def signed_in_at(base: str, opened: ExitStack, usernames: Mapping[Role, str]) -> dict[Role, httpx.Client]:
    """Return a browser in which each of these people has signed in."""
    clients = {}
    for role, username in usernames.items():
        clients[role] = opened.enter_context(browser(base))
        answer = clients[role].post("/sign-in", data={"username": username, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
    return clients


@contextmanager
def everybody(base: str) -> Iterator[dict[Role | None, httpx.Client]]:
    """Give a signed-in browser for each role, and one that nobody has signed in with, under None."""
    with ExitStack() as opened:
        made: dict[Role | None, httpx.Client] = {None: browser(base)}
        made |= {role: signed_in(base, role) for role in PEOPLE}
        for client in made.values():
            opened.callback(client.close)
        yield made


def words(answer: httpx.Response) -> str:
    """Return what a person reads: no tags, one blank between words."""
    text = re.sub(r"<(script|style|title)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def small_scene(bureau: Bureau, media: Path) -> None:
    """Make one case with a record and three recordings, one that cannot be played, one that waits."""
    media.mkdir()
    handler = bureau.people[Role.CASE_HANDLER]
    dock = seed.new_dock(bureau, "北市区中队采集站")
    bureau.subjects["main"] = record_subject(
        bureau.services.database,
        bureau.services.identifiers,
        NewSubject("官渡区阿明烧烤店", SubjectKind.ORGANISATION, CREDIT_CODE),
        by=handler,
        at=bureau.now(),
    )
    case_id = bureau.cases["main"] = open_case(
        bureau.services.database,
        bureau.services.identifiers,
        number="官综执罚〔2026〕第031号",
        title="占道经营烧烤摊点案",
        category=Category.PENALTY,
        subject=KnownSubject(bureau.subjects["main"]),
        by=handler,
        at=bureau.now(),
    )
    start = seed.datetime(2026, 3, 2, 1, 30, tzinfo=seed.UTC)
    video = footage.make_clip(media / "a.mp4", seconds=1).read_bytes()
    sound = footage.make_clip(media / "a.m4a", seconds=1, video=()).read_bytes()
    broken = hostile.nothing_as_mp4(media / "notes.mp4").read_bytes()
    bureau.items["video"] = seed.deliver(bureau, dock, video, VIDEO, recorded_at=start)
    bureau.items["audio"] = seed.deliver(bureau, dock, sound, "询问.m4a", device=None, clock_offset_ms=None)
    bureau.items["unplayable"] = seed.deliver(bureau, dock, broken, "notes.mp4", clock_offset_ms=0)
    seed.work(bureau)
    bureau.items["pending"] = seed.deliver(bureau, dock, video + b"\0", "later.mp4", clock_offset_ms=-90)
    with bureau.services.database.begin() as tx:  # it waits, whatever else is worked on in the same bureau
        its_job = update(Job).where(Job.key == f"probe:{bureau.items['pending']}")
        tx.execute(its_job.values(not_before=bureau.now() + timedelta(days=1)))
    bureau.records["inspection"] = file_text_record(
        bureau.services.database,
        bureau.services.objects,
        bureau.services.signer,
        case_id=case_id,
        form=RecordForm.INSPECTION_RECORD,
        title=RECORD_TITLE,
        name="笔录.pdf",
        pdf=footage.make_pdf(media / "a.pdf", ["Inspection record"]).read_bytes(),
        by=handler,
        at=bureau.now(),
    )
    bureau.records["draft"] = ObjectId(begin(bureau, case_id, "questioning_record", "询问笔录"))
    link_object(
        bureau.services.database,
        case_id,
        bureau.items["video"],
        act_id=None,
        reason="现场执法记录",
        by=handler,
        at=bureau.now(),
    )
    seed.sequence(bureau)


@pytest.fixture(scope="session")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """One bureau for all tests: they add to it, and never change what `small_scene` made."""
    folder = tmp_path_factory.mktemp("bureau")
    made = seed.new_bureau(folder / "home", cn_profile=True)
    small_scene(made, folder / "media")
    yield made
    made.services.close()


@pytest.fixture(scope="session")
def app(bureau: Bureau) -> FastAPI:
    return create_app(bureau.services)


@pytest.fixture(scope="session")
def base(app: FastAPI) -> Iterator[str]:
    """Where the bureau is served."""
    with seed.listening(app) as address:
        yield address


@pytest.fixture(scope="session")
def browsers(base: str) -> Iterator[dict[Role | None, httpx.Client]]:
    """One signed-in browser for each role, and one that nobody has signed in with, under None."""
    with everybody(base) as made:
        yield made


@pytest.fixture
def supervisor(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.SUPERVISOR]


@pytest.fixture
def handler(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.CASE_HANDLER]


@pytest.fixture
def auditor(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.AUDITOR]


@pytest.fixture
def administrator(browsers: dict[Role | None, httpx.Client]) -> httpx.Client:
    return browsers[Role.ADMINISTRATOR]


@pytest.fixture
def anybody(base: str) -> Iterator[httpx.Client]:
    """A fresh browser without a session."""
    with browser(base) as client:
        yield client
