"""Fixity rounds of a bureau that is looked at: what was damaged and repaired, what could not be, two reports."""

from pathlib import Path

from sqlalchemy import select

from archive.ledger.entries import ARCHIVE
from archive.ocfl.layout import object_root
from retention.rounds.models import FixityReport
from retention.rounds.reports import Month
from tests.support import seed
from tests.support.seed import Bureau

_NAMES = ("巡查_20260214_093000.mp4", "暂扣物品移交_20260215_151200.mp4")


def read_everything(bureau: Bureau) -> str:
    """Damage a recording in one place and another in both, read everything, report two months; return the newer.

    Idempotent.
    """
    services, month = bureau.services, Month.with_moment(bureau.now()).before()
    with services.database.read() as tx:
        if tx.scalar(select(FixityReport.id).limit(1)) is not None:
            return str(month)
    dock = seed.new_dock(bureau, "固定性测试站")
    one, both = (seed.deliver(bureau, dock, name.encode() * 999, name) for name in _NAMES)
    seed.sequence(bureau)
    while services.copies.copy_some():
        pass
    first, second = services.settings.home / "store", services.settings.copy_folder
    assert second is not None
    _flip(first / object_root(one) / f"v1/content/original/{_NAMES[0]}")
    for store in (first, second / "store"):
        _flip(store / object_root(both) / f"v1/content/original/{_NAMES[1]}")
    services.rounds.ask_everything()
    while services.rounds.go_on(is_whole=True, by=ARCHIVE).has_more:
        pass
    for each in (month.before(), month):
        services.fixity_reports.make(each)
    return str(month)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[99] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
