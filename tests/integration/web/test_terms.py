"""Terms of use: nothing before them, once for each version, in both languages, from the house's own file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from archive.access.policy import Role
from archive.access.terms import TermsChanged, TermsUnreadable, accept_terms, load_terms
from archive.ledger.entries import Actor
from archive.web.app import create_app
from tests.integration.web.conftest import browser, words
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401
from tests.support.signing_in import make

OWN = """version = "2027-3"
[zh-Hans]
title = "官渡局使用规定"
text = "第一条。<b>\\n\\n第二条。"
[en]
title = "House rules"
text = "One.\\n\\nTwo."
"""


def asked(home: ArchiveHome, **settings: object) -> None:  # noqa: F811
    home.settings = home.settings.model_copy(update={"terms": "asked", **settings})
    home.reopen()


@contextmanager
def entered(home: ArchiveHome) -> Iterator[httpx.Client]:  # noqa: F811
    with seed.listening(create_app(home.services)) as base, browser(base) as client:
        assert client.post("/sign-in", data={"username": "wang", "password": PASSWORD}).status_code == 303
        yield client


def version_of(home: ArchiveHome) -> str:  # noqa: F811
    terms = home.services.sign_ins.terms
    assert terms is not None
    return terms.version


def test_nothing_is_open_before_the_terms_are_accepted(home: ArchiveHome) -> None:  # noqa: F811
    account_id = make(home)
    asked(home)
    with entered(home) as client:
        assert client.get("/").headers["location"] == "/terms"
        assert client.get("/items?q=a").headers["location"] == "/terms?next=/items%3Fq%3Da"
        assert client.get("/account").headers["location"].startswith("/terms")
        assert client.post("/account/sessions/removals").headers["location"] == "/terms"
        assert client.get("/items", headers={"HX-Request": "true"}).headers["hx-redirect"] == "/terms"
        machine = client.get("/items", headers={"Accept": "application/json"})
        assert (machine.status_code, machine.json()["code"]) == (403, "access.terms_due")
        assert client.post("/api/v1/door/manifests", json={}).status_code == 403
        assert client.head("/api/v1/uploads/x", headers={"Tus-Resumable": "1.0.0"}).status_code == 403
        page = client.get("/terms?next=/items%3Fq%3Da")
        assert "使用条款" in words(page)
        assert "已阅读并同意" in words(page)
        assert 'name="next" value="/items?q=a"' in page.text
        assert "Terms of use" in words(client.get("/terms", headers={"Accept-Language": "en"}))
        given = {"version": version_of(home), "next": "/items?q=a"}
        assert client.post("/terms/acceptance", data=given).headers["location"] == "/items?q=a"
        assert client.get("/items?q=a").status_code == 200
        assert "您已同意本版本的使用条款" in words(client.get("/terms"))
        client.post("/terms/acceptance", data=given)
    entries = [entry for entry in home.entries() if entry["type"] == "admin.terms_accepted"]
    assert [(entry["actor"], entry["obj"]["id"]) for entry in entries] == [(str(account_id), str(account_id))]
    (row,) = home.rows("SELECT detail FROM log_detail WHERE entry_id = :id", id=home.id_value(UUID(entries[0]["id"])))
    detail = bytes(row[0]).decode()
    assert version_of(home) in detail
    assert load_terms().digest in detail


def test_signing_out_is_always_open(home: ArchiveHome) -> None:  # noqa: F811
    make(home)
    asked(home)
    with entered(home) as client:
        assert client.post("/language", data={"language": "en", "next": "/terms"}).headers["location"] == "/terms"
        assert client.post("/sign-out").headers["location"] == "/sign-in?done=signed_out"


def test_a_new_version_is_shown_to_everybody_again(home: ArchiveHome, tmp_path: Path) -> None:  # noqa: F811
    make(home)
    asked(home)
    first = version_of(home)
    with entered(home) as client:
        client.post("/terms/acceptance", data={"version": first})
        assert client.get("/").status_code == 200
    file = tmp_path / "terms.toml"
    file.write_text(OWN, "utf-8")
    asked(home, terms_file=file)
    with entered(home) as client:
        assert client.get("/").headers["location"] == "/terms"
        page = client.get("/terms")
        assert "官渡局使用规定" in words(page)
        assert "第一条。<b>" in words(page)
        assert "版本 2027-3" in words(page)
        stale = client.post("/terms/acceptance", data={"version": first})
        assert stale.status_code == 422
        assert "使用条款已更新" in words(stale)
        assert client.get("/").status_code == 303
        assert client.post("/terms/acceptance", data={"version": "2027-3"}).status_code == 303
        assert client.get("/").status_code == 200
    assert home.types().count("admin.terms_accepted") == 2


@pytest.mark.parametrize("next_address", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_nobody_is_led_elsewhere_by_the_terms(home: ArchiveHome, next_address: str) -> None:  # noqa: F811
    make(home)
    asked(home)
    with entered(home) as client:
        assert next_address not in client.get("/terms", params={"next": next_address}).text.replace("&amp;", "&")
        given = {"version": version_of(home), "next": next_address}
        assert client.post("/terms/acceptance", data=given).headers["location"] == "/"


def test_terms_come_before_the_second_factor(home: ArchiveHome) -> None:  # noqa: F811
    make(home, "wang", Role.ADMINISTRATOR)
    asked(home, second_factor_roles=("administrator",))
    with entered(home) as client:
        assert client.get("/account").headers["location"].startswith("/terms")
        client.post("/terms/acceptance", data={"version": version_of(home)})
        assert client.get("/admin").headers["location"] == "/account"
        assert client.get("/terms").status_code == 200
        assert client.get("/account").status_code == 200


def test_a_house_without_terms_asks_for_none(home: ArchiveHome) -> None:  # noqa: F811
    make(home)
    with entered(home) as client:
        assert client.get("/").status_code == 200
        assert client.get("/terms").status_code == 404
        assert "/terms" not in client.get("/account").text


@pytest.mark.parametrize(
    "text",
    ["", "version = 5", OWN.replace("[en]", "[de]"), OWN.replace('"One.\\n\\nTwo."', '"  "'), "not toml",
     OWN.replace("2027-3", ""), OWN.replace("2027-3", "x" * 41), OWN.replace('title = "House rules"\n', "")],
)  # fmt: skip
def test_a_file_that_is_no_terms_keeps_the_archive_from_starting(
    home: ArchiveHome,  # noqa: F811
    tmp_path: Path,
    text: str,
) -> None:
    file = tmp_path / "terms.toml"
    file.write_text(text, "utf-8")
    for path in (file, tmp_path / "no such file"):
        with pytest.raises(TermsUnreadable):
            load_terms(path)
    with pytest.raises(TermsUnreadable):
        asked(home, terms_file=file)
    asked(home, terms_file=None)


def test_of_two_acceptances_at_once_one_is_written(home: ArchiveHome) -> None:  # noqa: F811
    account_id, terms = make(home), load_terms()
    barrier = threading.Barrier(3)

    def work() -> None:
        barrier.wait()
        accept_terms(home.database, terms, account_id, version=terms.version, by=Actor(account_id), at=home.clock.now())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert home.types().count("admin.terms_accepted") == 1
    with pytest.raises(TermsChanged):
        accept_terms(home.database, terms, account_id, version="0", by=Actor(account_id), at=home.clock.now())
