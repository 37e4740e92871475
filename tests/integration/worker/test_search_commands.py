"""What jobs find out is found; `liuhen search rebuild`, and what `doctor` and `migrate` do of an index that is behind."""

from collections.abc import Callable

from sqlalchemy import select

from archive.cases.indexing import rebuild_index
from archive.cases.listings import cases
from archive.doctor import examine
from archive.jobs.queue import PROMPT
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.search.documents import Depth, Kind, clear_index
from archive.search.models import SearchDocument
from archive.search.queries import Filters, search
from archive.worker.loop import Worker
from tests.integration.worker.test_cli import inside, liuhen, type_liuhen  # noqa: F401
from tests.support.archive_home import ArchiveHome


def of_index(home: ArchiveHome) -> tuple[Outcome, str]:
    (found,) = [finding for finding in examine(home.services).findings if finding.code == "doctor.search"]
    return found.outcome, found.message


def finds(home: ArchiveHome) -> int:
    with home.database.read() as tx:
        return len(cases(tx, words="无证").rows)


def lose_index(home: ArchiveHome) -> None:
    with home.database.begin() as tx:
        clear_index(tx)


def test_an_index_that_is_behind_is_told_and_made_again(
    inside: ArchiveHome,  # noqa: F811
    liuhen: type_liuhen,  # noqa: F811
    deliver: Callable[..., ObjectId],
) -> None:
    inside.case()
    deliver(b"one")
    assert (finds(inside), of_index(inside)[0]) == (1, Outcome.VALID)
    lose_index(inside)
    assert finds(inside) == 0
    outcome, told = of_index(inside)
    assert outcome is Outcome.INVALID
    assert told.startswith("3 things")
    rebuilt = liuhen("search", "rebuild")
    assert (rebuilt.code, rebuilt.out) == (0, "Things that can be found: 3\n")
    assert (finds(inside), of_index(inside)[0]) == (1, Outcome.VALID)


def test_an_update_fills_an_index_that_is_empty(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    inside.case()
    lose_index(inside)
    assert liuhen("migrate").code == 0
    assert finds(inside) == 1


def test_what_a_job_finds_out_is_found(home: ArchiveHome, deliver: Callable[..., ObjectId]) -> None:
    object_id = deliver("当事人摆放炉具，现场检查。".encode(), "说明.txt")

    def found(words: str, depth: Depth = Depth.CATALOGUE, **facets: str) -> bool:
        with home.database.read() as tx:
            filters = Filters(kind=Kind.ITEM, facets=tuple(facets.items()))
            return [hit.ref_id for hit in search(tx, words, filters=filters, depth=depth).hits] == [object_id]

    def stored() -> list[str]:
        with home.database.read() as tx:
            return sorted(repr(tuple(row)) for row in tx.execute(select(SearchDocument.__table__)))

    assert found("说明", state="pending", media="other")
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=30)
    while worker.run_once([PROMPT]):
        continue
    assert found("说明", media="document")
    assert not found("说明", state="pending")
    assert found("炉具", depth=Depth.CONTENT)
    assert not found("炉具")
    before = stored()
    assert rebuild_index(home.database) == 1
    assert stored() == before
