"""`liuhen verify` of 1 GiB, as a whole process, beside `openssl dgst -sha512`."""

import os
import subprocess
import sys
from pathlib import Path

from archive.ledger.trustfile import TrustFile
from tests.bench.common import MIB, Result, drop, make_random, median, run, timed
from tests.support.server import serving

RUNS = 7


def measure(scratch: Path) -> list[Result]:
    """Measure with the file in the page cache for both."""
    file = make_random(scratch / "recording.mp4", 1024 * MIB)
    state = scratch / "dock"
    with serving(scratch / "home") as server:
        code = server.invite()
        _liuhen("dock", "enrol", "--server", server.address, "--code", code, "--state", state)
        _liuhen("dock", "push", file, "--state", state)
    receipt = next((state / "receipts").glob("*.receipt.json"))
    TrustFile.parse((state / "trust.txt").read_bytes())
    ours, peer = [], []
    for _ in range(RUNS):
        ours.append(timed(lambda: _liuhen("verify", file, "--receipt", receipt, "--key", state / "trust.txt")))
        peer.append(timed(lambda: run("openssl", "dgst", "-sha512", file)))
    file.unlink()
    drop(scratch / "home")
    drop(state)
    ratio = median(ours) / median(peer)
    return [
        Result(
            "`liuhen verify` of 1 GiB, both digests, receipt, proof, signatures",
            "s",
            median(ours),
            {"openssl dgst -sha512": median(peer)},
            "<= 1.3 x openssl",
            ratio <= 1.3,
            f"{ratio:.2f} x",
        )
    ]


def _liuhen(*arguments: str | Path) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(
        [sys.executable, "-m", "archive.cli", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )
