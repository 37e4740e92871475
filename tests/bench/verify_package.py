"""A case package of 4 GiB, verified by all three, beside `openssl dgst -sha512` of the same files."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from playwright.sync_api import Page

from archive.packages.verifier import verify_html, verify_py
from tests.bench.archive import MemoryPeak, pss_bytes, settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.e2e.browser import open_browser, until
from tests.support.packages import House

NAME = "verify-package"
RUNS = 5
GIB = 1 << 30
_MIB = 1 << 20
_PART_BYTES = GIB
_LIUHEN_MOST, _ALONE_MOST, _MOST_MIB, _PAGE_LEAST_MB_S = 1.1, 1.3, 200, 150
_ENDED = "['done', 'failed'].includes(document.body.dataset.state)"


def measure(scratch: Path, *, runs: int = RUNS, size_bytes: int = 4 * GIB) -> Section:
    """Measure whole processes, with the files in the page cache for all; the browser reads the same folder."""
    package, trust = _large_package(scratch, size_bytes)
    alone = scratch / "verify.py"
    alone.write_bytes(verify_py())
    files = [str(path) for path in sorted(package.rglob("*")) if path.is_file()]
    commands: dict[str, list[str | Path]] = {
        "liuhen": [str(Path(sys.executable).with_name("liuhen")), "verify", package, "--key", trust],
        "alone": [sys.executable, "-I", alone, package, "--key", trust],
        "sha512": ["openssl", "dgst", "-sha512", *files],
        "sha256": ["openssl", "dgst", "-sha256", *files],
    }
    taken: dict[str, list[float]] = {name: [] for name in (*commands, "page")}
    peaks = {"liuhen": 0.0, "alone": 0.0, "page": 0.0}
    for command in commands.values():
        _took(command)
    page_file = scratch / "verify.html"
    page_file.write_bytes(verify_html())
    for number in range(runs):
        names = list(commands) if number % 2 == 0 else list(commands)[::-1]
        for name in names:
            seconds, peak = _took(commands[name])
            taken[name].append(seconds)
            if name in peaks:
                peaks[name] = max(peaks[name], peak)
    with open_browser() as browser:
        page = browser.new_context(offline=True).new_page()
        page.goto(page_file.as_uri())
        for _ in range(min(runs, 3)):
            seconds, more = _page_took(page, package, trust)
            taken["page"].append(seconds)
            peaks["page"] = max(peaks["page"], more)
    return _section(taken, peaks, runs=runs, size_bytes=size_bytes)


def _section(taken: dict[str, list[float]], peaks: dict[str, float], *, runs: int, size_bytes: int) -> Section:
    samples = {name: Samples(tuple(values)) for name, values in taken.items()}
    beside = samples["sha512"].median
    rate = size_bytes / 1e6 / samples["page"].median
    return Section(
        name=NAME,
        title="Verification of a case package",
        text=(
            f"{size_bytes / GIB:.3g} GiB in the page cache, time of the whole process. The verifiers compute SHA-256 and "
            "SHA-512 of every file in one read, and judge manifests, signatures, timestamps, entries, proofs and checkpoint; "
            "`openssl dgst` computes one digest and judges nothing. `verify.html` runs in Debian's chromium."
        ),
        rows=(
            target_row(
                "`liuhen verify`", samples["liuhen"].shown(), ratio=samples["liuhen"].median / beside, most=_LIUHEN_MOST
            ),
            target_row(
                "`verify.py`", samples["alone"].shown(), ratio=samples["alone"].median / beside, most=_ALONE_MOST
            ),
            Row("`openssl dgst -sha512`", samples["sha512"].shown()),
            Row("`openssl dgst -sha256`", samples["sha256"].shown()),
            *(
                Row(
                    f"Memory of `{what}`, at most",
                    f"{peaks[name]:.0f} MiB",
                    target=f"under {_MOST_MIB} MiB",
                    holds=peaks[name] < _MOST_MIB,
                )
                for name, what in (("liuhen", "liuhen verify"), ("alone", "verify.py"))
            ),
            Row(
                "`verify.html`",
                f"{samples['page'].shown()}, {rate:.0f} MB/s",
                target=f"at least {_PAGE_LEAST_MB_S} MB/s",
                holds=rate >= _PAGE_LEAST_MB_S,
            ),
            Row("Memory that `verify.html` takes beyond the open page, at most", f"{peaks['page']:.0f} MiB"),
        ),
        runs=runs,
        samples={name: each.values for name, each in samples.items()},
    )


def _large_package(scratch: Path, size_bytes: int) -> tuple[Path, Path]:
    house = House.make(1)
    package = house.package(scratch / "package")
    left, number = size_bytes, 0
    while left > 0:
        part = min(left, _PART_BYTES)
        with (package / "data" / "evidence" / f"{number}.bin").open("wb") as file:
            for start in range(0, part, _MIB):
                file.write(os.urandom(min(_MIB, part - start)))
        left, number = left - part, number + 1
    house.seal(package)
    trust = scratch / "trust.txt"
    trust.write_bytes(house.trust())
    return package, trust


def _took(command: Sequence[str | Path]) -> tuple[float, float]:
    """Return seconds, and the peak of the process's memory in MiB."""
    settle()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = MemoryPeak([process.pid])
    memory.start()
    code = process.wait()
    took = time.perf_counter() - began
    peak_bytes = memory.end()
    if code not in {0, 2}:  # 2: whether entries are missing was not checked
        raise RuntimeError(f"{command[0]} ended with {code}")
    return took, peak_bytes / _MIB


def _page_took(page: Page, package: Path, trust: Path) -> tuple[float, float]:
    """Return seconds, and by how many MiB the browser's processes grew at most."""
    page.reload()
    page.set_input_files("#folder", package, timeout=120_000)
    page.fill("#trust", trust.read_text())
    settle()
    browser = [each.pid for each in psutil.Process().children(recursive=True) if "chrom" in each.name()]
    before = sum(pss_bytes(pid) for pid in browser)
    memory = MemoryPeak(browser)
    memory.start()
    began = time.perf_counter()
    page.click("#start")
    until(page, _ENDED, timeout_s=600)
    took = time.perf_counter() - began
    more = memory.end() - before
    if json.loads(str(page.text_content("#report")))["unaltered"] != "valid":
        raise RuntimeError("the package is not valid for the page")
    return took, more / _MIB
