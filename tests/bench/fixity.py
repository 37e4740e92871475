"""A fixity round over everything that is stored, beside `openssl dgst -sha512` of the very same files."""

import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from archive.kernel.ids import ObjectId
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home

NAME = "fixity"
RUNS = 5
LARGE, LARGE_BYTES = 8, 512 << 20
SMALL, SMALL_BYTES = 5000, 24 << 10
_MIB = 1 << 20


def measure(
    scratch: Path,
    *,
    runs: int = RUNS,
    large: int = LARGE,
    large_bytes: int = LARGE_BYTES,
    small: int = SMALL,
    small_bytes: int = SMALL_BYTES,
) -> Section:
    """Measure rounds over an archive of real recordings, taken in through the archive's own door."""
    home = make_home(scratch, "", SteppedClock(), fixity_bytes_per_s=0)
    try:
        dock = home.dock()
        sizes = [large_bytes] * large + [small_bytes] * small
        made = [home.deliver(dock, os.urandom(size), "a.mp4") for size in sizes]
        home.sequence()
        home.services.rounds.throttle._is_pressed = lambda: False  # nobody works on the jobs of what came in
        files = sorted(path for path in (home.path / "store").rglob("*") if path.is_file() and "urn" in str(path))
        (scratch / "files").write_bytes(b"\0".join(str(path).encode() for path in files))
        size_bytes = sum(path.stat().st_size for path in files)
        ours, theirs, our_cpu, their_cpu = _by_turns(home, made, scratch / "files", runs=runs)
    finally:
        home.services.close()
    round_s, openssl_s = Samples(tuple(ours)), Samples(tuple(theirs))
    rate = size_bytes / round_s.median / 1e6
    return Section(
        name=NAME,
        title="Fixity round",
        text=(
            f"{large} recordings of {large_bytes // _MIB} MiB and {small:,} of {small_bytes // 1024} KiB, {len(files):,} "
            f"files with manifests and inventories, {size_bytes / 1e9:.2f} GB in the page cache, one place. A round reads "
            "every file once, computes SHA-512 and SHA-256, holds each object against inventory, manifest and "
            "catalogue, notes it and writes the log entries, durable; one object is read ahead of the other. `openssl "
            "dgst` computes one digest of the same files, as many at a call as there is room for (`xargs`), and judges "
            "nothing. Time by the wall clock; processor time of all threads beside it."
        ),
        rows=(
            target_row(
                f"A round, {rate:,.0f} MB/s", round_s.shown(), ratio=round_s.median / openssl_s.median, most=1.2
            ),
            Row("`openssl dgst -sha512` of the same files", openssl_s.shown()),
            Row("A round: processor time", Samples(tuple(our_cpu)).shown()),
            Row("`openssl dgst -sha512`: processor time", Samples(tuple(their_cpu)).shown()),
        ),
        runs=runs,
        samples={"round": round_s.values, "openssl": openssl_s.values},
    )


def _by_turns(
    home: ArchiveHome, made: list[ObjectId], files: Path, *, runs: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    def through() -> None:
        rounds = home.services.rounds
        whole = 0
        while (done := rounds.go_on(within_s=3600.0)).has_more:
            whole += done.whole
        assert whole == len(made), f"{whole} of {len(made)} were read"

    def openssl() -> None:
        with files.open("rb") as names:
            command = ["xargs", "-0", "openssl", "dgst", "-sha512"]
            subprocess.run(command, stdin=names, stdout=subprocess.DEVNULL, check=True)

    home.services.rounds.ask_everything()
    through()
    openssl()
    ours, theirs, our_cpu, their_cpu = [], [], [], []
    for number in range(runs):
        for turn in (0, 1):
            if (number + turn) % 2 == 0:
                home.services.rounds.ask_everything()
                took, cpu = _took(through, resource.RUSAGE_SELF)
                ours.append(took)
                our_cpu.append(cpu)
            else:
                took, cpu = _took(openssl, resource.RUSAGE_CHILDREN)
                theirs.append(took)
                their_cpu.append(cpu)
    return ours, theirs, our_cpu, their_cpu


def _took(work: Callable[[], None], who: int) -> tuple[float, float]:
    settle()
    before, began = resource.getrusage(who), time.perf_counter()
    work()
    lasted, after = time.perf_counter() - began, resource.getrusage(who)
    return lasted, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
