"""Builds bulk archives and opens them again: `python -m tests.support.bulk.building FOLDER ITEMS [POSTGRES]`."""

import gc
import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.ledger.proofs import NodeTable, head
from archive.ledger.tree import CompactRange
from archive.settings import Settings
from archive.wiring import build_services
from archive.wiring.homes import create_home
from tests.support.bulk.log import Entries, Ids
from tests.support.bulk.maker import BulkArchive, Made
from tests.support.bulk.office import AGENCY, OFFICERS_OF_SQUAD, make_office
from tests.support.bulk.tables import Loader, loading_postgres, loading_sqlite

_TOLD: Final = "bulk.json"


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk archive on disk, what is in it, and the dock that brings more."""

    settings: Settings
    made: Made
    api_key: str
    dock_key: Ed25519PrivateKey


def settings_of(home: Path, database_url: str = "") -> Settings:
    """Return the settings of a bulk archive."""
    given: dict[str, Any] = {
        "home": home, "database_url": database_url, "origin": "bulk.example/log", "organisation": AGENCY,
        "tls": False, "terms": "off", "sandbox": "preferred", "reserve_bytes": 0, "searches_per_minute": 1_000_000,
    }  # fmt: skip
    return Settings(**given)


def build(
    home: Path,
    database_url: str = "",
    *,
    items: int,
    officers_of_squad: int = OFFICERS_OF_SQUAD,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Bulk:
    """Make an archive of so many items, in SQLite or in an empty database of PostgreSQL. Units: `on_progress` items."""
    settings = settings_of(home, database_url)
    create_home(settings)
    services = build_services(settings)
    try:
        office = make_office(services, officers_of_squad=officers_of_squad)
        with services.database.read() as tx:
            newest = head(tx)
            assert newest is not None
            tree = CompactRange.read(newest.size, reader=NodeTable(tx))
        ids, signers = Ids(), services.sequencer.signers
        end = services.clock.now() - timedelta(hours=1)
    finally:
        services.close()
    entries = Entries(ids, tree, settings.origin, signers)
    gc.disable()  # rows by the million, and no rings among them
    with _loading(settings) as loader:
        archive = BulkArchive(office, entries, ids, items=items, end=end, has_fts=loader.has_fts)
        for rows in archive.blocks():
            loader.put(rows)
            on_progress(archive.made.items)
    gc.enable()
    key = office.dock_key.private_bytes_raw().hex()
    told = {"made": asdict(archive.made), "api_key": office.api_key, "dock_key": key}
    (home / _TOLD).write_text(json.dumps(told, indent=1), "utf-8")
    return opened(home, database_url)


def is_built(home: Path) -> bool:
    """Return whether a folder has a bulk archive that is whole."""
    return (home / _TOLD).exists()


def opened(home: Path, database_url: str = "") -> Bulk:
    """Return a bulk archive that was built before."""
    told = json.loads((home / _TOLD).read_text("utf-8"))
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["dock_key"]))
    return Bulk(settings_of(home, database_url), Made(**told["made"]), told["api_key"], key)


def _loading(settings: Settings) -> AbstractContextManager[Loader]:
    url = settings.effective_database_url
    if url.startswith("sqlite"):
        return loading_sqlite(settings.home.absolute() / "liuhen.sqlite3")
    return loading_postgres(url)


def main(arguments: list[str]) -> None:
    """Build one, and say how far it is."""
    home, items, *rest = arguments
    began = time.monotonic()

    def told(done: int) -> None:
        print(f"{done:,} items, {time.monotonic() - began:.0f} s", flush=True)

    build(Path(home), rest[0] if rest else "", items=int(items), on_progress=told)


if __name__ == "__main__":
    main(sys.argv[1:])
