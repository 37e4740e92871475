"""`./dev campaign footprint`: bytes of the database for each item and entry, and requests to S3 for each intake and job.

Everything is taken in and worked on by the real use cases, in this process, on PostgreSQL and on an S3 server.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import text

from archive.db.database import Database
from archive.jobs.models import Job
from archive.kernel.digests import Digest
from archive.kernel.ids import EntryId, ObjectId, new_uuid7
from archive.ledger.entries import OPERATOR, EntryType, NewEntry, encode_entry
from archive.worker.loop import Worker
from tests.campaign.footprint.counting import Calls, counted
from tests.campaign.footprint.report import REPORT, render
from tests.support import footage, postgres, schema
from tests.support.archive_home import ArchiveHome, EnrolledDock, make_home
from tests.support.weed import start_weed

QUEUES: Final = ("prompt", "long")
_BATCH: Final = 5000
_LOG_TABLES: Final = "log_"


@dataclass(slots=True)
class Found:
    """What was measured. Units: bytes; requests by operation."""

    items: int = 0
    entries: int = 0
    bulk_entries: int = 0
    large_bytes: int = 0
    tables: dict[str, float] = field(default_factory=dict)
    """Bytes of each table with its indexes, for each item."""
    bulk_tables: dict[str, float] = field(default_factory=dict)
    """Bytes of each table of the log with its indexes, for each entry of many."""
    bulk_files: dict[str, float] = field(default_factory=dict)
    """Bytes of the published log and of the journal, for each entry of many."""
    objects: dict[str, float] = field(default_factory=dict)
    """Objects in each bucket for each item."""
    intake: Counter[str] = field(default_factory=Counter)
    renewal: Counter[str] = field(default_factory=Counter)
    large_intake: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: float = 0.0


def unlike(clip: bytes) -> bytes:
    """Return the same recording in other bytes: with a box at its end that players skip."""
    return clip + (24).to_bytes(4, "big") + b"free" + os.urandom(16)


def measure(base: Path, *, items: int, bulk: int, large_bytes: int) -> Found:
    """Measure all of it."""
    began, found = time.monotonic(), Found(items=items, bulk_entries=bulk, large_bytes=large_bytes)
    clip = footage.make_clip(base / "clip.mp4", seconds=2, size=(640, 480)).read_bytes()
    cluster = postgres.Cluster(postgres.folder_for_server(base / "pg"), durable=False)
    weed = start_weed(base / "weed")
    try:
        url = postgres.create_database(cluster.start())
        schema.make(url)
        with counted() as calls:
            settings = weed.settings(base / "s3")
            home = make_home(base, url, find_damage="never", **settings)
            try:
                dock = home.dock()
                _requests(home, dock, clip, calls, found)
                _items(home, dock, clip, found)
                _bulk(home, found)
            finally:
                home.services.close()
        client = weed.client()
        for name in ("s3_bucket", "s3_work_bucket"):
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=settings[name])
            count = sum(len(page.get("Contents", ())) for page in pages)
            found.objects[name] = count / (items + 2)
    finally:
        weed.stop()
        cluster.destroy()
    found.seconds = time.monotonic() - began
    return found


def _requests(home: ArchiveHome, dock: EnrolledDock, clip: bytes, calls: Calls, found: Found) -> None:
    """Count the requests of one small intake, of its jobs, and of the intake of a file in parts."""
    _work(home, calls)
    calls.taken()
    first = home.deliver(dock, unlike(clip), "first.mp4")
    found.intake = calls.taken()
    found.jobs = _work(home, calls)
    home.clock.step(timedelta(days=31))
    calls.taken()
    home.services.objects.lock(first)
    found.renewal = calls.taken()
    home.deliver(dock, os.urandom(found.large_bytes), "large.bin")
    found.large_intake = calls.taken()
    _work(home, calls)


def _work(home: ArchiveHome, calls: Calls) -> dict[str, Counter[str]]:
    """Run every job that is due; return the requests of each kind."""
    services, by_kind = home.services, {}

    def counted_one(kind: str) -> Any:
        def run(job: Any, report: Any) -> None:
            calls.taken()
            services.handlers[kind](job, report)
            by_kind[kind] = by_kind.get(kind, Counter()) + calls.taken()

        return run

    handlers = {kind: counted_one(kind) for kind in services.handlers}
    worker = Worker(services.database, handlers=handlers, clock=services.clock, lease_s=60)
    while worker.run_once(QUEUES):
        continue
    return by_kind


def _items(home: ArchiveHome, dock: EnrolledDock, clip: bytes, found: Found) -> None:
    """Take in many items and do all their jobs; measure how the tables grew."""
    home.sequence()
    before, entries = sizes(home.database), _entries(home.database)
    for number in range(found.items):
        home.deliver(dock, unlike(clip), f"BWC0117_20260302_{number:06d}.mp4")
    _work(home, Calls())
    while home.sequence():
        continue
    with home.database.read() as tx:
        assert not tx.query(Job).where(Job.state == "dead").count(), "a job failed"
    after = sizes(home.database)
    found.tables = {name: (size - before.get(name, 0)) / found.items for name, size in after.items()}
    found.entries = _entries(home.database) - entries


def _bulk(home: ArchiveHome, found: Found) -> None:
    """Write many entries through the tables, sequence them, and measure."""
    before, files = sizes(home.database), _files(home.path)
    for first in range(0, found.bulk_entries, _BATCH):
        rows = list(_encoded(home, first, min(_BATCH, found.bulk_entries - first)))
        with home.database.begin() as tx:
            for statement in (
                "INSERT INTO log_entry (id, body) VALUES (:id, :body)",
                "INSERT INTO log_detail (entry_id, salt, detail) VALUES (:id, :salt, :detail)",
                "INSERT INTO log_pending (entry_id) VALUES (:id)",
            ):
                tx.execute(text(statement), rows)
        while home.sequence():
            continue
    after = sizes(home.database)
    found.bulk_tables = {
        name: (size - before.get(name, 0)) / found.bulk_entries
        for name, size in after.items()
        if name.startswith(_LOG_TABLES)
    }
    found.bulk_files = {
        name: (size - files.get(name, 0)) / found.bulk_entries for name, size in _files(home.path).items()
    }


def _encoded(home: ArchiveHome, first: int, count: int) -> Iterator[Mapping[str, Any]]:
    object_id, digest = ObjectId(new_uuid7()), Digest("sha256", os.urandom(32))
    for number in range(first, first + count):
        detail = {"number": number, "name": "BWC0117_20260302_093000.mp4", "sha256": digest.hex, "of": str(object_id)}
        entry = NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail=detail)
        made = encode_entry(entry, entry_id=EntryId(new_uuid7()), at=home.clock.now())
        yield {"id": made.id, "body": made.body, "salt": made.salt, "detail": made.detail}


_HEAPS: Final = text("""
    SELECT coalesce(owner.relname, pg_class.relname), sum(tuples.tuple_len + 4 * tuples.tuple_count)
    FROM pg_class LEFT JOIN pg_class AS owner ON owner.reltoastrelid = pg_class.oid
    CROSS JOIN LATERAL pgstattuple(pg_class.oid) AS tuples
    WHERE pg_class.relkind IN ('r', 't')
      AND coalesce(owner.relnamespace, pg_class.relnamespace) = 'public'::regnamespace GROUP BY 1
""")
_TREES: Final = text("""
    SELECT pg_class.relname, sum(found.leaf_pages * 8152 * found.avg_leaf_density / 100)
    FROM pg_index JOIN pg_class ON pg_class.oid = pg_index.indrelid
    JOIN pg_class AS own ON own.oid = pg_index.indexrelid JOIN pg_am ON pg_am.oid = own.relam
    CROSS JOIN LATERAL pgstatindex(pg_index.indexrelid) AS found
    WHERE pg_class.relnamespace = 'public'::regnamespace AND pg_am.amname = 'btree'
      AND found.avg_leaf_density <> 'NaN' GROUP BY 1
""")
_OTHERS: Final = text("""
    SELECT pg_class.relname, sum(pg_relation_size(own.oid))
    FROM pg_index JOIN pg_class ON pg_class.oid = pg_index.indrelid
    JOIN pg_class AS own ON own.oid = pg_index.indexrelid JOIN pg_am ON pg_am.oid = own.relam
    WHERE pg_class.relnamespace = 'public'::regnamespace AND pg_am.amname <> 'btree' GROUP BY 1
""")


def sizes(database: Database) -> dict[str, float]:
    """Return how many bytes the rows of each table take, with their entries in its indexes: what is used of the pages.

    Of indexes that are no trees (search) the whole pages are counted.
    """
    found: Counter[str] = Counter()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pgstattuple"))
        connection.execute(text("VACUUM FULL"))
        for asked in (_HEAPS, _TREES, _OTHERS):
            for name, size in connection.execute(asked):
                found[str(name)] += float(size)
    return dict(found)


def _entries(database: Database) -> int:
    with database.read() as tx:
        return int(tx.execute(text("SELECT count(*) FROM log_entry")).scalar_one())


def _files(home: Path) -> dict[str, int]:
    told = {
        "published log (`log`)": "log",
        "entries (`log-entries`)": "log-entries",
        "keys of the journal": "journal-keys",
    }
    return {
        what: sum(path.stat().st_size for path in (home / name).rglob("*") if path.is_file())
        for what, name in told.items()
    }


def main(arguments: Sequence[str]) -> int:
    """Run the campaign; 0 when all of it could be measured."""
    parser = argparse.ArgumentParser(prog="./dev campaign footprint")
    parser.add_argument("--items", type=int, default=100, help="items that go all the way")
    parser.add_argument("--bulk", type=int, default=200_000, help="log entries that are written in bulk")
    parser.add_argument("--large-mb", type=int, default=100, help="size of the file that is sent in parts, in MB")
    parser.add_argument("--report", type=Path, nargs="?", const=REPORT, help="write a report, as it is committed")
    asked = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="liuhen-footprint-") as base:
        Path(base).chmod(0o711)
        found = measure(Path(base), items=asked.items, bulk=asked.bulk, large_bytes=asked.large_mb * 1_000_000)
    told = render(found, command=f"./dev campaign footprint {' '.join(arguments)}".strip())
    print(told)
    if asked.report is not None:
        asked.report.write_text(told, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
