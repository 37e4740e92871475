"""The administrator's page of other systems: keys and secrets shown once, webhooks set and removed, faults by field."""

import html
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from archive.notify.events import EventType
from tests.integration.web.conftest import words
from tests.support.seed import Bureau

PAGE = "/admin/systems"


def a_day(ahead: int) -> str:
    return (datetime.now(UTC) + timedelta(days=ahead)).date().isoformat()


def key_form(name: str, **fields: str) -> dict[str, str]:
    return {"name": name, "title": "行政执法办案系统", "scope-cases.write": "1", "expires_on": a_day(30), **fields}


def made_key(client: httpx.Client, name: str) -> str:
    page = client.post(f"{PAGE}/keys", data=key_form(name))
    assert page.status_code == 200, page.text
    (key,) = re.findall(r'id="shown-secret"[^>]*>(lh_[^<]+)<', page.text)
    return key


def webhook_form(name: str, url: str = "https://cms.example.org/hook?token=%E6%A1%88", **fields: str) -> dict[str, str]:
    return {"system": name, "url": url, "type-item.ready": "1", **fields}


def test_a_key_is_shown_once_and_can_be_revoked(administrator: httpx.Client) -> None:
    key = made_key(administrator, "page-one")
    prefix = key.split("_")[1]
    later = administrator.get(PAGE)
    assert key not in later.text
    assert prefix in later.text
    assert "推送案件、执法对象、执法活动，关联音像" in words(later)
    revoked = administrator.post(f"{PAGE}/keys/{prefix}/revocation")
    assert (revoked.status_code, revoked.headers["location"]) == (303, f"{PAGE}?done=key_revoked")
    assert "已停用" in words(administrator.get(f"{PAGE}?done=key_revoked"))
    assert administrator.post(f"{PAGE}/keys/{prefix}/revocation").status_code == 404
    assert administrator.post(f"{PAGE}/keys/{'0' * 12}/revocation").status_code == 404


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": ""}, "请填写"),
        ({"name": "办案系统"}, "小写字母"),
        ({"scope-cases.write": ""}, "请选择"),
        ({"expires_on": ""}, "请填写"),
        ({"expires_on": "soon"}, ""),
        ({"expires_on": "2099-01-01"}, "最长五年"),
        ({"expires_on": a_day(-2)}, "最早为今天"),
    ],
)
def test_a_fault_stands_at_its_field(administrator: httpx.Client, changes: dict[str, str], told: str) -> None:
    page = administrator.post(f"{PAGE}/keys", data={**key_form("page-two"), **changes})
    assert page.status_code == 422
    assert 'class="fault"' in page.text
    assert told in words(page)
    assert "shown-secret" not in page.text


def test_a_webhook_is_set_renewed_and_removed(administrator: httpx.Client, bureau: Bureau) -> None:
    made_key(administrator, "page-three")
    page = administrator.post(f"{PAGE}/webhooks", data=webhook_form("page-three"))
    assert page.status_code == 200, page.text
    (secret,) = re.findall(r"(whsec_[A-Za-z0-9+/=]+)", html.unescape(page.text))
    shown = administrator.get(PAGE)
    assert secret not in shown.text
    (webhook_id,) = set(re.findall(r"/webhooks/([0-9a-f-]{36})/removal", shown.text))
    renewed = administrator.post(f"{PAGE}/webhooks/{webhook_id}/secret")
    assert "whsec_" in renewed.text
    assert secret not in html.unescape(renewed.text)
    replayed = administrator.post(f"{PAGE}/webhooks/{webhook_id}/replay", data={"since": "2026-01-01T00:00"})
    assert replayed.status_code == 303
    faulty = administrator.post(f"{PAGE}/webhooks/{webhook_id}/replay", data={"since": ""})
    assert faulty.status_code == 422
    removed = administrator.post(f"{PAGE}/webhooks/{webhook_id}/removal")
    assert removed.status_code == 303
    assert administrator.post(f"{PAGE}/webhooks/{webhook_id}/removal").status_code == 404
    assert "不会主动连接任何其他系统" in words(administrator.get(PAGE))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "http://cms.example.org/"}, "webhook_networks"),
        ({"url": "ftp://x"}, "https"),
        ({"url": ""}, "请填写"),
        ({"type-item.ready": ""}, "请选择"),
        ({"system": "nobody"}, "请选择"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(administrator: httpx.Client, changes: dict[str, str], told: str) -> None:
    made_key(administrator, "page-four")
    page = administrator.post(f"{PAGE}/webhooks", data={**webhook_form("page-four"), **changes})
    assert page.status_code == 422
    assert told in words(page)
    assert "shown-secret" not in page.text


def test_every_type_can_be_chosen_and_the_page_speaks_english(administrator: httpx.Client) -> None:
    made_key(administrator, "page-five")
    page = administrator.get(PAGE, headers={"Accept-Language": "en"})
    for event_type in EventType:
        assert f'name="type-{event_type.value}"' in page.text
    assert "Other systems" in words(page)
    assert "Push cases, subjects, acts; link footage" in words(page)
