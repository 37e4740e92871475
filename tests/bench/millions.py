"""An archive of a million items beside one of ten thousand: what pages cost, and one more upload.

The archives are built once and kept: they lie in `.dev/millions`, or where LIUHEN_BENCH_MILLIONS says. At most one of a
million is kept at a time, so SQLite and PostgreSQL are two benchmarks.
"""

import http.client
import os
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from archive.access.sessions import sign_in
from archive.kernel.digests import digest_of
from archive.kernel.ids import DockId
from archive.kernel.instants import format_instant
from archive.web.app import create_app
from archive.wiring import Services, build_services
from ingest.accept import finish_upload
from ingest.docks import authenticated_dock
from ingest.manifest import build_manifest, sign_manifest
from ingest.receipts import receipt
from ingest.staging import staged_path
from ingest.uploads import create_upload, record_offset
from signing.ed25519 import Ed25519KeyHandle
from tests.bench.archive import settle
from tests.bench.millions_pages import Address, Person, pages_of
from tests.bench.report import Row, Section
from tests.support import postgres
from tests.support.bulk.building import Bulk, build, is_built, opened
from tests.support.bulk.office import PASSWORD
from tests.support.seed import listening

RUNS: Final = 40
"""How often each page is asked for, at each size by turns."""
FEW: Final = 10_000
MANY: Final = 1_000_000
_WARM: Final = 3
_MOST_RATIO: Final = 1.3
_FLOOR_MS: Final = 5.0
"""Pages that take less count as much: below it the machine's own noise is larger than what is measured."""
_MOST_P95_MS: Final = {"SQLite": 100.0, "PostgreSQL": 50.0}
_PEOPLE: Final = ("supervisor", "officer", "auditor")
_PLACE: Final = Path(os.environ.get("LIUHEN_BENCH_MILLIONS", ".dev/millions")).absolute()


@dataclass(frozen=True, slots=True)
class _Site:
    """A bulk archive that answers, and who is signed in there."""

    bulk: Bulk
    services: Services
    door: http.client.HTTPConnection
    cookies: Mapping[str, str]
    pages: Mapping[str, Mapping[str, Sequence[Address]]]
    """Addresses by page and person."""


@dataclass(slots=True)
class _Times:
    few: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """What the many take by what the few take, by their medians; 1 where only the many have such a page."""
        if not self.few:
            return 1.0
        return max(statistics.median(self.many), _FLOOR_MS) / max(statistics.median(self.few), _FLOOR_MS)


def measure(engine: str, *, runs: int = RUNS, few: int = FEW, many: int = MANY) -> Section:
    """Measure on one database."""
    with _databases(engine) as url_of, ExitStack() as stack:
        small, large = (stack.enter_context(_site(engine, items, url_of)) for items in (few, many))
        pages = _pages_measured(small, large, runs)
        uploads = _uploads_measured(small, large, runs)
        entries = large.bulk.made.entries
    limit = _MOST_P95_MS[engine]
    rows = [_row(page, people, limit) for page, people in pages.items()]
    rows += [_row(f"One more upload: {part}", {"dock": times}, limit=None) for part, times in uploads.items()]
    samples = {
        f"{page}, {person}, {size}": tuple(round(value, 2) for value in values)
        for page, people in (*pages.items(), *((f"upload: {part}", {"dock": each}) for part, each in uploads.items()))
        for person, times in people.items()
        for size, values in ((few, times.few), (many, times.many))
    }
    return Section(
        name=f"millions-{engine.lower()}",
        title=f"A million items on {engine}",
        text=(
            f"{many:,} items in {many // 5:,} cases with {entries:,} log entries, beside {few:,} items in {few // 5:,} "
            "cases; both made in bulk by `tests/support/bulk`, whose rows are held against those of the real code. Each "
            f"page is asked for {runs} times over HTTP, at both sizes by turns, by the supervisor of one of 24 squads "
            "(a twelfth of everything), by an officer with twelve cases, and by an auditor who sees everything. Shown "
            f"are the median and the 95th percentile at {many:,}; the ratio is that of the medians, the worst of the "
            f"people; what takes less than {_FLOOR_MS:.0f} ms counts as {_FLOOR_MS:.0f} ms. The middle of a list is "
            "reached by a cursor. An upload is measured from its creation to the receipt, with 4 kB of bytes."
        ),
        rows=tuple(rows),
        runs=runs,
        samples=samples,
    )


def _row(what: str, people: Mapping[str, _Times], limit: float | None) -> Row:
    shown, worst = [], 0.0
    for person, times in people.items():
        p95 = _p95(times.many)
        worst = max(worst, p95)
        shown.append(f"{person} {statistics.median(times.many):.1f}, {p95:.1f} ms")
    ratio = max(times.ratio for times in people.values())
    target = f"at most {_MOST_RATIO:.2f}x" + ("" if limit is None else f", 95 of 100 under {limit:.0f} ms")
    holds = ratio <= _MOST_RATIO and (limit is None or worst < limit)
    return Row(what, "; ".join(shown), f"{ratio:.2f}x", target, holds)


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


# --- pages --------------------------------------------------------------------------------------------------------


def _pages_measured(small: _Site, large: _Site, runs: int) -> dict[str, dict[str, _Times]]:
    found: dict[str, dict[str, _Times]] = {}
    for page, people in large.pages.items():
        settle()
        for site in (small, large):  # the server ends a connection that was idle for long
            site.door.close()
            site.door.connect()
        for person in people:
            times = found.setdefault(page, {}).setdefault(person, _Times())
            for number in range(-_WARM, runs):
                for site, into in ((small, times.few), (large, times.many)):
                    addresses = site.pages.get(page, {}).get(person, ())
                    if not addresses:  # so few that the list ends before its middle
                        continue
                    took = _asked(site, person, addresses[number % len(addresses)])
                    if number >= 0:
                        into.append(took)
    return found


def _asked(site: _Site, person: str, address: Address) -> float:
    began = time.perf_counter()
    site.door.request("GET", address, headers={"Cookie": site.cookies[person], "Accept-Language": "zh"})
    answer = site.door.getresponse()
    body = answer.read()
    took = (time.perf_counter() - began) * 1000
    if answer.status != 200:
        raise AssertionError(f"{person} {address}: {answer.status} {body[:300]!r}")
    return took


@contextmanager
def _site(engine: str, items: int, url_of: Callable[[int], str]) -> Iterator[_Site]:
    home = _PLACE / f"{engine.lower()}-{items}"
    if not is_built(home):
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        build(home, url_of(items), items=items, on_progress=lambda done: print(f"{engine}: {done:,} items", flush=True))
    bulk = opened(home, url_of(items))
    services = build_services(bulk.settings)
    try:
        tokens = {
            name: sign_in(services.sign_ins, username=name, password=PASSWORD, at=services.clock.now())
            for name in _PEOPLE
        }
        services.sequencer.sequence()
        pages = pages_of(services, bulk.made, [Person.of(services, name) for name in _PEOPLE])
        with listening(create_app(services)) as address:
            door = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
            door.connect()
            cookies = {name: f"liuhen_session={token}" for name, token in tokens.items()}
            yield _Site(bulk, services, door, cookies, pages)
            door.close()
    finally:
        services.close()


# --- uploads ------------------------------------------------------------------------------------------------------


def _uploads_measured(small: _Site, large: _Site, runs: int) -> dict[str, _Times]:
    found: dict[str, _Times] = {}
    settle()
    for number in range(-_WARM, runs):
        for site, is_many in ((small, False), (large, True)):
            for part, took in _uploaded(site).items():
                times = found.setdefault(part, _Times())
                if number >= 0:
                    (times.many if is_many else times.few).append(took)
    return found


def _uploaded(site: _Site) -> Mapping[str, float]:
    """Bring one recording in, from its creation to the receipt; milliseconds of each part."""
    services, data = site.services, secrets.token_bytes(4096)
    with services.database.read() as tx:
        dock, _ = authenticated_dock(tx, site.bulk.api_key, at=services.clock.now())
    dock_id, credential = DockId(dock.id), f"key:{site.bulk.api_key.split('_')[1]}"
    manifest = build_manifest(
        dock_id=dock_id,
        name="BWC0203_20261130_093112.mp4",
        digests=digest_of(data),
        times={"signed": format_instant(services.clock.now()), "recorded": format_instant(services.clock.now())},
        device={"serial": "BWC-0203"},
    )
    signature = sign_manifest(manifest, Ed25519KeyHandle(site.bulk.dock_key))
    began = time.perf_counter()
    state = create_upload(
        services.intake,
        dock_id=dock_id,
        credential=credential,
        size_bytes=len(data),
        metadata_header="",
        manifest=manifest,
        manifest_signature=signature,
    )
    staged_path(services.intake.staging, state.id).write_bytes(data)
    record_offset(services.intake, state.id, offset_bytes=len(data))
    created = time.perf_counter()
    finish_upload(services.intake, state.id)
    finished = time.perf_counter()
    while services.sequencer.sequence():
        continue
    sequenced = time.perf_counter()
    if receipt(services.intake, state.id, dock_id=dock_id) is None:
        raise AssertionError("There is no receipt")
    ended = time.perf_counter()
    parts = {
        "created, its bytes there": created - began,
        "taken in": finished - created,
        "in the log, under a checkpoint": sequenced - finished,
        "receipt": ended - sequenced,
        "all": ended - began,
    }
    return {part: took * 1000 for part, took in parts.items()}


# --- databases ----------------------------------------------------------------------------------------------------


@contextmanager
def _databases(engine: str) -> Iterator[Callable[[int], str]]:
    """Give what tells the address of the database of so many items, which is made where it is missing."""
    if engine == "SQLite":
        yield lambda _: ""
        return
    cluster = postgres.Cluster(postgres.folder_for_server(_PLACE / "pg"), durable=True)
    server = cluster.start()

    def url_of(items: int) -> str:
        name = f"bulk_{items}"
        url = f"{server.rsplit('/', 1)[0]}/{name}"
        if is_built(_PLACE / f"{engine.lower()}-{items}"):
            return url
        postgres.drop_database(server, url)
        return postgres.create_database(server, name=name)

    try:
        yield url_of
    finally:
        cluster.stop()
