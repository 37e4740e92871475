"""What the process writes down for its operator: no password, no key, no code, no cookie, no name, no number of a person.

Everything that makes or takes a secret is done once, rightly and wrongly, while every logger says all that it can.
"""

import io
import logging
import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pyotp
import pytest
import structlog
from fastapi import FastAPI

from archive.access.policy import Role
from archive.db.sight import FIRST_UNIT
from archive.web.app import create_app
from tests.integration.web.conftest import browser
from tests.integration.web.test_account_pages import code_of, set_factor
from tests.support import seed
from tests.support.archive_home import PASSWORD, ArchiveHome, clock, home  # noqa: F401
from tests.support.case_system import CaseSystem
from tests.support.signing_in import make

NAME, PHONE, RESIDENT, MAIL = "欧阳不可泄", "13987654321", "530111198503120018", "geheim@example.org"
WRONG, NEXT_PASSWORD = "a wrong password, 77 times", "another correct horse 5512"
_OURS = (
    "archive",
    "ingest",
    "signing",
    "retention",
    "liuhen",
    "sqlalchemy",
    "uvicorn",
    "fastapi",
    "starlette",
    "authlib",
    "webauthn",
)


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """Everything that this process logs, as the operator gets it, and more: DEBUG, and every statement to the database."""
    from structlog.tracebacks import ExceptionDictTransformer

    buffer = io.StringIO()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(file=buffer),
    )
    handler = logging.StreamHandler(buffer)
    handler.addFilter(lambda record: record.name.startswith(_OURS))
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    statements = logging.getLogger("sqlalchemy.engine")
    statements.setLevel(logging.INFO)  # at DEBUG it would print rows; nothing that an operator can set goes so far
    yield buffer
    statements.setLevel(logging.NOTSET)
    root.removeHandler(handler)
    root.setLevel(before)


def _failing(app: FastAPI) -> FastAPI:
    @app.post("/broken")
    async def fails(password: str) -> None:
        secret = password * 2
        raise RuntimeError(f"{len(secret)}")

    return app


def test_no_secret_and_no_person_stands_in_the_log_of_the_process(
    said: io.StringIO,  # before the archive is opened: its database asks once whether anybody listens
    home: ArchiveHome,  # noqa: F811
) -> None:
    secrets = {PASSWORD, WRONG, NEXT_PASSWORD, NAME, PHONE, RESIDENT, MAIL, "wang", "surely-nobody"}
    make(home, "wang", Role.SUPERVISOR, display_name=NAME)
    make(home, "admin", Role.ADMINISTRATOR)
    with seed.listening(_failing(create_app(home.services))) as base:
        with browser(base) as client, browser(base) as other:
            for username, password in (("surely-nobody", WRONG), ("wang", WRONG), ("wang", PASSWORD)):
                client.post("/sign-in", data={"username": username, "password": password, "next": f"/items?q={NAME}"})
            totp, codes = set_factor(client, home)
            home.clock.step(timedelta(minutes=1))
            other.post("/sign-in", data={"username": "wang", "password": PASSWORD})
            for code in ("000000", codes[0]):
                other.post("/sign-in/code", data={"code": code})
            client.post("/account/password", data={"password": PASSWORD, "new": NEXT_PASSWORD, "again": NEXT_PASSWORD})
            client.get("/search", params={"q": NAME})
            client.post("/subjects/search", data={"number": RESIDENT, "q": NAME})
            client.post("/account/mail", data={"address": MAIL})
            client.post("/sign-in/passkey", data={"credential": WRONG, "challenge": WRONG})
            client.post(
                "/complaints",
                data={
                    "kind": "complaint", "channel": "hotline", "received_at": "2026-03-01T09:30:00", "unit_id": str(FIRST_UNIT),
                    "says": NAME, "name": NAME, "contact": PHONE,
                },
            )  # fmt: skip
            client.post("/broken", params={"password": WRONG})
            secrets |= {
                totp,
                *codes,
                code_of(totp, home),
                pyotp.TOTP(totp).now(),
                *client.cookies.values(),
                *other.cookies.values(),
            }
        with browser(base) as admin:
            admin.post("/sign-in", data={"username": "admin", "password": PASSWORD})
            day = (home.clock.now() + timedelta(days=30)).date().isoformat()
            page = admin.post(
                "/admin/systems/keys", data={"name": "cms", "title": NAME, "scope-cases.write": "1", "expires_on": day}
            )
            key = re.findall(r">(lh_[^<]+)<", page.text)[0]
            hook = admin.post(
                "/admin/systems/webhooks",
                data={"system": "cms", "url": "https://cms.example.org/h?token=tok3n", "type-item.ready": "1"},
            )
            secrets |= {key.split("_")[2], *re.findall(r"whsec_[\w+/=-]+", hook.text), "tok3n", *admin.cookies.values()}
            invited = admin.post("/admin/invitations", data={"name": "采集站", "unit": str(FIRST_UNIT)})
            code = re.findall(r'id="invitation">([0-9A-Z-]+)<', invited.text)[0]
            secrets.add(code)
            api = {"public_key": "A" * 44, "code": code}
            admin.post("/api/v1/docks/enrolment", json=api, headers={"Authorization": f"Bearer {WRONG}"})
        cms = CaseSystem.at(base, "cms", key)
        number = {"kind": "resident_id", "number": RESIDENT}
        cms.put("subjects", NAME, {"kind": "person", "name": NAME, "identifiers": [number]})
        cms.put(
            "subjects",
            NAME,
            {"kind": "person", "name": NAME, "identifiers": [{**number, "number": RESIDENT[:-1] + "0"}]},
        )
        cms.client.close()
        httpx.get(
            f"{base}/api/v1/items", headers={"Authorization": "Bearer lh_000000000000_" + "z" * 40}, trust_env=False
        )
    told = said.getvalue()
    assert told.count('"event": "request"') > 20
    assert "request_failed" in told
    assert "INSERT INTO account" in told
    assert "SQL parameters hidden" in told
    found = {secret for secret in secrets if secret and (secret in told or secret.lower() in told)}
    assert found == set()
