"""`liuhen search rebuild`, and what `doctor` and `migrate` say and do of an index that is behind."""

from collections.abc import Callable

from archive.cases.listings import cases
from archive.doctor import examine
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.search.documents import clear_index
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
