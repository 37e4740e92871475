"""Two who change what one document says, at the same time: the document says both."""

import threading
from collections.abc import Callable

from sqlalchemy.orm import Session

from archive.cases.filing import write_link
from archive.kernel.ids import CaseId, ObjectId
from archive.ledger.entries import OPERATOR
from archive.search.documents import Kind
from archive.search.queries import Filters, search
from tests.support.archive_home import ArchiveHome


def test_nobody_writes_over_what_another_one_has_said(home: ArchiveHome, deliver: Callable[..., ObjectId]) -> None:
    object_id = deliver(b"footage", "现场.mp4")
    first, second = home.case("〔2026〕1号"), home.case("〔2026〕2号")

    def link(tx: Session, case_id: CaseId) -> None:
        write_link(tx, case_id, object_id, act_id=None, reason="x", by=OPERATOR, at=home.clock.now())

    def link_second() -> None:
        with home.database.begin() as tx:
            link(tx, second)

    other = threading.Thread(target=link_second)
    with home.database.begin() as tx:
        link(tx, first)
        other.start()
        other.join(timeout=1)
        assert other.is_alive(), "it waits: what it would build from is not committed yet"
    other.join()
    with home.database.read() as tx:
        (hit,) = search(tx, "现场", filters=Filters(kind=Kind.ITEM)).hits
        assert {shown.text for shown in hit.shown if shown.name == "number"} == {"〔2026〕1号", "〔2026〕2号"}
        for case_id in (first, second):
            found = search(tx, "", filters=Filters(kind=Kind.ITEM, facets=(("case", str(case_id)),))).hits
            assert [hit.ref_id for hit in found] == [object_id]
