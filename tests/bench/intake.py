"""Intake: bytes over loopback to durable, with both digests and the log entry, beside the official Node tus server."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.archive import (
    BenchArchive,
    MemoryPeak,
    bench_archive,
    freshen,
    peak_resident_bytes,
    random_file,
    settle,
)
from tests.bench.report import Row, Samples, Section, target_row
from tests.bench.tus_client import upload_at_once
from tests.support.tus_peer import NodePeer, node_peer
from tests.support.tus_peer.install import find_node

NAME = "intake"
RUNS = 5
GIB = 1 << 30
MIB = 1 << 20
_MOST_MEMORY_BYTES = 300 * MIB
_AT_ONCE = 8


@dataclass(slots=True)
class _Times:
    """Seconds of each run."""

    ours: list[float] = field(default_factory=list)
    node: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    disk: list[float] = field(default_factory=list)

    @property
    def peer(self) -> list[float]:
        """Node, then fsync and both digests of its file."""
        return [node + after for node, after in zip(self.node, self.after, strict=True)]


def measure(scratch: Path, *, runs: int = RUNS, size_bytes: int = GIB) -> Section:
    """Measure one upload of `size_bytes`, and eight at once that are as large together."""
    one = [random_file(scratch / "one", size_bytes)]
    many = [random_file(scratch / f"many-{number}", size_bytes // _AT_ONCE) for number in range(_AT_ONCE)]
    (scratch / "node").mkdir()
    receipts: list[float] = []
    with bench_archive(scratch / "archive") as archive, node_peer(scratch / "node") as peer:
        _ours(archive, [random_file(scratch / "warm", 8 * MIB)], receipts=[])  # both have done it once
        _node(peer, [scratch / "warm"], _Times())
        times = {1: _Times(), _AT_ONCE: _Times()}
        for number in range(runs):
            for at_once, files in ((1, one), (_AT_ONCE, many)):
                # Who goes first changes from run to run.
                for turn in (0, 1):
                    if (number + turn) % 2:
                        _node(peer, files, times[at_once])
                    else:
                        times[at_once].ours.append(_ours(archive, files, receipts=receipts))
                times[at_once].disk.append(_disk(one[0], scratch / "dd"))
        peaks = _peaks(archive, many)
    return Section(
        name=NAME,
        title="Intake",
        text=_text(size_bytes),
        rows=tuple(_rows(times, receipts, peaks, size_bytes)),
        runs=runs,
        samples={
            f"{kind}_{at_once}": tuple(getattr(found, kind))
            for at_once, found in times.items()
            for kind in ("ours", "node", "after", "disk")
        },
        programs=_programs(),
    )


def _ours(archive: BenchArchive, files: Sequence[Path], *, receipts: list[float]) -> float:
    for file in files:
        freshen(file)
        archive.prepare(file)
    settle()
    measured = archive.upload(files)
    began = time.perf_counter()
    archive.receipt(measured.urls[-1])
    receipts.append(time.perf_counter() - began)
    archive.wait_idle()
    archive.drop_originals()
    return measured.seconds


def _node(peer: NodePeer, files: Sequence[Path], times: _Times) -> None:
    for file in files:
        freshen(file)
    settle()
    measured = upload_at_once(files, url=peer.url, metadata=lambda file: "filename " + _base64(file.name))
    stored = [peer.directory / url.rpartition("/")[2] for url in measured.urls]
    began = time.perf_counter()
    for path in (*stored, peer.directory):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    for algorithm in ("-sha256", "-sha512"):
        subprocess.run(["openssl", "dgst", algorithm, *stored], check=True, stdout=subprocess.DEVNULL)
    times.node.append(measured.seconds)
    times.after.append(time.perf_counter() - began)
    for path in stored:
        path.unlink()
        path.with_name(path.name + ".json").unlink(missing_ok=True)


def _disk(source: Path, target: Path) -> float:
    settle()
    began = time.perf_counter()
    subprocess.run(["dd", f"if={source}", f"of={target}", "bs=2M", "conv=fdatasync", "status=none"], check=True)
    took = time.perf_counter() - began
    target.unlink()
    return took


@dataclass(frozen=True, slots=True)
class _Peaks:
    web_bytes: int
    sum_bytes: int
    together_bytes: int


def _peaks(archive: BenchArchive, files: Sequence[Path]) -> _Peaks:
    """One more run of eight at once, untimed, with an eye on memory."""
    pids = archive.server.pids()
    watch = MemoryPeak(list(pids.values()))
    watch.start()
    _ours(archive, files, receipts=[])
    together = watch.end()
    resident = {role: peak_resident_bytes(pid) for role, pid in pids.items()}
    return _Peaks(resident["web"], sum(resident.values()), together)


def _rows(times: dict[int, _Times], receipts: list[float], peaks: _Peaks, size_bytes: int) -> list[Row]:
    rows = []
    for at_once, found in times.items():
        what = "1 upload" if at_once == 1 else f"{at_once} uploads at once"
        ours, node, peer = Samples(tuple(found.ours)), Samples(tuple(found.node)), Samples(tuple(found.peer))
        disk = Samples(tuple(found.disk))
        rate = size_bytes / 1e6 / ours.median
        rows += [
            Row(f"{what}: Liuhen, durable, both digests, log entry", f"{ours.shown()}, {rate:.0f} MB/s"),
            target_row(
                f"{what}: Node tus server, then fsync, `openssl dgst -sha256` and `-sha512`",
                peer.shown(),
                ratio=peer.median / ours.median,
                least=1.0,
            ),
            target_row(
                f"{what}: Node tus server alone, nothing durable, no digest",
                node.shown(),
                ratio=node.median / ours.median,
                least=0.6,
            ),
            target_row(f"{what}: the disk alone, `dd conv=fdatasync`", disk.shown(), ratio=disk.median / ours.median),
        ]
    web, together = peaks.web_bytes / MIB, peaks.together_bytes / MIB
    is_small = peaks.web_bytes < _MOST_MEMORY_BYTES
    rows += [
        Row("From the answer to the receipt", Samples(tuple(receipts)).shown()),
        Row("Memory peak of the web process (VmHWM)", f"{web:.0f} MiB", "", "under 300 MiB", is_small),
        Row("Memory peak of the four processes together (PSS: shared pages once)", f"{together:.0f} MiB"),
        Row("Sum of the four processes' own peaks (VmHWM: shared pages each time)", f"{peaks.sum_bytes / MIB:.0f} MiB"),
    ]
    return rows


def _text(size_bytes: int) -> str:
    return (
        f"{size_bytes / GIB:.3g} GiB of random bytes over plain HTTP on the loopback, by one client for both "
        "(`tests/bench/tus_client.py`, sendfile, one POST and one PATCH per file); the clock stops at the last answer. "
        "Liuhen's answer means: fsynced, hashed with SHA-256 and SHA-512, compared with the signed manifest, an OCFL "
        "object, committed with its log entry. Node's answer means: handed to the kernel. Ratios are speed, the other "
        "one's time by Liuhen's: above 1 Liuhen is faster."
    )


def _base64(name: str) -> str:
    import base64

    return base64.b64encode(name.encode()).decode()


def _programs() -> dict[str, str]:
    from tests.support.tus_peer.install import HERE

    node = subprocess.run([find_node().executable, "--version"], capture_output=True, text=True, check=True).stdout
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    told = {name: version for name, version in wanted.items() if name in {"@tus/server", "@tus/file-store"}}
    return {"Node": node.strip(), **told}
