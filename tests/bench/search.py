"""Searching: pages of what is found, at ten thousand documents and at many more. The cost of a page must stay flat."""

import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, text

from archive.db.database import Database
from archive.db.migrate import migrate
from archive.search.documents import Depth, Document, Kind, index_documents
from archive.search.models import SearchDocument
from archive.search.queries import Filters, Found, search
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.support import postgres

NAME = "search"
RUNS = 7
FEW: Final = 10_000
MANY: Final = 300_000
_BATCH: Final = 2000
_DEEP: Final = 50
_PAGE: Final = 20
"""Hits of a page: so that the fiftieth page is there at ten thousand documents as well."""
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTES: Final = 180 * 24 * 60
_RARE: Final = "无人机航拍"
_CHARACTERS: Final = "现场检查笔录询问处罚决定占道经营烧烤摊点无证餐饮店官渡五华盘龙西山区街道办事处执法记录证据照片扣押听证告知送达立案调张王李赵"
_PLACES: Final = ("官渡区北京路", "五华区翠湖路", "盘龙区青年路", "西山区滇池路", "呈贡区景明路")
_QUERIES: Final[dict[str, tuple[str, Filters]]] = {
    "two characters, in one of five documents": ("官渡", Filters()),
    "two characters, in one of three hundred": ("执法", Filters()),
    "three words": ("bwc 2026 官渡", Filters()),
    "part of a serial": ("0117", Filters()),
    "a number with its year": ("2026〕12", Filters()),
    "five characters, in one of five hundred": (_RARE, Filters()),
    "in all, one month of six": (
        "mp4",
        Filters(kind=Kind.ITEM, since=_START + timedelta(days=59), until=_START + timedelta(days=90)),
    ),
    "no words, unlinked only": ("", Filters(facets=(("linked", "no"),))),
}
_FLAT: Final = 3.0
"""How much a page may cost at thirty times the documents: the indexes are that much deeper, and colder."""
_FLOOR_MS: Final = 1.0
"""What takes less is flat: below it the machine's own noise is larger than what is measured."""


def measure(scratch: Path, *, runs: int = RUNS, few: int = FEW, many: int = MANY) -> Section:
    """Measure on SQLite, and on PostgreSQL where its server programs are there."""
    rows: list[Row] = []
    samples: dict[str, tuple[float, ...]] = {}
    for name, url in databases(scratch):
        database = Database(url)
        migrate(database)
        at_few = _at(database, few, runs)
        at_many = _at(database, many, runs)
        built = at_many.pop("build")[0]
        del at_few["build"]
        how = (
            "2,000 in a transaction" if database.is_sqlite else "2,000 in a transaction, the GIN index made afterwards"
        )
        rows.append(Row(f"{name}: documents indexed, {how}", f"{built:,.0f} /s"))
        samples |= {f"{name}, {many}: {what}": values for what, values in at_many.items()}
        samples |= {f"{name}, {few}: {what}": values for what, values in at_few.items()}
        for what, values in at_many.items():
            now = Samples(values)
            if what not in at_few:
                rows.append(Row(f"{name}: {what}", now.shown("ms")))
                continue
            before = Samples(at_few[what])
            ratio = max(now.median, _FLOOR_MS) / max(before.median, _FLOOR_MS)
            figure = f"{now.shown('ms')}, at {few:,}: {before.median:.2f} ms"
            rows.append(target_row(f"{name}: {what}", figure, ratio=ratio, most=_FLAT))
        database.close()
    return Section(
        name=NAME,
        title="Search",
        text=(
            f"A page of {_PAGE} hits, found and read with what is marked in them, at {many:,} documents and at {few:,}: "
            f"items with name, device, case number and place. Page {_DEEP} is reached by its cursor. The ratio is the "
            f"cost at {many:,} by that at {few:,}; times below {_FLOOR_MS:.0f} ms count as {_FLOOR_MS:.0f} ms."
        ),
        rows=tuple(rows),
        runs=runs,
        samples=samples,
    )


def databases(scratch: Path) -> Iterator[tuple[str, str]]:
    """Yield name and address of a SQLite file, and of a database of a PostgreSQL server where its programs are there."""
    yield "SQLite", f"sqlite+pysqlite:///{scratch / 'search.sqlite3'}"
    try:
        postgres.server_programs()
    except postgres.PostgresMissing:
        return
    cluster = postgres.Cluster(postgres.folder_for_server(scratch / "pg"), durable=False)
    try:
        yield "PostgreSQL", postgres.create_database(cluster.start())
    finally:
        cluster.destroy()


def _at(database: Database, size: int, runs: int) -> dict[str, tuple[float, ...]]:
    """Fill the index up to `size` and measure every query; milliseconds, and documents a second of the filling."""
    with database.read() as tx:
        there = tx.scalar(select(func.count()).select_from(SearchDocument)) or 0
    if not database.is_sqlite:  # as whoever loads that much at once would
        run_bare_statements(database, "DROP INDEX ix_search_document_tokens")
    began = time.perf_counter()
    for first in range(there, size, _BATCH):
        ids = {_id(number): number for number in range(first, min(first + _BATCH, size))}
        with database.begin() as tx:
            index_documents(tx, ids, lambda asked, ids=ids: [_document(ids[each], each) for each in asked])
    result = {"build": ((size - there) / (time.perf_counter() - began),)}
    if not database.is_sqlite:
        run_bare_statements(
            database,
            "CREATE INDEX ix_search_document_tokens ON search_document USING gin (tokens) WITH (fastupdate = off)",
            "VACUUM ANALYZE search_document",
        )
    for what, (words, filters) in _QUERIES.items():
        settle()
        first_page = [_page(database, words, filters, None) for _ in range(runs + 1)][1:]
        result[f"{what}, page 1"] = tuple(took for took, _ in first_page)
        cursor = _cursor(database, words, filters)
        if cursor is not None:
            deep = [_page(database, words, filters, cursor) for _ in range(runs + 1)][1:]
            result[f"{what}, page {_DEEP}"] = tuple(took for took, _ in deep)
    return result


def run_bare_statements(database: Database, *statements: str) -> None:
    """Run statements outside a transaction."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))


def _cursor(database: Database, words: str, filters: Filters) -> str | None:
    """Return the cursor of the page that comes after all but one of the deep ones; None where there are fewer."""
    with database.read() as tx:
        return search(tx, words, filters=filters, limit=(_DEEP - 1) * _PAGE).next_cursor


def _page(database: Database, words: str, filters: Filters, cursor: str | None) -> tuple[float, Found]:
    with database.read() as tx:
        began = time.perf_counter()
        found = search(tx, words, filters=filters, depth=Depth.CONTENT, cursor=cursor, limit=_PAGE)
        return (time.perf_counter() - began) * 1000, found


def _id(number: int) -> UUID:
    """Return an id as a busy bureau's items have them: one each second."""
    made = int(_START.timestamp() * 1000) + number * 1000
    return UUID(int=made << 80 | 0x7 << 76 | 0x2 << 62 | number)


def _document(number: int, ref_id: UUID) -> Document:
    made = random.Random(number)
    at = _START + timedelta(minutes=number * 7919 % _MINUTES)
    case = made.randrange(40_000)
    fields = [
        ("name", f"BWC{made.randrange(3000):04d}_{at:%Y%m%d_%H%M%S}.mp4"),
        ("device", f"BWC-{made.randrange(3000):04d}"),
        ("number", f"官综执罚〔2026〕{case}号"),
        ("place", f"{made.choice(_PLACES)} {made.randrange(300)} 号"),
        ("tag", "".join(_chosen(made, 12)) + (_RARE if number % 500 == 0 else "")),
    ]
    facets = [
        ("state", made.choice(["playable", "damaged"])),
        ("dock", f"dock-{made.randrange(20)}"),
        ("linked", "no" if number % 10 == 0 else "yes"),
        ("case", f"case-{case}"),
    ]
    return Document(Kind.ITEM, ref_id, fields, facets, at, at)


def _chosen(made: random.Random, count: int) -> Sequence[str]:
    return made.choices(_CHARACTERS, k=count)
