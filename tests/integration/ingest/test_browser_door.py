"""Uploading in the browser: the archive signs what a person declares, and each sees own uploads only."""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from archive.access.policy import Role
from archive.evidence.models import EvidenceItem
from archive.evidence.terms import RecordedFrom, SourceKind
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome
from archive.ledger.entries import OPERATOR
from archive.ledger.receipt import verify_receipt
from archive.web.app import create_app
from ingest.docks import revoke_dock
from ingest.listings import receptions, sent_by
from ingest.manifest import parse_manifest, sign_manifest
from signing.ed25519 import Ed25519KeyHandle
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock

UPLOADS, MANIFESTS = "/api/v1/uploads", "/api/v1/door/manifests"
DATA = b"what a phone filmed" * 1000
BASE = "http://archive.example"


class Browser:
    """A browser in which somebody has signed in."""

    def __init__(self, home: ArchiveHome, http: httpx.AsyncClient) -> None:
        self.home, self.http = home, http

    async def sign_in(self, role: Role) -> "Browser":
        self.person = self.home.person(role)
        answer = await self.http.post("/sign-in", data={"username": self.person.username, "password": PASSWORD})
        assert answer.status_code == 303
        return self

    async def declare(self, data: bytes = DATA, **given: Any) -> httpx.Response:
        said = {"name": "手机.mp4", "size": len(data), "digests": digest_of(data).as_json(), **given}
        return await self.http.post(MANIFESTS, json=said)

    async def create(self, signed: Mapping[str, str], size: int = len(DATA), **headers: str) -> httpx.Response:
        return await self.http.post(UPLOADS, headers={**creation(signed, size), **headers})

    async def send(self, path: str, data: bytes, at: int = 0) -> httpx.Response:
        return await self.http.patch(path, headers=sending(at), content=data)

    async def upload(self, data: bytes = DATA, **given: Any) -> str:
        declared = await self.declare(data, **given)
        assert declared.status_code == 200, declared.text
        created = await self.create(declared.json(), len(data))
        assert created.status_code == 201, created.text
        path: str = created.headers["location"]
        assert (await self.send(path, data)).status_code == 204
        return path


def creation(signed: Mapping[str, str], size: int) -> dict[str, str]:
    told = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in signed.items())
    return {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": told}


def sending(at: int = 0) -> dict[str, str]:
    return {
        "Tus-Resumable": "1.0.0",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(at),
    }


def code(answer: httpx.Response) -> str:
    found: str = json.loads(answer.content)["code"]
    return found


Open = Callable[[Role], Coroutine[Any, Any, Browser]]


@pytest.fixture
def play(home: ArchiveHome) -> Callable[[Callable[[Open], Coroutine[Any, Any, None]]], None]:
    """Run a scene against the application; `await open_browser(role)` gives a signed-in browser."""

    def run(scene: Callable[[Open], Coroutine[Any, Any, None]]) -> None:
        async def played() -> None:
            app = create_app(home.services)
            made: list[httpx.AsyncClient] = []

            async def open_browser(role: Role) -> Browser:
                transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
                http = httpx.AsyncClient(transport=transport, base_url=BASE, headers={"Sec-Fetch-Site": "same-origin"})
                made.append(http)
                return await Browser(home, http).sign_in(role)

            async with app.router.lifespan_context(app):
                try:
                    await scene(open_browser)
                finally:
                    for http in made:
                        await http.aclose()

        asyncio.run(asyncio.wait_for(played(), 60))

    return run


Play = Callable[[Callable[[Open], Coroutine[Any, Any, None]]], None]


def test_from_declaring_to_the_receipt(home: ArchiveHome, play: Play) -> None:
    case_id = home.case("官综执罚〔2026〕第031号")

    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        me = browser.person
        path = await browser.upload(
            modified="2026-03-02T01:31:12.500Z", case="官综执罚〔2026〕第031号", source="phone", note="群众提供"
        )
        assert (await browser.http.get(f"{path}/receipt")).status_code == 202
        home.sequence()
        receipt = (await browser.http.get(f"{path}/receipt")).content
        report = verify_receipt(receipt, trust=home.services.trust, digests=digest_of(DATA))
        assert report.outcome is Outcome.VALID
        with home.database.read() as tx:
            (sent,) = sent_by(tx, me.account_id)
            (reception,) = receptions(tx, sent.upload.object_id)  # type: ignore[arg-type]
            item = tx.get_one(EvidenceItem, sent.upload.object_id)
        assert (sent.name, sent.upload.state) == ("手机.mp4", "accepted")
        assert (reception.dock_kind, reception.sender_name) == ("browser", me.display_name)
        assert (item.source_kind, reception.note) == ("phone", "群众提供")
        manifest = parse_manifest(sent.upload.manifest)
        assert manifest.fields["sender"] == {
            "door": "browser", "account": str(me.account_id), "session": sent.upload.credential,
        }  # fmt: skip
        assert manifest.fields["times"]["modified"] == "2026-03-02T01:31:12.500000Z"
        received = next(entry for entry in home.entries() if entry["type"] == "ingest.received")
        assert received["actor"] == str(me.account_id)
        assert received["auth"] == sent.upload.credential
        assert received["auth"].startswith("session:")
        assert received["dev"] == str(sent.upload.dock_id)
        linked = next(entry for entry in home.entries() if entry["type"] == "case.link")
        assert (linked["case"], linked["actor"]) == (str(case_id), str(me.account_id))
        home.assert_sound()

    play(scene)


def test_nobody_else_can_use_an_upload(home: ArchiveHome, play: Play) -> None:
    dock = home.dock()

    async def scene(open_browser: Open) -> None:
        mine, other = await open_browser(Role.CASE_HANDLER), await open_browser(Role.SUPERVISOR)
        signed = (await mine.declare()).json()
        stolen = await other.create(signed)
        assert (stolen.status_code, code(stolen)) == (403, "ingest.not_your_manifest")
        path = (await mine.create(signed)).headers["location"]
        tus = {"Tus-Resumable": "1.0.0"}
        for answer in (
            await other.http.head(path, headers=tus),
            await other.send(path, DATA),
            await other.http.delete(path, headers=tus),
            await other.http.get(f"{path}/receipt"),
            await mine.http.head(path, headers={**dock.headers, "Cookie": ""}),
        ):
            assert answer.status_code == 404
        assert (await mine.http.head(path, headers=tus)).headers["upload-offset"] == "0"
        assert (await mine.http.delete(path, headers=tus)).status_code == 204
        assert (await mine.http.head(path, headers=tus)).status_code == 410

    play(scene)


def test_a_manifest_of_ones_own_making_is_refused_before_a_byte(home: ArchiveHome, play: Play) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        signed = (await browser.declare()).json()
        raw = signed["manifest"].encode()
        key = Ed25519KeyHandle.generate(home.path / "mine.pem")
        forged = {"manifest": signed["manifest"], "signature": base64.b64encode(sign_manifest(raw, key)).decode()}
        changed = {**signed, "manifest": signed["manifest"].replace("手机", "手表")}
        for bad in (forged, changed):
            answer = await browser.create(bad)
            assert (answer.status_code, code(answer)) == (403, "ingest.not_your_manifest")
        assert home.count("upload") == 0

    play(scene)


def test_other_bytes_than_declared_are_quarantined(home: ArchiveHome, play: Play) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        signed = (await browser.declare()).json()
        path = (await browser.create(signed)).headers["location"]
        answer = await browser.send(path, b"x" * len(DATA))
        assert (answer.status_code, code(answer)) == (422, "ingest.digest_mismatch")
        assert (await browser.http.get(f"{path}/receipt")).status_code == 422
        home.sequence()
        home.assert_sound()

    play(scene)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ADMINISTRATOR])
def test_who_may_not_upload(play: Play, role: Role) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(role)
        for answer in (
            await browser.declare(),
            await browser.create({"manifest": "{}", "signature": ""}),
            await browser.http.get("/upload"),
        ):
            assert (answer.status_code, code(answer)) == (403, "access.forbidden")

    play(scene)


def test_what_is_declared_wrongly_is_told_before_anything_is_sent(home: ArchiveHome, play: Play) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.SUPERVISOR)
        digests = digest_of(DATA).as_json()
        for status, cause, given in (
            (404, "cases.not_found", {"case": "no such case"}),
            (422, "ingest.empty_file", {"size": 0}),
            (413, "ingest.too_large", {"size": 1 << 50}),
            (400, "input.invalid", {"digests": {"sha256": digests["sha256"]}}),
            (400, "input.invalid", {"digests": {**digests, "sha256": "zz"}}),
            (400, "input.invalid", {"modified": "yesterday"}),
            (400, "input.invalid", {"source": "telepathy"}),
            (400, "input.invalid", {"name": ""}),
            (422, "ingest.manifest_malformed", {"name": "a\0b"}),
            (400, "input.invalid", {"more": 1}),
        ):
            answer = await browser.declare(**given)
            assert (answer.status_code, code(answer)) == (status, cause), given
        lone = await browser.http.post(
            MANIFESTS, content=json.dumps({"name": "\ud800", "size": 1, "digests": digests}).encode()
        )
        assert lone.status_code == 400
        assert home.count("upload") == 0
        answer = await browser.http.post(MANIFESTS, json={}, headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status_code, code(answer)) == (403, "access.cross_site")

    play(scene)


def test_what_the_name_says_is_kept_and_the_person_s_word_stands_above_it(home: ArchiveHome, play: Play) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        named = "IMG_20260302_093112.jpg"
        signed = (await browser.declare(name=named, source="drone")).json()
        said = parse_manifest(signed["manifest"].encode())
        assert (said.source_kind, said.recorded_from) == (SourceKind.DRONE, RecordedFrom.NAME)
        assert said.fields["times"]["named"] == "2026-03-02T09:31:12+08:00"
        by_name = parse_manifest((await browser.declare(name=named)).json()["manifest"].encode())
        assert by_name.source_kind == SourceKind.PHONE

    play(scene)


def test_an_upload_goes_on_in_another_session_of_the_same_person(home: ArchiveHome, play: Play) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        path = (await browser.create((await browser.declare()).json())).headers["location"]
        assert (await browser.send(path, DATA[:5000])).headers["upload-offset"] == "5000"
        await browser.http.post("/sign-out")
        gone = await browser.send(path, DATA[5000:], at=5000)
        assert (gone.status_code, code(gone)) == (401, "access.not_signed_in")
        await browser.http.post("/sign-in", data={"username": browser.person.username, "password": PASSWORD})
        assert (await browser.send(path, DATA[5000:], at=5000)).status_code == 204
        home.sequence()
        assert (await browser.http.get(f"{path}/receipt")).status_code == 200
        home.assert_sound()

    play(scene)


def test_the_same_file_from_a_dock_and_from_a_browser_is_one_item(
    home: ArchiveHome, dock: EnrolledDock, play: Play
) -> None:
    home.deliver(dock, DATA)

    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        await browser.upload()
        assert home.count("evidence_item") == 1
        home.sequence()
        home.assert_sound()

    play(scene)


def test_a_closed_door_opens_again_with_another_key(home: ArchiveHome, play: Play) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        await browser.upload()
        door = home.services.doors.browser()
        revoke_dock(home.database, door.dock_id, by=OPERATOR, at=home.clock.now())
        answer = await browser.declare()
        assert (answer.status_code, code(answer)) == (403, "ingest.dock_revoked")
        home.services.doors.open_anew(by=OPERATOR)
        assert home.services.doors.browser().dock_id != door.dock_id
        await browser.upload(DATA + b"!")
        assert [entry["type"] for entry in home.entries()].count("admin.dock_enrolled") == 2
        home.sequence()
        home.assert_sound()

    play(scene)


def test_the_door_is_made_once_however_many_ask(home: ArchiveHome) -> None:
    with ThreadPoolExecutor(8) as pool:
        doors = set(pool.map(lambda _: home.services.doors.browser().dock_id, range(16)))
    assert len(doors) == 1
    assert home.count("dock") == 1
    assert (home.path / "keys" / "door-browser.pem").stat().st_mode & 0o077 == 0


def test_an_archive_from_before_there_were_doors_gets_its_key(home: ArchiveHome) -> None:
    (home.path / "keys" / "door-browser.pem").unlink()
    home.services.doors.browser()
    assert (home.path / "keys" / "door-browser.pem").exists()


def test_only_the_hasher_may_compile_webassembly(play: Play) -> None:
    async def scene(open_browser: Open) -> None:
        browser = await open_browser(Role.CASE_HANDLER)
        for path, may in (("/static/upload-hasher.js", True), ("/static/upload.js", False), ("/upload", False)):
            answer = await browser.http.get(path)
            assert answer.status_code == 200
            assert ("wasm-unsafe-eval" in answer.headers["content-security-policy"]) is may
            assert "'unsafe-eval'" not in answer.headers["content-security-policy"]

    play(scene)
