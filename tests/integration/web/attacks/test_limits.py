"""Asking without end: what costs much is limited by account, and by network for whoever nobody knows yet."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI

from archive.access.policy import Role
from archive.web.app import create_app
from archive.web.limits import Cost, Limits, by_network
from tests.integration.web.attacks.conftest import filled, routes_of
from tests.integration.web.conftest import signed_in, words
from tests.support import seed
from tests.support.seed import Bureau


@contextmanager
def hurried(bureau: Bureau, **most: int) -> Iterator[str]:
    """Serve the bureau under lower limits."""
    app = create_app(bureau.services)
    settings = bureau.services.settings.model_copy(update={f"{cost}_per_minute": most.get(cost, 1000) for cost in Cost})
    app.state.limits = Limits(settings)
    with seed.listening(app) as base:
        yield base


def _metered(app: FastAPI) -> set[tuple[str, str]]:
    return {
        (method, path)
        for method, path, route in routes_of(app)
        if any(
            getattr(dependency.call, "__module__", "") == by_network.__module__
            for dependency in route.dependant.dependencies
        )
    }


def test_what_costs_much_is_limited(app: FastAPI) -> None:
    assert _metered(app) == {
        ("POST", "/sign-in"), ("POST", "/sign-in/code"), ("POST", "/sign-in/passkey"), ("POST", "/recovery"),
        ("GET", "/sign-in/provider"), ("GET", "/sign-in/provider/back"),
        ("POST", "/api/v1/docks/enrolment"), ("POST", "/api/v1/docks/key"),
        ("GET", "/api/v1/log/proof/{index}"), ("GET", "/api/v1/log/consistency"),
        ("GET", "/pki/root.pem"), ("GET", "/pki/root.cer"), ("GET", "/pki/root.crl"), ("POST", "/pki/ocsp"),
        ("GET", "/pki/ocsp/{asked:path}"),
        ("GET", "/search"), ("POST", "/subjects/search"), ("POST", "/subjects/choices"),
        ("POST", "/search/lists"), ("POST", "/complaints/lists"), ("POST", "/devices/lists"),
        ("POST", "/templates/preview"), ("GET", "/templates/{template_id}/pages"),
        ("GET", "/templates/{template_id}/example.pdf"),
        ("GET", "/admin/officers/sheets/{what}.{ending}"), ("POST", "/admin/officers/sheets"),
        ("POST", "/cases/{case_id}/packages"), ("POST", "/packages/{package_id}/downloads"),
        ("POST", "/api/v1/cases/{number:path}/packages"), ("POST", "/api/v1/packages/{package_id}/downloads"),
        ("POST", "/items/{object_id}/export"), ("POST", "/records/{object_id}/export"),
        ("POST", "/objects/{object_id}/verification"), ("GET", "/cases/{case_id}/proofs.json"),
        ("POST", "/validation"), ("GET", "/validation/code"), ("POST", "/validation/{judgement_id}/report"),
        ("POST", "/objects/{object_id}/signatures"),
        ("POST", "/drafts/{draft_id}/signatures/{place}"), ("POST", "/seals"),
        ("POST", "/api/v1/door/manifests"), ("POST", "/ledger/lists"),
        ("POST", "/cases/{case_id}/file/volumes"), ("POST", "/cases/{case_id}/file/volumes/{volume_id}/checks"),
    }  # fmt: skip


def test_whoever_searches_without_end_is_told_when_to_go_on_and_others_are_not_held_up(bureau: Bureau) -> None:
    with hurried(bureau, searches=3) as base:
        hasty, calm = signed_in(base, Role.SUPERVISOR), signed_in(base, Role.CASE_HANDLER)
        answers = [hasty.get("/search?q=烧烤") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 21
        assert "过于频繁" in words(answers[-1]) or "429" in words(answers[-1])
        assert hasty.get("/").status_code == 200
        assert calm.get("/search?q=烧烤").status_code == 200
        problem = hasty.get("/search?q=烧烤", headers={"Accept": "application/json"})
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.json()["code"] == "access.too_many_requests"
        hasty.close()
        calm.close()


def test_lists_and_checks_are_counted_together(bureau: Bureau) -> None:
    with hurried(bureau, heavy=2) as base:
        client = signed_in(base, Role.SUPERVISOR)
        check = f"/objects/{bureau.items['video']}/verification"
        told = [
            client.post("/search/lists", data={"q": "烧烤"}),
            client.post(check),
            client.post("/search/lists", data={"q": "烧烤"}),
        ]
        assert [answer.status_code for answer in told] == [200, 200, 429]
        client.close()


def test_uploads_are_counted_when_they_are_begun(bureau: Bureau) -> None:
    with hurried(bureau, uploads=2) as base:
        client = signed_in(base, Role.CASE_HANDLER)
        answers = [
            client.post("/api/v1/door/manifests", json={"name": "a", "size": 1, "digests": {}}) for _ in range(3)
        ]
        assert [answer.status_code == 429 for answer in answers] == [False, False, True]
        client.close()


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "/sign-in"), ("POST", "/recovery"), ("POST", "/sign-in/passkey"), ("POST", "/api/v1/docks/enrolment"),
        ("POST", "/api/v1/docks/key"), ("GET", "/api/v1/log/proof/{index}"),
    ],
)  # fmt: skip
def test_strangers_of_one_network_are_limited_together(bureau: Bureau, method: str, route: str) -> None:
    with hurried(bureau, strangers=2) as base, httpx.Client(base_url=base, trust_env=False) as client:
        answers = [client.request(method, filled(route, {"index": 0})) for _ in range(3)]
        assert [answer.status_code == 429 for answer in answers] == [False, False, True]
        assert answers[-1].json()["code"] == "access.too_many_requests"


def test_wrong_keys_are_counted(bureau: Bureau) -> None:
    with hurried(bureau, strangers=2) as base, httpx.Client(base_url=base, trust_env=False) as client:
        wrong = {"Authorization": "Bearer lh_000000000000_" + "0" * 43}
        assert [client.get("/api/v1/items", headers=wrong).status_code for _ in range(4)] == [401, 401, 429, 429]
        tus = {**wrong, "Tus-Resumable": "1.0.0", "Upload-Length": "1"}
        assert client.post("/api/v1/uploads", headers=tus).status_code in {401, 429}
        assert client.get("/api/v1/health").status_code == 200
