"""The page of renewals: what falls due and when, what was renewed, what could not be and why, in both languages."""

import httpx

from archive.ledger.entries import OPERATOR
from retention.renewals.faults import forget_fault, note_fault
from retention.renewals.terms import Aging
from tests.integration.web.conftest import words
from tests.support.seed import Bureau


def test_what_ages_is_told_with_its_date_and_who_renews_it(bureau: Bureau, auditor: httpx.Client) -> None:
    services = bureau.services
    services.evidence.renew_due()
    page = auditor.get("/renewals?years=25")
    assert page.status_code == 200
    told = words(page)
    ends = services.authority.root.not_valid_after_utc.date()
    for word in ("对象清单的签名", "清单签名密钥", "本系统的根证书", "系统自动", "运维人员", str(ends)):
        assert word in told, word
    soon = words(auditor.get("/renewals"))
    assert "本系统的根证书" not in soon, "it is not due within two years"
    assert "日志与回执的密钥" in soon
    english = words(auditor.get("/renewals?years=25", headers={"Accept-Language": "en"}))
    assert "Root certificate of the archive" in english
    assert "extend-root" in english


def test_what_could_not_be_renewed_is_told_with_its_reason(bureau: Bureau, auditor: httpx.Client) -> None:
    database, ref = bureau.services.database, str(bureau.items["video"])
    note_fault(database, Aging.MANIFEST, ref, "renewal.ended", at=bureau.now())
    told = words(auditor.get("/renewals"))
    assert "未能续期" in told
    assert "上一个时间戳在续期前已经失效" in told
    assert ref in told
    forget_fault(database, Aging.MANIFEST, ref)
    assert ref not in words(auditor.get("/renewals"))


def test_what_was_renewed_is_told(bureau: Bureau, auditor: httpx.Client) -> None:
    services = bureau.services
    services.evidence.objects.renew(bureau.items["audio"], by=OPERATOR)
    told = words(auditor.get("/renewals"))
    assert told.count("对象清单的签名") >= 1
    assert "尚无需要续期的事项" not in told
