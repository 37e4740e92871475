"""Several who change what one document says, at the same time: the document says all of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import select

from archive.cases.filing import link_object
from archive.kernel.ids import CaseId, ObjectId
from archive.ledger.entries import OPERATOR
from archive.search.documents import Depth, Kind
from archive.search.models import SearchDocument
from archive.search.queries import Filters, search
from tests.integration.cases.test_filing import at_once
from tests.support.archive_home import ArchiveHome


def test_nobody_writes_over_what_another_one_has_said(home: ArchiveHome, deliver: Callable[..., ObjectId]) -> None:
    object_id = deliver(b"footage", "现场.mp4")
    cases = [home.case(f"〔2026〕{number}号") for number in range(8)]

    def link(case_id: CaseId) -> Any:
        return link_object(home.database, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())

    assert at_once(*(partial(link, case_id) for case_id in cases)) == [None] * 8
    with home.database.read() as tx:
        (hit,) = search(tx, "现场", filters=Filters(kind=Kind.ITEM), depth=Depth.CONTENT).hits
        assert len([shown for shown in hit.shown if shown.name == "number"]) == 8
        assert tx.scalars(select(SearchDocument.ref_id).where(SearchDocument.ref_id == object_id)).all() == [object_id]
    for case_id in cases:
        with home.database.read() as tx:
            found = search(tx, "", filters=Filters(kind=Kind.ITEM, facets=(("case", str(case_id)),))).hits
            assert [hit.ref_id for hit in found] == [object_id]
