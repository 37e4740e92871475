"""The documents say what the code says."""

import json
import re
from pathlib import Path

from archive.ledger.entries import EntryType
from archive.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_every_setting_is_documented_with_its_meaning() -> None:
    told = (DOCS / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` | `LIUHEN_{name.upper()}` |" in told
        assert field.description is not None
        assert field.description in told


def test_every_entry_type_is_in_the_format() -> None:
    told = (DOCS / "formats" / "log-entry.md").read_text()
    named = set(
        re.findall(
            r"`((?:ingest|object|item|recording|derivative|case|record|volume|subject|complaint|device|hold|access|detail|fixity|store|retention|disposal|validation|admin)\.[a-z_]+)`",
            told,
        )
    )
    assert named == {entry.value for entry in EntryType}


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"


def test_decisions_are_numbered_without_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((DOCS / "adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_cited_decisions_exist() -> None:
    known = {path.name[:4] for path in (DOCS / "adr").glob("*.md")}
    for package in ("archive", "ingest", "signing", "retention"):
        for module in (ROOT / package).rglob("*.py"):
            assert set(re.findall(r"docs/adr/(\d{4})", module.read_text())) <= known, module


def test_openapi_document_is_current() -> None:
    from tests.support.openapi import document

    told = json.loads((DOCS / "openapi.json").read_text())
    assert told == document(), "run: python -m tests.support.openapi"


def test_the_threat_model_names_tests_that_there_are_for_every_attack() -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    told = (DOCS / "threat-model.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", told))
    assert named - defined == set()
    tables = [table.split("\n\n")[0] for table in told.split("Shown by |\n")[1:]]
    assert len(tables) == 2
    for row in (row for table in tables for row in table.splitlines()[1:]):
        assert re.search(r"`test_\w+` \|$", row), row
