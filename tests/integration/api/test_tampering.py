"""Rows of other systems that were changed behind the archive's back are noticed against the log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.access.api_keys import INTEGRATION_SCOPES
from archive.access.integrations import integration_named, issue_integration_key
from archive.kernel.ids import IntegrationId
from archive.ledger.entries import OPERATOR
from archive.notify.events import EventType
from archive.notify.webhooks import set_webhook
from archive.web.app import create_app
from tests.support import seed
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.case_system import CaseSystem

TAMPERED = [
    ("UPDATE officer SET name = '另一人' WHERE name = '周敏'", "fsck.row_changed"),
    ("UPDATE officer SET valid_until = '2099-01-01'", "fsck.row_changed"),
    ("UPDATE external_id SET external_id = 'CASE-X' WHERE kind = 'case'", "fsck.unlogged"),
    ("DELETE FROM external_id WHERE kind = 'act'", "fsck.row_missing"),
    ("DELETE FROM act_officer", "fsck.row_changed"),
    ("UPDATE api_key SET scope = 'cases.read cases.write' WHERE scope LIKE '% %'", "fsck.row_changed"),
    ("UPDATE api_key SET revoked_at = created_at WHERE scope LIKE '% %'", "fsck.row_changed"),
    ("UPDATE webhook SET types = '[\"item.ready\"]'", "fsck.row_changed"),
    ("UPDATE webhook SET removed_at = created_at", "fsck.row_changed"),
]


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Iterator[ArchiveHome]:
    """An archive of each test's own: it is changed behind its back."""
    made = make_home(tmp_path, database_url)
    yield made
    made.services.close()


@pytest.fixture
def cms(home: ArchiveHome) -> Iterator[CaseSystem]:
    key = issue_integration_key(
        home.database, name="cms", title=None, scopes=INTEGRATION_SCOPES, by=OPERATOR, at=home.clock.now()
    )
    with seed.listening(create_app(home.services)) as address:
        system = CaseSystem.at(address, "cms", key)
        yield system
        system.client.close()


def pushed(home: ArchiveHome, cms: CaseSystem) -> None:
    cms.push_all()
    with home.database.read() as tx:
        cms_id = IntegrationId(integration_named(tx, cms.name).id)
    set_webhook(
        home.services.webhooks,
        integration_id=cms_id,
        url="https://cms.example.org/",
        types=[EventType.ITEM_READY, EventType.ITEM_LINKED],
        by=OPERATOR,
        at=home.clock.now(),
    )
    home.sequence()


def told(home: ArchiveHome) -> list[tuple[str, str, str]]:
    return [(fault.code, fault.message, fault.where) for fault in home.faults()]


def test_every_change_is_noticed(home: ArchiveHome, cms: CaseSystem) -> None:
    pushed(home, cms)
    before = told(home)
    assert before == []
    for statement, code in TAMPERED:
        assert home.execute(statement) > 0, statement
        after = told(home)
        assert code in {fault[0] for fault in after if fault not in before}, statement
        before = after


@pytest.mark.parametrize(
    "type_", ["admin.officer_recorded", "case.updated", "case.act_updated", "admin.key_issued", "admin.webhook_set"]
)
def test_what_was_erased_is_not_asked_about(home: ArchiveHome, cms: CaseSystem, type_: str) -> None:
    pushed(home, cms)
    assert home.erase(lambda entry: entry["type"] == type_)
    assert told(home) == []
