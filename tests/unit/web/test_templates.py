"""What may stand in a template: nothing from outside, nothing that the strict content security policy would refuse."""

import hashlib
import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import archive.web
from archive.web import STATIC, middleware
from archive.web.pages.rendering import static_address

_TEMPLATES = sorted((Path(archive.web.__file__).parent / "templates").glob("*.html"))
_VENDOR = STATIC / "vendor"
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_SVG = "{http://www.w3.org/2000/svg}"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


def _tags(path: Path, *, plain: bool = True) -> list[tuple[str, dict[str, str]]]:
    text = path.read_text("utf-8")
    parser = _Tags()
    parser.feed(_JINJA.sub("", text) if plain else text)
    return parser.tags


@pytest.mark.parametrize("path", _TEMPLATES, ids=lambda path: path.name)
def test_templates_name_no_outside_host(path: Path) -> None:
    assert re.findall(r"(?:https?:)?//[a-z0-9]", path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", _TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_inline_script_or_style(path: Path) -> None:
    for tag, attributes in _tags(path):
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith(("on", "hx-on"))], tag
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        assert not any(value.lower().startswith("javascript:") for value in attributes.values())
    assert re.findall(r"<script[^>]*>(?!</script>)", path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", _TEMPLATES, ids=lambda path: path.name)
def test_nothing_that_a_person_wrote_stands_in_an_attribute_of_htmx(path: Path) -> None:
    """Ids and cursors are ours; names, titles and words of a search are not."""
    allowed = re.compile(
        r"(?:view\.case\.id|item\.object_id|original\.id|found\.next_cursor \| urlencode|listing|before|address|view\.subject\.id|item\.id|item\.subject_id|grant\.id|after|kind|known\.value|view\.recording\.id|version\.id|row\.id|chosen\.which|query|view\.row\.id|hold\.id|held\.next_cursor \| urlencode|which|more)"
    )
    for _, attributes in _tags(path, plain=False):
        for name, value in attributes.items():
            if name.startswith("hx-"):
                for expression in re.findall(r"\{\{\s*(.*?)\s*\}\}", value):
                    assert allowed.fullmatch(expression), (name, expression)


@pytest.mark.parametrize("path", _TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_marked_as_safe(path: Path) -> None:
    assert re.findall(r"\|\s*safe|autoescape|Markup", path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", _TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_changes_something_is_a_post(path: Path) -> None:
    for tag, attributes in _tags(path):
        if tag == "form":
            asks = re.search(r"search|-filter", attributes.get("class", ""))
            assert attributes.get("method") == ("get" if asks else "post")


def test_htmx_may_not_evaluate_and_writes_no_style() -> None:
    base = (Path(archive.web.__file__).parent / "templates" / "base.html").read_text("utf-8")
    match = re.search(r"name=\"htmx-config\" content='(.*?)'", base)
    assert match is not None
    config = json.loads(match[1])
    assert config["allowEval"] is False
    assert config["allowScriptTags"] is False
    assert config["includeIndicatorStyles"] is False
    assert config["selfRequestsOnly"] is True
    assert config["historyCacheSize"] == 0  # pages show evidence: no copy of them stays in the browser


def test_the_policy_knows_no_unsafe_source() -> None:
    policy = middleware._CSP
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    assert "script-src 'self';" in policy
    assert "http" not in policy


def test_every_vendored_file_is_the_one_that_is_written_down() -> None:
    listed = tomllib.loads((_VENDOR / "VENDOR.toml").read_text("utf-8"))["file"]
    for file in listed:
        assert set(file) == {"path", "name", "version", "homepage", "licence", "sha256"}
        assert file["version"] in file["path"]
        assert hashlib.sha256((_VENDOR / file["path"]).read_bytes()).hexdigest() == file["sha256"]
    found = {path.name for path in _VENDOR.iterdir()} - {"VENDOR.toml"}
    assert found == {file["path"] for file in listed}


def test_static_addresses_change_with_the_bytes() -> None:
    digest = hashlib.sha256((STATIC / "liuhen.css").read_bytes()).hexdigest()
    assert static_address("liuhen.css") == f"/static/liuhen.css?v={digest[:12]}"


def test_every_icon_that_a_template_shows_is_in_the_sprite() -> None:
    symbols = {symbol.get("id") for symbol in ET.parse(STATIC / "icons.svg").getroot().iter(f"{_SVG}symbol")}
    used = {
        name
        for path in _TEMPLATES
        for name in re.findall(
            r"icon\('([a-z-]+)'\)|ui\.chip\('[a-z]+', \w+\([^)]*\), '([a-z-]+)'\)", path.read_text("utf-8")
        )
        for name in name
        if name
    }
    assert used <= symbols
    assert len(used) > 15


def test_the_sheet_loads_nothing() -> None:
    sheet = (STATIC / "liuhen.css").read_text("utf-8")
    assert "@import" not in sheet
    assert "url(" not in sheet
    assert "@font-face" not in sheet
