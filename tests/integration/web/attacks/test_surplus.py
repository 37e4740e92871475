"""Mass assignment: fields that nobody asked for are refused in JSON, and without effect in forms."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import select

from archive.access.models import Account
from archive.access.policy import Role
from archive.cases.models import Case
from archive.db.base import Base
from tests.integration.web.attacks.conftest import routes_of
from tests.support.seed import Bureau

# Every column of every table, as somebody who has read the source would try them.
_COLUMNS = sorted({column.name for table in Base.metadata.tables.values() for column in table.columns})
_EXTRA = {
    "roles": "administrator", "role": "administrator", "is_admin": "1", "unit_id": str(uuid4()), "classes": "0", "by": str(uuid4()),
    "actor_id": str(uuid4()), "created_at": "2000-01-01T00:00:00Z", "opened_at": "2000-01-01T00:00:00Z", "at": "2000-01-01T00:00:00Z",
    "disabled_at": "", "password_hash": "x", "id": str(uuid4()), "account_id": str(uuid4()), "sight": "all", "cleared": "255",
}  # fmt: skip


def _bodies(model: Any, seen: set[type]) -> Iterator[type[BaseModel]]:
    if not isinstance(model, type):
        for inner in getattr(model, "__args__", ()):
            yield from _bodies(inner, seen)
    elif issubclass(model, BaseModel) and model not in seen:
        seen.add(model)
        yield model
        for field in model.model_fields.values():
            yield from _bodies(field.annotation, seen)


def test_every_body_that_is_sent_refuses_what_it_does_not_know(app: FastAPI) -> None:
    seen: set[type] = set()
    for _, path, route in routes_of(app):
        for part in route.dependant.body_params:
            for model in _bodies(part.field_info.annotation, seen):
                assert model.model_config.get("extra") == "forbid", (path, model)
    assert len(seen) >= 12


def test_a_surplus_field_in_json_is_refused(base: str, handler: httpx.Client, bureau: Bureau) -> None:
    for name in ("dock_id", "account_id", "sender_id"):
        body = {"name": "a.mp4", "size": 1, "digests": {}, name: str(uuid4())}
        answer = handler.post("/api/v1/door/manifests", json=body)
        assert answer.status_code == 400
        assert name in answer.json()["facts"]["where"]


def test_whoever_opens_a_case_decides_neither_its_unit_nor_its_classes(handler: httpx.Client, bureau: Bureau) -> None:
    number = f"多余〔2026〕{uuid4().hex[:8]}号"
    surplus = {**dict.fromkeys(_COLUMNS, "1"), **_EXTRA}
    wanted = {
        "number": number,
        "title": "多余字段",
        "category": "penalty",
        "subject_name": uuid4().hex,
        "subject_kind": "organisation",
    }
    known = {"subject_id", "identifier", "identifier_kind", "kind", "name"}
    some = {name: value for name, value in surplus.items() if name not in known}
    for start in range(0, len(some), 30):  # a form has at most forty fields
        part = dict(list(some.items())[start : start + 30])
        fresh = {"number": f"{number}{start}", "subject_name": uuid4().hex}
        answer = handler.post("/cases", data={**part, **wanted, **fresh})
        assert answer.status_code == 303, answer.text
    with bureau.services.database.read() as tx:
        made = tx.scalars(select(Case).where(Case.title == "多余字段")).all()
        handlers = tx.get_one(Account, bureau.people[Role.CASE_HANDLER].id)
        assert {(row.unit_id, row.classes) for row in made} == {(handlers.unit_id, 0)}
        assert all(row.opened_at.year >= 2026 for row in made)


def test_a_form_with_every_column_of_the_database_gives_nobody_more_rights(
    app: FastAPI, base: str, browsers: dict[Role | None, httpx.Client], bureau: Bureau
) -> None:
    """Each form that a person posts about himself, with all that an account row and a session row have."""
    own = [
        path
        for method, path, _ in routes_of(app)
        if method == "POST" and path.startswith(("/account", "/notices", "/language", "/terms"))
    ]
    assert len(own) > 12

    def rights() -> list[tuple[Any, ...]]:
        with bureau.services.database.read() as tx:
            rows = tx.scalars(select(Account).order_by(Account.id)).all()
            return [
                (row.roles, row.unit_id, row.officer_id, row.disabled_at, row.password_hash, row.username)
                for row in rows
            ]

    before = rights()
    for path in own:
        if "removal" in path or path.endswith("sessions/removals"):
            continue
        for start in range(0, len(_COLUMNS), 20):
            part = dict.fromkeys(_COLUMNS[start : start + 20], "administrator")
            browsers[Role.OFFICER].post(path.replace("{notice_id}", str(uuid4())), data={**part, **_EXTRA})
    assert rights() == before
