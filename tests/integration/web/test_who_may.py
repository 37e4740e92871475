"""Every page against every role. Default deny: a page without a row in the table fails, and so does one unguarded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from archive.access.policy import Role
from archive.evidence.recordings import recording_of
from archive.kernel.ids import RecordingId
from archive.web.api.v1.guards import presented_integration
from archive.web.dependencies import required_caller
from tests.support.seed import Bureau

_CASE_HANDLER, _SUPERVISOR, _AUDITOR, _ADMIN = (
    Role.CASE_HANDLER,
    Role.SUPERVISOR,
    Role.AUDITOR,
    Role.ADMINISTRATOR,
)
# What anybody may ask without a session: to sign in, for the other language, and the doors of machines.
_PUBLIC = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/language"),
    ("POST", "/api/v1/docks/enrolment"),
    ("POST", "/api/v1/docks/key"),
    ("GET", "/api/v1/time"),
    ("GET", "/api/v1/health"),
    ("GET", "/api/v1/ca.pem"),
    ("GET", "/log/checkpoint"),
    ("GET", "/log/tile/{level}/{number:path}"),
    ("GET", "/log/anchors/{name}"),
    ("GET", "/api/v1/log/proof/{index}"),
    ("GET", "/api/v1/log/consistency"),
}


@dataclass(frozen=True)
class Row:
    """One address: what each role gets. An empty form is refused with 422 where the role may post it at all."""

    method: str
    route: str
    handler: int
    supervisor: int
    auditor: int
    admin: int

    def expected(self, role: Role) -> int:
        return {
            _CASE_HANDLER: self.handler,
            _SUPERVISOR: self.supervisor,
            _AUDITOR: self.auditor,
            _ADMIN: self.admin,
        }[role]


_GET, _POST, _HEAD = "GET", "POST", "HEAD"
_TABLE = [
    #                                                              handler supervisor auditor admin
    Row(_GET, "/", 200, 200, 200, 303),
    Row(_GET, "/unlinked", 200, 200, 200, 403),
    Row(_GET, "/unlinked/acts", 200, 200, 403, 403),
    Row(_POST, "/unlinked/links", 422, 422, 403, 403),
    Row(_GET, "/items", 200, 200, 200, 403),
    Row(_GET, "/search", 200, 200, 200, 403),
    Row(_POST, "/search/lists", 403, 400, 403, 403),
    Row(_POST, "/cases", 422, 422, 403, 403),
    Row(_GET, "/cases/{case_id}", 200, 200, 200, 404),
    Row(_GET, "/cases/{case_id}/footage", 200, 200, 200, 404),
    Row(_POST, "/cases/{case_id}/acts", 422, 422, 403, 403),
    Row(_POST, "/cases/{case_id}/links", 422, 422, 403, 403),
    Row(_POST, "/cases/{case_id}/removals", 422, 422, 403, 403),
    Row(_POST, "/cases/{case_id}/records", 422, 422, 403, 403),
    Row(_GET, "/items/{object_id}", 200, 200, 200, 404),
    Row(_GET, "/items/{object_id}/stage", 200, 200, 200, 404),
    Row(_POST, "/items/{object_id}/play", 422, 422, 403, 403),
    Row(_POST, "/items/{object_id}/export", 403, 422, 403, 403),
    Row(_POST, "/items/{object_id}/links", 422, 422, 403, 403),
    Row(_GET, "/items/{object_id}/receipts/{upload_id}", 404, 404, 404, 403),
    Row(_GET, "/recordings/{recording_id}", 200, 200, 200, 404),
    Row(_POST, "/recordings/{recording_id}/play", 422, 422, 403, 403),
    Row(_GET, "/records/{record_id}", 200, 200, 200, 404),
    Row(_POST, "/records/{record_id}/open", 422, 422, 403, 403),
    Row(_POST, "/records/{record_id}/export", 403, 422, 403, 403),
    Row(_GET, "/objects/{object_id}/trail", 200, 200, 200, 404),
    Row(_GET, "/objects/{object_id}/entries/{entry_id}/proof", 404, 404, 404, 404),
    Row(_GET, "/objects/{object_id}/entries/{entry_id}/body", 404, 404, 404, 404),
    Row(_POST, "/objects/{object_id}/verification", 200, 200, 200, 403),
    Row(_GET, "/content/{grant_id}/playable", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/playable", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/poster", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/poster", 404, 404, 403, 403),
    *(
        Row(method, f"/content/{{grant_id}}/{what}", 404, 404, 403, 403)
        for method in (_GET, _HEAD)
        for what in ("sprite", "peaks")
    ),
    Row(_GET, "/content/{grant_id}/pages/{number}", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/pages/{number}", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/entries", 404, 404, 403, 403),
    Row(_GET, "/items/{object_id}/progress", 200, 200, 200, 404),
    Row(_GET, "/items/{object_id}/versions", 200, 200, 403, 403),
    Row(_POST, "/items/{object_id}/versions", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/live.m3u8", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/live.m3u8", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/live/{name}", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/live/{name}", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/master.m3u8", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/master.m3u8", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/proxy-{lines}.m3u8", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/proxy-{lines}.m3u8", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/proxy-{lines}.mp4", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/proxy-{lines}.mp4", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/document", 404, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/document", 404, 404, 403, 403),
    Row(_GET, "/content/{grant_id}/original", 403, 404, 403, 403),
    Row(_HEAD, "/content/{grant_id}/original", 403, 404, 403, 403),
    Row(_POST, "/cases/{case_id}/changes", 422, 422, 403, 403),
    Row(_POST, "/cases/{case_id}/acts/{act_id}/changes", 422, 422, 403, 403),
    Row(_GET, "/subjects", 200, 200, 200, 403),
    Row(_POST, "/subjects/search", 422, 422, 422, 403),
    Row(_POST, "/subjects/choices", 200, 200, 403, 403),
    Row(_GET, "/subjects/{subject_id}", 200, 200, 200, 404),
    Row(_POST, "/subjects/{subject_id}/changes", 422, 422, 403, 403),
    Row(_POST, "/subjects/{subject_id}/identifiers", 422, 422, 403, 403),
    Row(_POST, "/subjects/{subject_id}/identifiers/{identifier_id}/sight", 422, 422, 403, 403),
    Row(_POST, "/subjects/{subject_id}/identifiers/{identifier_id}/removal", 422, 422, 403, 403),
    Row(_POST, "/subjects/{subject_id}/comparison", 422, 422, 403, 403),
    Row(_GET, "/subjects/{subject_id}/merge", 404, 404, 403, 403),
    Row(_POST, "/subjects/{subject_id}/merges", 422, 422, 403, 403),
    Row(_POST, "/subjects/{subject_id}/separations", 422, 422, 403, 403),
    Row(_GET, "/admin", 403, 403, 403, 200),
    Row(_POST, "/admin/invitations", 403, 403, 403, 422),
    Row(_POST, "/admin/docks/{dock_id}/revocation", 403, 403, 403, 404),
    Row(_POST, "/admin/jobs/{job_id}/retry", 403, 403, 403, 409),
    Row(_GET, "/admin/systems", 403, 403, 403, 200),
    Row(_POST, "/admin/systems/keys", 403, 403, 403, 422),
    Row(_POST, "/admin/systems/keys/{prefix}/revocation", 403, 403, 403, 404),
    Row(_POST, "/admin/systems/webhooks", 403, 403, 403, 422),
    Row(_POST, "/admin/systems/webhooks/{webhook_id}/secret", 403, 403, 403, 404),
    Row(_POST, "/admin/systems/webhooks/{webhook_id}/removal", 403, 403, 403, 404),
    Row(_POST, "/admin/systems/webhooks/{webhook_id}/replay", 403, 403, 403, 422),
    Row(_GET, "/notices", 200, 200, 200, 200),
    Row(_GET, "/notices/{notice_id}", 404, 404, 404, 404),
    Row(_POST, "/notices/{notice_id}/read", 404, 404, 404, 404),
    Row(_POST, "/notices/read", 303, 303, 303, 303),
    Row(_GET, "/account", 200, 200, 200, 200),
    Row(_POST, "/account/mail", 422, 422, 422, 422),
    Row(_POST, "/account/mail/code", 422, 422, 422, 422),
    Row(_POST, "/account/mail/removal", 404, 404, 404, 404),
    Row(_POST, "/account/notices", 303, 303, 303, 303),
    Row(_GET, "/complaints", 403, 200, 403, 403),
    Row(_POST, "/complaints", 403, 422, 403, 403),
    Row(_POST, "/complaints/lists", 403, 200, 403, 403),
    Row(_GET, "/complaints/{complaint_id}", 404, 404, 404, 404),
    Row(_POST, "/complaints/{complaint_id}/steps", 403, 404, 403, 403),
    Row(_POST, "/complaints/{complaint_id}/responsible", 403, 404, 403, 403),
    Row(_POST, "/complaints/{complaint_id}/links", 403, 404, 403, 403),
    Row(_POST, "/complaints/{complaint_id}/removals", 403, 404, 403, 403),
    Row(_POST, "/complaints/{complaint_id}/sight", 403, 404, 403, 403),
    Row(_GET, "/devices", 200, 200, 403, 403),
    Row(_POST, "/devices", 422, 422, 403, 403),
    Row(_POST, "/devices/lists", 422, 422, 403, 403),
    Row(_GET, "/devices/{device_id}", 404, 404, 404, 404),
    Row(_POST, "/devices/{device_id}/changes", 404, 404, 403, 403),
    Row(_POST, "/devices/{device_id}/handovers", 404, 404, 403, 403),
    Row(_GET, "/upload", 200, 200, 403, 403),
    Row(_GET, "/upload/sent", 200, 200, 403, 403),
    Row(_GET, "/upload/cases", 200, 200, 403, 403),
    Row(_GET, "/log", 403, 403, 200, 403),
    Row(_GET, "/log/health", 403, 200, 200, 200),
    Row(_GET, "/log/trust.txt", 403, 200, 200, 200),
    Row(_GET, "/log/policy.txt", 403, 200, 200, 200),
    Row(_GET, "/api/v1/log/health", 403, 200, 200, 200),
    Row(_GET, "/log/tile/entries/{number:path}", 403, 403, 404, 403),
    Row(_GET, "/objects/{object_id}/proofs", 200, 200, 200, 404),
    Row(_GET, "/objects/{object_id}/entries", 200, 200, 200, 404),
    Row(_GET, "/objects/{object_id}/signed/{name}", 404, 404, 404, 404),
    Row(_GET, "/cases/{case_id}/proofs", 200, 200, 200, 404),
    Row(_GET, "/cases/{case_id}/proofs.json", 200, 200, 200, 404),
    Row(_GET, "/log/proofs/{index}", 400, 400, 400, 404),
    Row(_GET, "/log/entries/{index}", 403, 403, 400, 403),
    Row(_GET, "/cases/{case_id}/packages", 200, 200, 200, 404),
    Row(_POST, "/cases/{case_id}/packages", 403, 422, 403, 403),
    Row(_POST, "/packages/{package_id}/downloads", 403, 404, 403, 403),
    Row(_GET, "/packages/{package_id}/downloads/{download_id}", 403, 404, 403, 403),
    Row(_HEAD, "/packages/{package_id}/downloads/{download_id}", 403, 404, 403, 403),
    Row(_POST, "/api/v1/cases/{number:path}/packages", 403, 422, 403, 403),
    Row(_GET, "/api/v1/packages/{package_id}", 403, 404, 403, 403),
    Row(_POST, "/api/v1/packages/{package_id}/downloads", 403, 404, 403, 403),
    Row(_GET, "/api/v1/packages/{package_id}/downloads/{download_id}", 403, 404, 403, 403),
]
# Signing out has no row: it would end the session that the other rows use. test_sign_in tries it.
# The door for browsers takes JSON and answers machines: tests/integration/ingest/test_browser_door.py.
_ELSEWHERE = {("POST", "/sign-out"), ("POST", "/api/v1/door/manifests")}


def _recording_id(bureau: Bureau) -> RecordingId:
    with bureau.services.database.read() as tx:
        view = recording_of(tx, bureau.items["video"])
    assert view is not None
    return RecordingId(view.recording.id)


def _ask(client: httpx.Client, row: Row, bureau: Bureau, **headers: str) -> httpx.Response:
    named = {
        "case_id": bureau.cases["main"],
        "object_id": bureau.items["video"],
        "record_id": bureau.records["inspection"],
        "subject_id": bureau.subjects["main"],
        "recording_id": _recording_id(bureau),
    }
    address = re.sub(r"\{(\w+)(?::path)?\}", lambda match: str(named.get(match[1], uuid4())), row.route)
    form = {"data": {"nothing": ""}} if row.method == "POST" and not address.endswith("/records") else {}
    if row.route.endswith("/{case_id}/records"):
        form = {"files": {"nothing": ("", b"")}}
    return client.request(row.method, address, headers=headers, **form)


def _page_routes(app: FastAPI) -> Iterator[tuple[str, str, RouteContext]]:
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            for method in route.methods or ():
                yield method, str(route.path), route


def _same_place(route: str) -> str:
    return route.replace("{record_id}", "{object_id}")


def _is_for_systems(route: RouteContext) -> bool:
    """Whether a key is asked for, and no session; tests/integration/api tries each scope at each of these."""
    return presented_integration in set(_calls(route.dependant))


def test_the_table_has_a_row_for_every_page(app: FastAPI) -> None:
    pages = {(method, path) for method, path, route in _page_routes(app) if not _is_for_systems(route)}
    rows = {(row.method, _same_place(row.route)) for row in _TABLE}
    assert pages - rows - _PUBLIC - _ELSEWHERE == set()
    assert rows - pages == set()


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def test_every_page_but_the_public_ones_asks_who_is_calling(app: FastAPI) -> None:
    unguarded = {
        (method, path)
        for method, path, route in _page_routes(app)
        if set(_calls(route.dependant)).isdisjoint({required_caller, presented_integration})
    }
    assert unguarded == _PUBLIC


def test_nothing_else_is_mounted_than_static_files(app: FastAPI) -> None:
    others = {route.path for route in iter_route_contexts(app.routes) if not isinstance(route.original_route, APIRoute)}
    assert others == {"/static", "/api/v1/openapi.json"}


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("row", _TABLE, ids=lambda row: f"{row.method} {row.route}")
def test_each_role_gets_what_the_table_says(
    browsers: dict[Role | None, httpx.Client], bureau: Bureau, row: Row, role: Role
) -> None:
    answer = _ask(browsers[role], row, bureau)
    assert answer.status_code == row.expected(role), answer.text[:500]
    assert answer.headers["cache-control"] in {"no-store", "private, no-store"}


@pytest.mark.parametrize("row", _TABLE, ids=lambda row: f"{row.method} {row.route}")
def test_without_a_session_there_is_only_the_sign_in_page(anybody: httpx.Client, bureau: Bureau, row: Row) -> None:
    if not row.route.startswith("/api/"):  # programs are not led to a page
        answer = _ask(anybody, row, bureau)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
    assert _ask(anybody, row, bureau, Accept="application/json").status_code == 401


@pytest.mark.parametrize("path", ["/cases/{}", "/items/{}", "/records/{}"])
def test_a_hidden_row_looks_like_one_that_does_not_exist(
    administrator: httpx.Client, bureau: Bureau, path: str
) -> None:
    known = {
        "/cases/{}": bureau.cases["main"],
        "/items/{}": bureau.items["video"],
        "/records/{}": bureau.records["inspection"],
    }
    hidden, missing = administrator.get(path.format(known[path])), administrator.get(path.format(uuid4()))
    assert hidden.status_code == missing.status_code == 404
    without_id = [re.sub(r"[0-9a-f-]{36}", "", answer.text) for answer in (hidden, missing)]
    assert without_id[0] == without_id[1]


def test_the_administrator_sees_no_case_and_no_footage(administrator: httpx.Client) -> None:
    text = administrator.get("/admin").text
    assert "占道经营" not in text
    assert "later.mp4" not in text


def test_the_auditor_sees_no_player_and_no_way_to_copy(auditor: httpx.Client, bureau: Bureau) -> None:
    page = auditor.get(f"/items/{bureau.items['video']}").text
    for part in ("<video", '/play"', '/export"', '/links"'):
        assert part not in page
    assert "/verification" in page
    record = auditor.get(f"/records/{bureau.records['inspection']}").text
    assert '/open"' not in record


def test_the_case_handler_may_look_and_not_copy(handler: httpx.Client, bureau: Bureau) -> None:
    page = handler.get(f"/items/{bureau.items['video']}").text
    assert '/play"' in page
    assert '/export"' not in page
