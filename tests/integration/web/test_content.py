"""Seeing and copying: only under a grant of one's own, in parts, each grant with its entry in the log."""

import hashlib
import re
from datetime import timedelta
from urllib.parse import unquote

import httpx
import pytest
from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.custody.models import PreservedObject
from archive.evidence.models import Rendition
from archive.kernel.canonical import parse_json
from archive.kernel.ids import GrantId, ObjectId
from archive.kernel.instants import format_instant
from archive.ledger.models import LogDetail
from archive.retrieval.grants import Purpose, grant_access
from archive.retrieval.models import Grant
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.web.app import create_app
from tests.integration.web.conftest import HTMX, VIDEO, browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401
from tests.support.seed import Bureau

RULES = RetrievalRules.load()
_PURPOSE = "案卷评查 <b>"


def _play(client: httpx.Client, item: ObjectId) -> str:
    """Press play; return the address under the grant."""
    answer = client.post(f"/items/{item}/play", data={"purpose": _PURPOSE, "reference": "任务 1"}, headers=HTMX)
    assert answer.status_code == 200
    match = re.search(r'src="(/content/[0-9a-f-]+)/playable"', answer.text)
    assert match is not None
    return match[1]


def _rendition(bureau: Bureau, item: ObjectId, kind: str) -> bytes:
    with bureau.services.database.read() as tx:
        row = tx.scalars(select(Rendition).where(Rendition.object_id == item, Rendition.kind == kind)).one()
    with bureau.services.renditions.open(row.key) as source:
        return source.read()


def test_playing_is_granted_for_a_purpose_and_logged_before_anything_is_shown(
    supervisor: httpx.Client, bureau: Bureau
) -> None:
    item = bureau.items["video"]
    answer = supervisor.post(f"/items/{item}/play", data={"purpose": _PURPOSE, "reference": "任务 1"}, headers=HTMX)
    assert '<section id="stage"' in answer.text
    assert "<video" in answer.text
    assert _PURPOSE in words(answer)
    assert answer.headers["hx-trigger"] == "trail-changed"
    assert 'data-clock-offset-ms="1300"' in answer.text
    assert 'data-recorded-at="2026-03-02T01:30:00.000Z"' in answer.text
    grant_id = re.search(r"/content/([0-9a-f-]+)/poster", answer.text)
    assert grant_id is not None
    with bureau.services.database.read() as tx:
        grant = tx.get_one(Grant, GrantId(seed.UUID(grant_id[1])))
        detail = parse_json(tx.get_one(LogDetail, grant.entry_id).detail)
    assert (grant.kind, grant.purpose, grant.object_id) == ("view", _PURPOSE, item)
    until = format_instant(grant.expires_at)
    assert detail == {"purpose": _PURPOSE, "reference": "任务 1", "grant": grant_id[1], "until": until}
    trail = words(supervisor.get(f"/objects/{item}/trail", headers=HTMX))
    assert f"调阅查看 调阅事由 ： {_PURPOSE}" in trail or f"调阅查看 调阅事由：{_PURPOSE}" in trail


@pytest.mark.parametrize("purpose", ["", "   ", "a\x00b", "x" * 501])
def test_without_a_purpose_nothing_is_granted(supervisor: httpx.Client, bureau: Bureau, purpose: str) -> None:
    item = bureau.items["video"]
    with bureau.services.database.read() as tx:
        before = len(tx.scalars(select(Grant.id)).all())
    for headers in (HTMX, {}):
        answer = supervisor.post(
            f"/items/{item}/play", data={"purpose": purpose, "reference": "任务 1"}, headers=headers
        )
        assert answer.status_code == 422
        assert 'id="play-purpose-fault"' in answer.text
        assert "/playable" not in answer.text
        assert answer.text.startswith("<!doctype") != bool(headers)
    with bureau.services.database.read() as tx:
        assert len(tx.scalars(select(Grant.id)).all()) == before


def test_without_scripts_the_player_comes_with_the_page(supervisor: httpx.Client, bureau: Bureau) -> None:
    answer = supervisor.post(f"/items/{bureau.items['audio']}/play", data={"purpose": "x", "reference": "任务 1"})
    assert answer.text.startswith("<!doctype html>")
    assert "<audio" in answer.text


@pytest.mark.parametrize("item", ["unplayable", "pending"])
def test_what_does_not_play_is_not_granted(supervisor: httpx.Client, bureau: Bureau, item: str) -> None:
    answer = supervisor.post(
        f"/items/{bureau.items[item]}/play", data={"purpose": "x", "reference": "任务 1"}, headers=HTMX
    )
    assert answer.status_code == 404


# ---- parts of a file -----------------------------------------------------------------------------------------------


def test_the_whole_rendition_and_its_poster(supervisor: httpx.Client, bureau: Bureau) -> None:
    item = bureau.items["video"]
    under = _play(supervisor, item)
    for kind, media_type in (("playable", "video/mp4"), ("poster", "image/jpeg")):
        data = _rendition(bureau, item, kind)
        answer = supervisor.get(f"{under}/{kind}")
        assert answer.status_code == 200
        assert answer.content == data
        assert answer.headers["content-type"] == media_type
        assert answer.headers["content-length"] == str(len(data))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        head = supervisor.head(f"{under}/{kind}")
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "etag", "content-type", "accept-ranges"):
            assert head.headers[name] == answer.headers[name]


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-", slice(0, None)), ("bytes=0-99", slice(0, 100)), ("bytes=1000-", slice(1000, None)),
     ("bytes=5-5", slice(5, 6)), ("bytes=-7", slice(-7, None)), ("bytes=3-99999999", slice(3, None))],
)  # fmt: skip
def test_a_part_is_served_as_206(supervisor: httpx.Client, bureau: Bureau, asked: str, part: slice) -> None:
    item = bureau.items["video"]
    data, under = _rendition(bureau, item, "playable"), _play(supervisor, item)
    answer = supervisor.get(f"{under}/playable", headers={"Range": asked})
    first, last, _ = part.indices(len(data))
    assert answer.status_code == 206
    assert answer.content == data[part]
    assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(data)}"
    assert answer.headers["content-length"] == str(last - first)


def test_ranges_that_are_odd(supervisor: httpx.Client, bureau: Bureau) -> None:
    item = bureau.items["video"]
    data, address = _rendition(bureau, item, "playable"), f"{_play(supervisor, item)}/playable"
    etag = supervisor.head(address).headers["etag"]
    for headers in (
        {"Range": "bytes=0-1,4-5"},
        {"Range": "bytes=9-3"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=0-9", "If-Range": '"something else"'},
        {"Range": "bytes=0-9", "If-Range": "Wed, 21 Oct 2026 07:28:00 GMT"},
    ):
        answer = supervisor.get(address, headers=headers)
        assert (answer.status_code, answer.content) == (200, data), headers
    again = supervisor.get(address, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (again.status_code, again.content) == (206, data[:10])
    behind = supervisor.get(address, headers={"Range": f"bytes={len(data)}-"})
    assert (behind.status_code, behind.content) == (416, b"")
    assert behind.headers["content-range"] == f"bytes */{len(data)}"
    known = supervisor.get(address, headers={"If-None-Match": etag})
    assert (known.status_code, known.content) == (304, b"")
    head = supervisor.head(address, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))


def test_a_client_that_goes_away_in_the_middle_leaves_the_server_well(supervisor: httpx.Client, bureau: Bureau) -> None:
    address = f"{_play(supervisor, bureau.items['video'])}/playable"
    for _ in range(3):
        with supervisor.stream("GET", address) as answer:
            next(answer.iter_raw(16))
    assert supervisor.get(address).status_code == 200


# ---- grants --------------------------------------------------------------------------------------------------------


def test_a_grant_is_for_one_person_one_thing_and_one_kind(
    supervisor: httpx.Client, handler: httpx.Client, auditor: httpx.Client, anybody: httpx.Client, bureau: Bureau
) -> None:
    under = _play(supervisor, bureau.items["video"])
    assert supervisor.get(f"{under}/playable").status_code == 200
    assert handler.get(f"{under}/playable").status_code == 404
    assert auditor.get(f"{under}/playable").status_code == 403
    assert anybody.get(f"{under}/playable", headers={"Accept": "*/*"}).status_code == 401
    assert supervisor.get(f"{under}/original").status_code == 404  # to see is not to copy
    assert supervisor.get(f"{under}/document").status_code == 404  # an item is no document
    export = supervisor.post(
        f"/items/{bureau.items['video']}/export", data={"purpose": "x", "reference": "任务 1"}
    ).headers["location"]
    assert supervisor.get(export.replace("original", "playable")).status_code == 404  # and to copy is not to see


def test_a_grant_ends(home: ArchiveHome, dock: EnrolledDock) -> None:  # noqa: F811
    item = home.deliver(dock, b"anything", "a.bin")
    caller: Caller = home.person(Role.SUPERVISOR)
    grant = grant_access(
        home.database,
        item,
        kind=GrantKind.EXPORT,
        purpose=Purpose("x", "任务 1"),
        by=caller,
        rules=RULES,
        at=home.clock.now(),
    )
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        client.post("/sign-in", data={"username": "supervisor", "password": PASSWORD})
        address = f"/content/{grant}/original"
        assert client.get(address).content == b"anything"
        home.clock.step(timedelta(hours=4, seconds=1))
        client.post("/sign-in", data={"username": "supervisor", "password": PASSWORD})  # the session has ended too
        ended = client.get(address)
        assert ended.status_code == 404
        assert "没有这项调阅授权" in words(ended)


# ---- copies --------------------------------------------------------------------------------------------------------


def test_the_original_is_a_download_that_no_browser_interprets(supervisor: httpx.Client, bureau: Bureau) -> None:
    item = bureau.items["video"]
    with bureau.services.database.read() as tx:
        row = tx.get_one(PreservedObject, item)
    answer = supervisor.post(f"/items/{item}/export", data={"purpose": "移送公安", "reference": "任务 1"})
    assert answer.status_code == 303
    file = supervisor.get(answer.headers["location"])
    assert hashlib.sha256(file.content).hexdigest() == row.sha256
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["etag"] == f'"{row.sha256}"'
    name = file.headers["content-disposition"]
    assert name.startswith("attachment; ")
    assert unquote(name.split("UTF-8''")[1]) == "现场 _b_检查__b_.mp4" or VIDEO.rsplit("/", 1)[-1]
    part = supervisor.get(answer.headers["location"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, file.content[10:20])
    trail = words(supervisor.get(f"/objects/{item}/trail", headers=HTMX))
    assert "导出原件" in trail
    assert "移送公安" in trail


def test_what_cannot_be_played_can_be_copied(supervisor: httpx.Client, bureau: Bureau) -> None:
    answer = supervisor.post(
        f"/items/{bureau.items['unplayable']}/export", data={"purpose": "x", "reference": "任务 1"}
    )
    file = supervisor.get(answer.headers["location"])
    assert file.content.startswith(b"")
    assert file.status_code == 200


def test_a_copy_needs_a_purpose(supervisor: httpx.Client, bureau: Bureau) -> None:
    for path in (f"/items/{bureau.items['video']}/export", f"/records/{bureau.records['inspection']}/export"):
        answer = supervisor.post(path, data={"purpose": " ", "reference": "任务 1"})
        assert answer.status_code == 422
        assert 'id="export-purpose-fault"' in answer.text
        assert 'id="export" open' in answer.text


def test_a_record_is_read_in_the_browser_under_its_own_policy(handler: httpx.Client, bureau: Bureau) -> None:
    record = bureau.records["inspection"]
    answer = handler.post(f"/records/{record}/open", data={"purpose": "法制审核", "reference": "任务 1"})
    assert re.fullmatch(r"/content/[0-9a-f-]+/document", answer.headers["location"])
    file = handler.get(answer.headers["location"])
    assert file.content.startswith(b"%PDF-")
    assert file.headers["content-type"] == "application/pdf"
    assert file.headers["content-disposition"].startswith("inline; ")
    policy = file.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "法制审核" in words(handler.get(f"/objects/{record}/trail", headers=HTMX))


def test_a_record_is_not_an_item_and_an_item_is_not_a_record(supervisor: httpx.Client, bureau: Bureau) -> None:
    item, record = bureau.items["video"], bureau.records["inspection"]
    assert supervisor.get(f"/items/{record}").status_code == 404
    assert supervisor.get(f"/records/{item}").status_code == 404
    assert supervisor.post(f"/records/{item}/open", data={"purpose": "x", "reference": "任务 1"}).status_code == 404
    assert supervisor.post(f"/items/{record}/play", data={"purpose": "x", "reference": "任务 1"}).status_code == 404
    assert supervisor.post(f"/items/{record}/export", data={"purpose": "x", "reference": "任务 1"}).status_code == 404
