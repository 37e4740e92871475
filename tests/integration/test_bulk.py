"""A bulk archive is what the real code would have written: its log, who sees what, what is found."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.cases.indexing import index_cases, index_objects, index_subjects, missing_count
from archive.cases.models import Case, Subject
from archive.custody.events import custody_trail
from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.sight import Reach
from archive.kernel.canonical import parse_canonical
from archive.kernel.ids import EntryId, ObjectId
from archive.ledger.entries import commitment
from archive.ledger.models import LogDetail, LogEntry
from archive.ledger.proofs import head, inclusion
from archive.search.models import SearchDocument
from archive.search.queries import search
from archive.wiring import Services, build_services
from tests.support.bulk import words
from tests.support.bulk.building import Bulk, build

_ITEMS = 1000


@pytest.fixture
def bulk(database_url: str, tmp_path: Path) -> Bulk:
    return build(
        tmp_path / "home", "" if database_url.startswith("sqlite") else database_url, items=_ITEMS, officers_of_squad=4
    )


@pytest.fixture
def services(bulk: Bulk) -> Iterator[Services]:
    opened = build_services(bulk.settings)
    yield opened
    opened.close()


@pytest.mark.empty_database
def test_is_what_the_real_code_writes(bulk: Bulk, services: Services) -> None:
    assert (bulk.made.items, bulk.made.cases) == (_ITEMS, _ITEMS // 5)
    assert bulk.made.entries == pytest.approx(_ITEMS * 10, rel=0.05)
    with services.database.begin() as tx:
        assert missing_count(tx) == 0
        before = _derived(tx)
        index_objects(tx, tx.scalars(select(PreservedObject.id)).all())
        index_cases(tx, tx.scalars(select(Case.id)).all())
        index_subjects(tx, tx.scalars(select(Subject.id)).all())
        after = _derived(tx)
        assert before.keys() == after.keys()
        assert {key: value for key, value in before.items() if after[key] != value} == {}
        found = search(tx, words.RARE).hits
        assert found
        assert all(words.RARE in hit.title.text for hit in found if hit.kind == "case")
        assert not search(tx, words.NEVER).hits
    _assert_log_holds(bulk, services)


def _assert_log_holds(bulk: Bulk, services: Services) -> None:
    services.sequencer.recover()  # publishes and journals everything, and compares what is stored with what was signed
    with services.database.read() as tx:
        newest = head(tx)
        assert newest is not None
        assert newest.size == tx.scalar(select(func.count()).select_from(LogEntry))
        trail = custody_trail(tx, ObjectId(UUID(bulk.made.looked_at_item)))
        assert len(trail) > 5
        assert [row.at for row in trail] == sorted(row.at for row in trail)
        for entry_id in tx.scalars(select(CustodyEvent.entry_id).order_by(CustodyEvent.entry_id).limit(50)):
            entry, detail = tx.get_one(LogEntry, entry_id), tx.get_one(LogDetail, entry_id)
            told = parse_canonical(entry.body)
            assert (told["id"], told["v"]) == (str(entry_id), 1)
            assert told["detail_c"] == commitment(detail.salt, detail.detail)
            parse_canonical(detail.detail)
            assert inclusion(tx, EntryId(entry_id)) is not None


def _derived(tx: Session) -> Mapping[Any, Any]:
    reach = {tuple(row) for row in tx.execute(select(*Reach.__table__.c))}
    documents = tx.execute(select(SearchDocument.__table__)).mappings()
    return {("reach", row): True for row in reach} | {row["place"]: dict(row) for row in documents}
