"""`./dev campaign syscalls`: one call to the kernel fails at a time, then everything must be whole or recover."""

import argparse
import ast
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import select

from archive.fsck.run import Target, fsck
from archive.kernel.errors import LiuhenError
from archive.kernel.findings import Outcome
from archive.kernel.ids import UploadId
from archive.ledger.checkpoint import open_checkpoint
from archive.ledger.models import LogLeaf
from archive.ledger.proofs import consistency, head
from archive.ledger.tree import verify_consistency
from archive.settings import Settings
from archive.wiring import Services, build_services
from ingest.accept import finish_upload
from ingest.models import Upload
from tests.campaign.syscalls.report import REPORT, render
from tests.support.archive_home import make_home

CALLS: Final = (
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename,renameat,renameat2",
    "link,linkat",
    "unlink,unlinkat",
    "mkdir,mkdirat",
    "ftruncate",
    "chmod,fchmod,fchmodat",
    "read,pread64",
)
ERRORS: Final = ("ENOSPC", "EIO")
_UPLOADS: Final = 2
_TIMEOUT_S: Final = 120
_ROOT: Final = Path(__file__).parents[3]
_ATTACHED: Final = re.compile(rb"strace: Process \d+ attached")


@dataclass(slots=True)
class Case:
    """One fault as it went. `number`: which of the process's calls of this kind failed, from 1."""

    call: str
    error: str
    number: int
    end: str = ""
    acked: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """A whole run."""

    calls: Counter[str] = field(default_factory=Counter)
    cases: list[Case] = field(default_factory=list)
    findings: int = 0
    checkpoints: int = 0
    seconds: float = 0.0


def main(arguments: list[str]) -> int:
    """Run the campaign, write its report, and return 0 only if everything held."""
    parser = argparse.ArgumentParser(prog="./dev campaign syscalls", description=__doc__)
    parser.add_argument("--most", type=int, default=6, help="faults of each kind of call and error, evenly spread")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    given = parser.parse_args(arguments)
    if shutil.which("strace") is None:
        print("strace is missing (Debian: apt-get install strace)", file=sys.stderr)
        return 69
    began, result = time.monotonic(), Result()
    with tempfile.TemporaryDirectory(prefix="liuhen-syscalls-") as place:
        template = Path(place) / "template"
        _prepare(template)
        _count(template, Path(place) / "counted", result)
        for case in _cases(result.calls, most=given.most):
            folder = Path(place) / "case"
            shutil.copytree(template, folder, symlinks=True)
            _try(folder, case, result)
            shutil.rmtree(folder)
            result.cases.append(case)
            print(f"{case.call:28} {case.error:7} #{case.number:<4} {case.end:48} {'; '.join(case.wrong) or 'ok'}")
    result.seconds = time.monotonic() - began
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(render(result, command=" ".join(["./dev campaign syscalls", *arguments])), "utf-8")
    is_good = not any(case.wrong for case in result.cases)
    print(f"{'Everything held' if is_good else 'NOT everything held'}; the report is in {given.report}")
    return 0 if is_good else 1


def _prepare(base: Path) -> None:
    """Make an archive with recordings that have arrived whole and are not taken in yet."""
    base.mkdir(parents=True)
    home = make_home(base, "")
    dock = home.dock()
    for number in range(_UPLOADS):
        home.bring(dock, f"recording {number}".encode() * 4096, f"{number}.bin")
    home.sequence()
    home.services.close()


def _count(template: Path, folder: Path, result: Result) -> None:
    """Count the calls of an undisturbed run."""
    shutil.copytree(template, folder, symlinks=True)
    trace = folder / "trace"
    every = ",".join(CALLS)
    said, _ = _run(folder, ["-o", str(trace), "-e", f"trace={every}"])
    assert said[-1] == "anchored", said
    for line in trace.read_text("utf-8", "replace").splitlines():
        if match := re.match(r"(?:\d+\s+)?(\w+)\(", line):
            group = next((call for call in CALLS if match[1] in call.split(",")), None)
            if group is not None:
                result.calls[group] += 1
    shutil.rmtree(folder)


def _cases(calls: Counter[str], *, most: int) -> Iterator[Case]:
    for call in CALLS:
        count = calls[call]
        numbers = sorted({1 + step * (count - 1) // max(1, min(most, count) - 1) for step in range(min(most, count))})
        for error in ERRORS:
            if not (error == "ENOSPC" and call.startswith("read")):
                yield from (Case(call, error, number) for number in numbers)


def _try(folder: Path, case: Case, result: Result) -> None:
    names = case.call
    said, code = _run(
        folder,
        ["-o", "/dev/null", "-e", f"trace={names}", "-e", f"inject={names}:error={case.error}:when={case.number}"],
    )
    refused = [line.partition(" ")[2] for line in said if line.startswith("refused")]
    case.end = f"ended with {code}" + (f", {', '.join(dict.fromkeys(refused))}" if refused else "")
    acked = [line.split()[1] for line in said if line.startswith("acked")]
    notes = [ast.literal_eval(line.partition(" ")[2]) for line in said if line.startswith("published")]
    case.acked = len(acked)
    try:
        services = build_services(Settings(home=folder / "home"))
        try:
            case.wrong += _judged(services, acked, [note for note in notes if note], result)
        finally:
            services.close()
    except LiuhenError as error:
        case.wrong.append(f"it does not start again: {error}")


def _run(folder: Path, options: Sequence[str]) -> tuple[list[str], int]:
    """Run the writer, with strace at it once it is ready; return what it said and its exit code."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.campaign.syscalls.writer", str(folder / "home")],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr").open("wb"),
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    said = [writer.stdout.readline().decode().strip()]
    assert said == ["ready"], (folder / "stderr").read_text()
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(writer.pid), *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert strace.stderr is not None
    threads = len(list(Path(f"/proc/{writer.pid}/task").iterdir()))
    attached = b""
    while len(_ATTACHED.findall(attached)) < threads:
        attached += strace.stderr.read1()
    try:
        out, _ = writer.communicate(b"\n", timeout=_TIMEOUT_S)
        code = writer.returncode
    except subprocess.TimeoutExpired:
        writer.kill()
        out, _ = writer.communicate()
        code = -1
    strace.communicate()
    return [*said, *out.decode().splitlines()], code


def _judged(services: Services, acked: Sequence[str], notes: Sequence[bytes], result: Result) -> Iterator[str]:
    """Start again as the service would, and look whether anything acknowledged is missing."""
    services.objects.prepare()
    services.sequencer.recover()
    with services.database.read() as tx:
        left = [UploadId(found) for found in tx.scalars(select(Upload.id).where(Upload.state == "complete"))]
    for upload_id in left:
        finish_upload(services.intake, upload_id)
    while services.sequencer.sequence():
        continue
    services.anchor_rounds.anchors.anchor()
    with services.database.read() as tx:
        known = {str(found) for found in tx.scalars(select(LogLeaf.entry_id))}
        known |= {str(found) for found in tx.scalars(select(Upload.id).where(Upload.state == "accepted"))}
        newest = head(tx)
        assert newest is not None
        yield from (f"acknowledged, and lost: {each}" for each in acked if each not in known)
        for note in notes:
            seen = open_checkpoint(note, keys=services.trust.logs, origin=services.trust.logs[0].name).checkpoint
            proof = consistency(tx, old_size=seen.size, new_size=newest.size)
            try:
                verify_consistency(
                    old_size=seen.size, old_root=seen.root, new_size=newest.size, new_root=newest.root, proof=proof
                )
            except LiuhenError as error:
                yield f"a fork: {error}"
            result.checkpoints += 1
    report = fsck(Target(services.settings.home, services.database, services.authority.root_path))
    result.findings += len(report.findings)
    yield from (f"fsck: {found.code} {found.where}" for found in report.findings if found.outcome is not Outcome.VALID)
