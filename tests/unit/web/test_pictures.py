"""Every page has a picture in both languages, and every picture is of a page: a new page without one fails here."""

from collections import defaultdict
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from archive.web.pages import install_pages
from tests.e2e.screenshots import SHOTS

_PICTURES = Path(__file__).parents[3] / "docs" / "screenshots"
# What answers GET and is no page of its own, and why.
_NO_PAGE = {
    "/admin/officers/sheets/{what}.{ending}": "a file",
    "/certificates/seals/{agency_id}/picture": "a file",
    "/certificates/{certificate_id}/certificate.pem": "a file",
    "/cases/{case_id}/footage": "a part of the case's page, renewed while copies are made",
    "/cases/{case_id}/packages": "a part of the case's page: case-package",
    "/cases/{case_id}/proofs": "a part of the case's page: case-proofs",
    "/admin/officers/{officer_id}/photo": "a file",
    "/cases/{case_id}/proofs.json": "a file",
    "/content/{grant_id}/document": "a file",
    "/content/{grant_id}/print": "a file",
    "/content/{grant_id}/entries": "a part of an item's page: item-archive",
    "/content/{grant_id}/live.m3u8": "a file",
    "/content/{grant_id}/live/{name}": "a file",
    "/content/{grant_id}/master.m3u8": "a file",
    "/content/{grant_id}/original": "a file",
    "/content/{grant_id}/pages/{number}": "a file",
    "/content/{grant_id}/peaks": "a file",
    "/content/{grant_id}/playable": "a file",
    "/content/{grant_id}/poster": "a file",
    "/content/{grant_id}/proxy-{lines}.m3u8": "a file",
    "/content/{grant_id}/proxy-{lines}.mp4": "a file",
    "/content/{grant_id}/sprite": "a file",
    "/drafts/{draft_id}/pages/{number}": "a file",
    "/drafts/{draft_id}/preview/{number}": "a file",
    "/drafts/{draft_id}/record.pdf": "a file",
    "/cases/{case_id}/file/volumes/{volume_id}/{name}": "a file",
    "/fixity/reports/{month}/{name}": "a file",
    "/items/{object_id}/progress": "a part of an item's page, renewed while it is encoded",
    "/items/{object_id}/receipts/{upload_id}": "a file",
    "/items/{object_id}/stage": "a part of an item's page: item-preparing",
    "/items/{object_id}/versions": "a part of an item's page",
    "/log/entries/{index}": "a file",
    "/log/policy.txt": "a file",
    "/log/proofs/{index}": "a file",
    "/log/trust.txt": "a file",
    "/notices/{notice_id}": "leads on to what the notice is about",
    "/objects/{object_id}/entries/{entry_id}/body": "a file",
    "/objects/{object_id}/entries/{entry_id}/proof": "a file",
    "/objects/{object_id}/proofs": "a file",
    "/objects/{object_id}/signed/{name}": "a file",
    "/objects/{object_id}/trail": "a part of an item's page",
    "/packages/{package_id}/downloads/{download_id}": "a file",
    "/sign-in/provider": "leads on to the provider",
    "/sign-in/provider/back": "leads on from the provider",
    "/templates/{template_id}/example.pdf": "a file",
    "/templates/{template_id}/pages": "a part of a template's page: template",
    "/templates/{template_id}/template.toml": "a file",
    "/unlinked/acts": "a part of the page of unlinked footage",
    "/upload/cases": "a part of the page of uploads",
    "/upload/sent": "a part of the page of uploads",
}
_OF_ERRORS = {"/nothing-here", "/cases"}
"""Where nothing answers GET: pictures of errors."""


@pytest.fixture(scope="module")
def routes() -> set[str]:
    app = FastAPI()
    install_pages(app)
    return {
        str(route.path)
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and "GET" in (route.methods or ())
    }


def test_every_page_has_a_picture_in_both_languages(routes: set[str]) -> None:
    languages: defaultdict[str, set[str]] = defaultdict(set)
    for shot in SHOTS:
        languages[shot.route] |= set(shot.languages)
    pages = routes - set(_NO_PAGE)
    assert sorted(page for page in pages if languages[page] != {"zh", "en"}) == []
    assert set(languages) - pages == _OF_ERRORS


def test_what_has_no_picture_is_there_and_has_none(routes: set[str]) -> None:
    assert set(_NO_PAGE) - routes == set()
    assert set(_NO_PAGE) & {shot.route for shot in SHOTS} == set()


def test_the_pictures_of_the_list_are_the_ones_that_are_kept() -> None:
    names = [f"{shot.name}.{language}.png" for shot in SHOTS for language in shot.languages]
    assert len(set(names)) == len(names)
    assert {path.name for path in _PICTURES.glob("*.png")} == set(names)


def test_every_picture_is_named_in_the_list_of_them() -> None:
    told = (_PICTURES / "README.md").read_text("utf-8")
    names = {shot.name.removesuffix("-390").removesuffix("-dark") for shot in SHOTS}
    assert sorted(name for name in names if f"`{name}`" not in told) == []
