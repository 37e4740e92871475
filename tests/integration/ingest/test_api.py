"""The doors for machines: what they answer, that every error is a problem, and that nothing is acknowledged too early."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome
from archive.kernel.ids import new_uuid7
from archive.ledger.entries import OPERATOR
from archive.ledger.receipt import verify_receipt
from archive.ledger.trustfile import TrustFile
from archive.web.app import create_app
from ingest.docks import invite_dock, revoke_dock
from ingest.manifest import sign_manifest
from ingest.uploads import terminate_upload
from tests.support.archive_home import ArchiveHome, EnrolledDock, doom_commits, spare_commits

UPLOADS = "/api/v1/uploads"
DATA = b"footage" * 1000
SECURITY = {
    "content-security-policy", "x-content-type-options", "referrer-policy", "cross-origin-opener-policy",
    "cross-origin-resource-policy", "permissions-policy", "x-request-id",
}  # fmt: skip


class Door:
    """A client of the real application, in one event loop with it."""

    def __init__(self, home: ArchiveHome, http: httpx.AsyncClient) -> None:
        self.home, self.http = home, http

    async def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        answer = await self.http.request(method, path, **given)
        assert set(answer.headers) >= SECURITY, answer.headers
        return answer

    async def refused(self, status: int, code: str, method: str, path: str, **given: Any) -> httpx.Response:
        """Ask for something that is refused, and look at the form of the refusal."""
        return await self.refused_by_one_of({status: code}, method, path, **given)

    async def refused_by_one_of(self, codes: Mapping[int, str], method: str, path: str, **given: Any) -> httpx.Response:
        """As `refused`, where it is not the question alone that decides how."""
        answer = await self.ask(method, path, **given)
        status = answer.status_code
        assert status in codes, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        if method != "HEAD":
            problem = json.loads(answer.content)
            assert (problem["status"], problem["code"]) == (status, codes[status])
            assert problem["type"] == f"urn:liuhen:problem:{codes[status]}"
            assert problem["title"]
            assert problem["request_id"] == answer.headers["x-request-id"]
        return answer

    async def create(self, dock: EnrolledDock, data: bytes = DATA, name: str = "a.mp4", **given: Any) -> httpx.Response:
        said = given.pop("said", data)
        headers = {**dock.headers, **given.pop("headers", {}), **creation(dock, said, len(data), name)}
        return await self.ask("POST", UPLOADS, headers=headers, **given)

    async def patch(self, dock: EnrolledDock, path: str, data: bytes, at: int = 0, **more: str) -> httpx.Response:
        return await self.ask("PATCH", path, headers=patching(dock, at, **more), content=data)


def creation(dock: EnrolledDock, data: bytes, size: int, name: str = "a.mp4") -> dict[str, str]:
    manifest = dock.manifest(digest_of(data), name)
    return {"Upload-Length": str(size), "Upload-Metadata": metadata(manifest, sign_manifest(manifest, dock.key))}


def metadata(manifest: bytes, signature: bytes) -> str:
    return f"manifest {base64.b64encode(manifest).decode()},signature {base64.b64encode(signature).decode()}"


def patching(dock: EnrolledDock, at: int = 0, **more: str) -> dict[str, str]:
    return {
        **dock.headers,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(at),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


type_play = Callable[[Callable[[Door], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(home: ArchiveHome) -> type_play:
    """Run a scene against the application, sweep and all."""

    def run(scene: Callable[[Door], Coroutine[Any, Any, None]], *, headers: Mapping[str, str] | None = None) -> None:
        async def played() -> None:
            app = create_app(home.services)
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with (
                _living(app),
                httpx.AsyncClient(transport=transport, base_url="http://archive.example", headers=headers) as http,
            ):
                await scene(Door(home, http))

        asyncio.run(asyncio.wait_for(played(), 60))

    return run


@asynccontextmanager
async def _living(app: Any) -> AsyncIterator[None]:
    async with app.router.lifespan_context(app):
        yield


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


def test_from_enrolment_to_a_receipt(home: ArchiveHome, dock: EnrolledDock, play: type_play) -> None:
    async def scene(door: Door) -> None:
        options = await door.ask("OPTIONS", UPLOADS)
        assert options.status_code == 204
        assert options.headers["tus-version"] == "1.0.0"
        assert set(options.headers["tus-extension"].split(",")) == {
            "creation", "creation-with-upload", "checksum", "termination", "expiration",
        }  # fmt: skip
        assert set(options.headers["tus-checksum-algorithm"].split(",")) == {"sha1", "sha256"}
        created = await door.create(dock)
        assert created.status_code == 201
        path = created.headers["location"]
        assert created.headers["upload-offset"] == "0"
        assert "upload-expires" in created.headers
        first = await door.patch(
            dock, path, DATA[:3000], Upload_Checksum=f"sha1 {_b64(hashlib.sha1(DATA[:3000]).digest())}"
        )
        assert (first.status_code, first.headers["upload-offset"]) == (204, "3000")
        head = await door.ask("HEAD", path, headers=dock.headers)
        assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("3000", str(len(DATA)))
        assert head.headers["cache-control"] == "no-store"
        assert head.headers["upload-metadata"].startswith("manifest ")
        second = await door.patch(dock, path, DATA[3000:], at=3000)
        assert (second.status_code, second.headers["upload-offset"]) == (204, str(len(DATA)))
        assert "upload-expires" not in second.headers
        waiting = await door.ask("GET", f"{path}/receipt", headers=dock.headers)
        assert (waiting.status_code, waiting.content) == (202, b"")
        home.sequence()
        receipt = await door.ask("GET", f"{path}/receipt", headers={"Authorization": dock.headers["Authorization"]})
        assert receipt.status_code == 200
        report = verify_receipt(receipt.content, trust=home.services.trust, digests=digest_of(DATA))
        assert report.outcome is Outcome.VALID

    play(scene)


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def test_creating_with_the_bytes_at_once(dock: EnrolledDock, play: type_play) -> None:
    content = {"Content-Type": "application/offset+octet-stream"}

    async def scene(door: Door) -> None:
        whole = await door.create(dock, headers=content, content=DATA)
        assert (whole.status_code, whole.headers["upload-offset"]) == (201, str(len(DATA)))
        part = await door.create(dock, b"other" + DATA, headers=content, content=b"other")
        assert (part.status_code, part.headers["upload-offset"]) == (201, "5")
        wrong = {**content, "Upload-Checksum": f"sha256 {_b64(bytes(32))}"}
        dropped = await door.create(dock, b"more" + DATA, headers=wrong, content=b"more")
        assert (dropped.status_code, dropped.headers["upload-offset"]) == (201, "0"), "it exists, and holds nothing"
        bad = await door.create(dock, b"came", said=b"said", headers=content, content=b"came")
        assert bad.status_code == 422
        assert bad.json()["code"] == "ingest.digest_mismatch"

    play(scene)


def test_enrolment(home: ArchiveHome, play: type_play) -> None:
    code = invite_dock(home.database, name="采集站", by=OPERATOR, at=home.clock.now())

    async def scene(door: Door) -> None:
        path, key = "/api/v1/docks/enrolment", _b64(bytes(range(32)))
        await door.refused(400, "input.invalid", "POST", path, json={"code": code})
        await door.refused(400, "input.invalid", "POST", path, json={"code": code, "public_key": key, "more": 1})
        await door.refused(400, "input.invalid", "POST", path, json={"code": code, "public_key": "not base64!"})
        await door.refused(400, "input.invalid", "POST", path, json={"code": code, "public_key": _b64(b"short")})
        await door.refused(
            400, "input.invalid", "POST", path, content=b"{", headers={"Content-Type": "application/json"}
        )
        await door.refused(
            403, "ingest.enrolment_refused", "POST", path, json={"code": "AAAA-AAAA-AAAA-AAAA", "public_key": key}
        )
        made = await door.ask("POST", path, json={"code": code, "public_key": key})
        assert made.status_code == 201
        assert TrustFile.parse(made.json()["trust"].encode()) == home.services.trust
        await door.refused(403, "ingest.enrolment_refused", "POST", path, json={"code": code, "public_key": key})

    play(scene)


def test_every_refusal_of_the_uploads_is_a_problem(home: ArchiveHome, dock: EnrolledDock, play: type_play) -> None:
    other = home.dock("Dock 2")
    revoked = home.dock("Dock 3")
    revoke_dock(home.database, revoked.id, by=OPERATOR, at=home.clock.now())
    mine = f"{UPLOADS}/{home.begin(dock, DATA).id}"
    gone = home.begin(dock, DATA).id
    terminate_upload(home.intake, gone, dock_id=dock.id)
    good = {**dock.headers, **creation(dock, DATA, len(DATA))}
    offset = {"Content-Type": "application/offset+octet-stream"}

    def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name not in names}

    async def scene(door: Door) -> None:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {dock.api_key}"}):
            asked = {"Tus-Resumable": "1.0.0", **headers}
            await door.refused(401, "access.key_refused", "POST", UPLOADS, headers=asked)
            await door.refused(401, "access.key_refused", "GET", f"{mine}/receipt", headers=asked)
        denied = await door.refused(403, "ingest.dock_revoked", "HEAD", mine, headers=revoked.headers)
        denied = await door.refused(403, "ingest.dock_revoked", "POST", UPLOADS, headers={**good, **revoked.headers})
        assert "enrolled anew" in denied.json()["title"]
        for version in ({}, {"Tus-Resumable": "0.2.2"}):
            answer = await door.refused(
                412, "tus.version_unsupported", "POST", UPLOADS, headers={**without(good, "Tus-Resumable"), **version}
            )
            assert answer.headers["tus-version"] == "1.0.0"
        for length in ("", "-1", "1.5", "x", "9" * 30, "٣"):
            headers = {**good, "Upload-Length": length.encode()}
            await door.refused(400, "input.invalid", "POST", UPLOADS, headers=headers)
        await door.refused(422, "ingest.empty_file", "POST", UPLOADS, headers={**good, "Upload-Length": "0"})
        await door.refused(413, "ingest.too_large", "POST", UPLOADS, headers={**good, "Upload-Length": str(1 << 50)})
        await door.refused(400, "ingest.manifest_missing", "POST", UPLOADS, headers=without(good, "Upload-Metadata"))
        for broken in ("manifest", "manifest !,signature eA==", "manifest eA==,manifest eA==", ",", "ключ eA=="):
            headers = {**good, "Upload-Metadata": broken.encode()}
            answer = await door.ask("POST", UPLOADS, headers=headers)
            assert answer.status_code == 400, broken
        for manifest in (b"x", b"{}", b"\xff"):
            headers = {**good, "Upload-Metadata": metadata(manifest, bytes(64))}
            await door.refused(422, "ingest.manifest_malformed", "POST", UPLOADS, headers=headers)
        await door.refused(
            422, "ingest.manifest_malformed", "POST", UPLOADS, headers={**good, "Upload-Length": str(len(DATA) + 1)}
        )
        await door.refused(415, "tus.content_type", "POST", UPLOADS, headers=good, content=b"x")
        await door.refused(
            400,
            "input.invalid",
            "POST",
            UPLOADS,
            headers={**good, **offset, "Upload-Checksum": "md5 eA=="},
            content=b"x",
        )

        await door.refused(404, "ingest.upload_not_found", "HEAD", mine, headers=other.headers)
        for path in (f"{UPLOADS}/{new_uuid7()}", f"{UPLOADS}/x", f"{UPLOADS}/..%2f..%2fetc", f"{mine}x"):
            for method in ("HEAD", "DELETE", "PATCH"):
                headers = patching(dock)
                await door.refused(404, "ingest.upload_not_found", method, path, headers=headers)
        await door.refused(410, "ingest.upload_gone", "PATCH", f"{UPLOADS}/{gone}", headers=patching(dock))
        await door.refused(405, "tus.method", "GET", mine, headers=dock.headers)
        await door.refused(405, "tus.method", "PUT", UPLOADS, headers=dock.headers)
        await door.refused(415, "tus.content_type", "PATCH", mine, headers={**dock.headers, "Upload-Offset": "0"})
        await door.refused(400, "input.invalid", "PATCH", mine, headers=without(patching(dock), "Upload-Offset"))
        conflict = await door.refused(
            409, "ingest.offset_conflict", "PATCH", mine, headers=patching(dock, 7), content=b"x"
        )
        assert conflict.headers["upload-offset"] == "0"
        await door.refused(413, "ingest.too_long", "PATCH", mine, headers=patching(dock), content=DATA + b"x")
        wrong = patching(dock, Upload_Checksum=f"sha1 {_b64(bytes(20))}")
        await door.refused(460, "ingest.checksum_mismatch", "PATCH", mine, headers=wrong, content=b"x")
        for checksum in ("sha1", "sha1 !", "sha1 eA==", f"md5 {_b64(bytes(16))}", ""):
            await door.refused(
                400, "input.invalid", "PATCH", mine, headers=patching(dock, Upload_Checksum=checksum), content=b"x"
            )
        odd = {**patching(dock), "Upload-Checksum": b"sha1 \xe9"}
        await door.refused(400, "input.invalid", "PATCH", mine, headers=odd, content=b"x")
        assert (await door.ask("HEAD", mine, headers=dock.headers)).headers["upload-offset"] == "0"

    play(scene)


def test_an_address_that_is_not_there_and_a_method_that_is_not_known(play: type_play) -> None:
    async def scene(door: Door) -> None:
        await door.refused(404, "input.not_found", "GET", "/api/v1/nothing")
        await door.refused(404, "input.not_found", "POST", "/api/v2/uploads")
        wrong = await door.refused(405, "input.invalid", "GET", "/api/v1/docks/enrolment")
        assert wrong.headers["allow"] == "POST"

    play(scene)


def test_finished_and_terminated(home: ArchiveHome, dock: EnrolledDock, play: type_play) -> None:
    async def scene(door: Door) -> None:
        path = (await door.create(dock)).headers["location"]
        assert (await door.ask("DELETE", path, headers=dock.headers)).status_code == 204
        await door.refused(410, "ingest.upload_gone", "DELETE", path, headers=dock.headers)
        done = (await door.create(dock)).headers["location"]
        await door.patch(dock, done, DATA)
        await door.refused(409, "ingest.upload_finished", "DELETE", done, headers=dock.headers)
        assert home.count("evidence_item") == 1

    play(scene)


def test_what_went_to_quarantine_is_told_at_every_question(dock: EnrolledDock, play: type_play) -> None:
    async def scene(door: Door) -> None:
        path = (await door.create(dock, b"came", said=b"said")).headers["location"]
        code = "ingest.digest_mismatch"
        await door.refused(422, code, "PATCH", path, headers=patching(dock), content=b"came")
        await door.refused(422, code, "GET", f"{path}/receipt", headers=dock.headers)

    play(scene)


def test_a_commit_that_fails_is_never_acknowledged(home: ArchiveHome, dock: EnrolledDock, play: type_play) -> None:
    code = invite_dock(home.database, name="采集站", by=OPERATOR, at=home.clock.now())
    path = f"{UPLOADS}/{home.begin(dock, DATA).id}"
    enrolment = {"code": code, "public_key": _b64(bytes(range(32)))}

    async def scene(door: Door) -> None:
        begun = {**dock.headers, **creation(dock, b"x", 1)}
        # Where the commit was shared, the fault may be another one's, and one may try again.
        codes = {500: "internal.error", **({503: "service.unavailable"} if home.database.is_sqlite else {})}
        for table, method, where, given in (
            ("log_entry", "POST", "/api/v1/docks/enrolment", {"json": enrolment}),
            ("upload", "POST", UPLOADS, {"headers": begun}),
            ("log_entry", "PATCH", path, {"headers": patching(dock), "content": DATA}),
        ):
            doom_commits(home.database, table)
            await door.refused_by_one_of(codes, method, where, **given)
            spare_commits(home.database, table)
        assert (home.count("dock"), home.count("upload"), home.count("evidence_item")) == (1, 1, 0)
        # What was durable stays, and the next question finishes it.
        head = await door.ask("HEAD", path, headers=dock.headers)
        assert head.headers["upload-offset"] == str(len(DATA))
        await until(lambda: home.count("evidence_item") == 1)
        assert (await door.ask("POST", "/api/v1/docks/enrolment", json=enrolment)).status_code == 201
        home.sequence()
        assert (await door.ask("GET", f"{path}/receipt", headers=dock.headers)).status_code == 200
        home.assert_sound()

    play(scene)


def test_what_nobody_foresaw_is_a_problem_too_and_tells_nothing(
    home: ArchiveHome, dock: EnrolledDock, play: type_play
) -> None:
    path = f"{UPLOADS}/{home.begin(dock, DATA).id}"

    async def scene(door: Door) -> None:
        published = home.path / "log" / "checkpoint"
        published.unlink()
        published.mkdir()
        answer = await door.refused(500, "internal.error", "GET", "/log/checkpoint")
        assert str(home.path) not in answer.text
        home.execute("ALTER TABLE upload RENAME TO upload_away")
        for method in ("HEAD", "PATCH", "DELETE"):
            answer = await door.ask(method, path, headers=patching(dock), content=b"")
            assert answer.status_code in {500, 503}
            assert answer.headers["content-type"] == "application/problem+json"
            assert "upload_away" not in answer.text
            assert "SELECT" not in answer.text
        home.execute("ALTER TABLE upload_away RENAME TO upload")

    play(scene)


def test_a_request_from_another_site_is_refused(home: ArchiveHome, play: type_play) -> None:
    code = invite_dock(home.database, name="采集站", by=OPERATOR, at=home.clock.now())
    body = {"code": code, "public_key": _b64(bytes(range(32)))}

    async def scene(door: Door) -> None:
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://archive.example"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://archive.example.evil.example"},
            {"Origin": "http://archive.example:8080"},
        ):
            for path in ("/api/v1/docks/enrolment", "/sign-in", UPLOADS):
                await door.refused(403, "access.cross_site", "POST", path, headers=headers, json=body)
        assert (await door.ask("GET", "/api/v1/health", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200
        assert home.count("dock") == 0
        own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://archive.example"}
        assert (await door.ask("POST", "/api/v1/docks/enrolment", headers=own, json=body)).status_code == 201

    play(scene)


def test_the_log_and_the_clock_are_open_to_all(home: ArchiveHome, play: type_play) -> None:
    async def scene(door: Door) -> None:
        checkpoint = await door.ask("GET", "/log/checkpoint")
        assert checkpoint.content == (home.path / "log" / "checkpoint").read_bytes()
        assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
        assert checkpoint.headers["cache-control"] == "no-cache"
        assert (await door.ask("GET", "/api/v1/time")).json()["now"].endswith("Z")
        assert (await door.ask("GET", "/api/v1/health")).json() == {"status": "ok"}
        authority = await door.ask("GET", "/api/v1/ca.pem")
        assert authority.content == home.services.authority.root_pem
        assert b"PRIVATE" not in authority.content

    play(scene)


def test_the_sweep_finishes_what_it_can_whatever_stops_one(
    home: ArchiveHome, dock: EnrolledDock, play: type_play
) -> None:
    lost = home.bring(dock, b"lost")
    (home.path / "staging" / str(lost)).unlink()
    broken = home.bring(dock, b"broken")
    (home.path / "staging" / str(broken)).unlink()
    (home.path / "staging" / str(broken)).mkdir()
    bad = home.bring(dock, b"came", said=b"said")
    good = home.bring(dock, b"good")
    idle = home.begin(dock, b"idle").id
    home.execute("UPDATE upload SET expires_at = created_at WHERE offset_bytes = 0")

    async def scene(door: Door) -> None:
        await until(lambda: home.upload(good).state == "accepted" and home.upload(idle).state == "expired")
        assert home.upload(bad).state == "quarantined"
        assert (home.upload(lost).state, home.upload(broken).state) == ("complete", "complete")

    play(scene)
