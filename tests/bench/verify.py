"""`liuhen verify` of a large file, offline, beside `openssl dgst -sha512` of the same file."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.archive import bench_archive, random_file, settle
from tests.bench.report import Row, Samples, Section, target_row

NAME = "verify"
RUNS = 5
GIB = 1 << 30


def measure(scratch: Path, *, runs: int = RUNS, size_bytes: int = GIB) -> Section:
    """Measure whole processes, with the file in the page cache for both."""
    file = random_file(scratch / "recording.bin", size_bytes)
    receipt, trust = scratch / "receipt.json", scratch / "trust.txt"
    with bench_archive(scratch / "archive") as archive:
        archive.prepare(file)
        receipt.write_bytes(archive.receipt(archive.upload([file]).urls[0]))
        trust.write_bytes(archive.trust_file.read_bytes())
    liuhen: list[str | Path] = [
        str(Path(sys.executable).with_name("liuhen")),
        "verify",
        file,
        "--receipt",
        receipt,
        "--key",
        trust,
    ]
    openssl: dict[str, list[str | Path]] = {
        name: ["openssl", "dgst", f"-{name}", file] for name in ("sha512", "sha256")
    }
    for command in (liuhen, *openssl.values()):
        _took(command)
    ours, sha512, sha256 = [], [], []
    for number in range(runs):
        for turn in (0, 1):
            if (number + turn) % 2 == 0:
                ours.append(_took(liuhen))
            else:
                sha512.append(_took(openssl["sha512"]))
                sha256.append(_took(openssl["sha256"]))
    found = Samples(tuple(ours))
    beside = Samples(tuple(sha512))
    return Section(
        name=NAME,
        title="Verification",
        text=(
            f"{size_bytes / GIB:.3g} GiB in the page cache, time of the whole process. `liuhen verify` computes "
            "SHA-256 and SHA-512 side by side, and checks the receipt, both signatures and the proof; `openssl dgst` "
            "computes one digest and judges nothing."
        ),
        rows=(
            target_row(
                "`liuhen verify` with receipt and pinned keys",
                found.shown(),
                ratio=found.median / beside.median,
                most=1.3,
            ),
            Row("`openssl dgst -sha512`", beside.shown()),
            Row("`openssl dgst -sha256`", Samples(tuple(sha256)).shown()),
        ),
        runs=runs,
        samples={"ours": found.values, "sha512": beside.values, "sha256": tuple(sha256)},
    )


def _took(command: Sequence[str | Path]) -> float:
    settle()
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
