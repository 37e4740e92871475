"""Renditions: how soon a recording plays, and what an encode costs, beside bare ffmpeg with the same arguments.

The recipe of an encode in segments is that of one run that makes the same file: this is what bare ffmpeg does. The
recipe of a version for slow links is the very command.
"""

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select, text

from archive.custody.models import PreservedObject
from archive.kernel.clock import SystemClock
from archive.kernel.ids import ObjectId
from ingest.follow_ups import MAKE_PROXY
from ingest.proxies import ask_for_proxies
from tests.bench.archive import BenchArchive, bench_archive, settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.support import footage

NAME = "playable"
RUNS = 5
_COPY_ALLOWANCE_S = 1.0
_FIRST_PICTURE_S = 3.0
_TURN_S = 0.04
_CLAIMED = "SELECT count(*) FROM job WHERE kind = '{kind}' AND state <> 'ready' AND id > :before"
_TIMEOUT_S = 900.0


def measure(
    scratch: Path,
    *,
    runs: int = RUNS,
    recording_s: int = 600,
    encoded_s: int = 40,
    encode_runs: int = 3,
    long_s: int = 7200,
) -> Section:
    """Measure the copy of a recording and the encodes of a clip; those fewer times, for they take long."""
    recording = footage.make_recording(scratch / "recording.mp4", seconds=recording_s)
    clip = footage.make_clip(
        scratch / "clip.mp4", seconds=encoded_s, size=(1920, 1080), fps="30", noise=8, video=footage.HEVC
    )
    size_bytes = recording.stat().st_size
    encode_runs = min(runs, encode_runs)
    with bench_archive(scratch / "archive") as archive:
        kept = (scratch / f"bare-{number}.mp4" for number in itertools.count())
        copied, bare_copied = _compared(
            archive, recording, runs, kind="probe_item", bare=lambda: _bare_copy(recording, next(kept))
        )
        encoded, bare_encoded = _compared(
            archive, clip, encode_runs, kind="encode_item", bare=lambda: _bare_again(archive, clip, "playable")
        )
    seen = _first_pictures(scratch, encode_runs, seconds=long_s)
    with bench_archive(scratch / "archive", environment={"LIUHEN_PROXY_720": "on_demand"}) as archive:
        plain = footage.make_clip(scratch / "plain.mp4", seconds=encoded_s, size=(1920, 1080), fps="30", noise=8)
        proxied, bare_proxied = _compared(
            archive,
            plain,
            encode_runs,
            kind=MAKE_PROXY,
            rendition="proxy-720",
            bare=lambda: _bare_again(archive, plain, "proxy-720"),
        )
    allowed_s = _COPY_ALLOWANCE_S + 1.3 * bare_copied.median
    return Section(
        name=NAME,
        title="Renditions",
        text=(
            f"A recording of {recording_s // 60} minutes, 1080p, H.264 and AAC, {size_bytes / 1e6:.0f} MB, whose index "
            "lies at the end, and a "
            f"clip of {encoded_s} s, 1080p, HEVC, that no browser plays everywhere. The time runs from the moment that "
            "a worker has claimed the job until the playable rendition is committed: probe in the sandbox, ffmpeg in "
            "the sandbox, a look at the result, its digest, store, transaction. Bare ffmpeg runs on the same file "
            "with the same arguments, for the copy with `-c copy -movflags +faststart` alone. What either wrote stays: "
            "a file that is deleted leaves its pages to the next one, which is then written twice as fast. "
            "The encode makes segments that play at once and then one file of them; bare ffmpeg makes that file in one "
            f"run. The first picture: a recording of {long_s // 3600} hours, HEVC, 1080p; the time runs from the claim "
            "of the encode until the head and the first segment can be read from the store and the page offers to "
            "play. The version for slow links, asked for when nothing else is to do: 720 lines, H.264, of a clip in H.264, 1080p, of the same length."
        ),
        rows=(
            Row("Recording: playable after the job's start", copied.shown(), "", f"at most {allowed_s:.2f} s (1 s + "
                f"1.3x)", copied.median <= allowed_s),
            Row("Recording: bare `ffmpeg -c copy -movflags +faststart`", bare_copied.shown()),
            target_row("Clip: encoded, checked, stored, committed", encoded.shown(),
                       ratio=encoded.median / bare_encoded.median, most=1.05),
            Row("Clip: bare ffmpeg with the same arguments", bare_encoded.shown()),
            Row(f"HEVC of {long_s // 3600} hours: first picture after the job's start", seen.shown(), "", "at most 3 s",
                seen.median <= _FIRST_PICTURE_S),
            target_row("Version for slow links: encoded, stored, committed", proxied.shown(),
                       ratio=proxied.median / bare_proxied.median, most=1.05),
            Row("Version for slow links: bare ffmpeg, the same command", bare_proxied.shown()),
        ),
        runs=runs,
        samples={
            "copied": copied.values,
            "bare_copied": bare_copied.values,
            "encoded": encoded.values,
            "bare_encoded": bare_encoded.values,
            "first_picture": seen.values,
            "proxied": proxied.values,
            "bare_proxied": bare_proxied.values,
        },
    )  # fmt: skip


def with_fresh_end(source: Path, target: Path) -> Path:
    """Copy a recording, with an unused box of random bytes at its end, so that it is no duplicate."""
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 22)
        writing.write((16 + 8).to_bytes(4, "big") + b"free" + os.urandom(16))
    return target


def _compared(
    archive: BenchArchive,
    source: Path,
    runs: int,
    *,
    kind: str,
    bare: Callable[[], float],
    rendition: str = "playable",
) -> tuple[Samples, Samples]:
    ours, theirs = [], []
    for number in range(runs):
        for turn in (0, 1):
            # The recipe of an encode is known only after the first of ours.
            if (number + turn) % 2 == 0:
                ours.append(_job(archive, source, kind=kind, rendition=rendition))
            else:
                settle()
                theirs.append(bare())
    return Samples(tuple(ours)), Samples(tuple(theirs))


def _job(archive: BenchArchive, source: Path, *, kind: str, rendition: str) -> float:
    """Upload, and return the seconds from the claim of the job until the rendition is committed."""
    file = with_fresh_end(source, source.with_name(f"fresh-{time.monotonic_ns()}-{source.name}"))
    archive.prepare(file)
    settle()
    before = _newest(archive)
    archive.upload([file])
    if kind == MAKE_PROXY:  # asked for as a viewer asks, when everything else of the item is done
        archive.wait_idle()
        settle()
        before = _newest(archive)
        with archive.server.database.begin() as tx:
            newest = select(PreservedObject.id).order_by(PreservedObject.id.desc()).limit(1)
            ask_for_proxies(tx, ObjectId(tx.scalars(newest).one()), at=SystemClock().now())
    claimed = _wait(archive, _CLAIMED.format(kind=kind), before)
    ended = _wait(archive, f"SELECT count(*) FROM rendition WHERE kind = '{rendition}' AND id > :before", before)
    archive.wait_idle()
    return ended - claimed


def _newest(archive: BenchArchive) -> str:
    """Return an id that is older than all that come, and newer than all that are: ids are ordered by time."""
    with archive.server.database.read() as tx:
        found = tx.scalar(
            text("SELECT max(id) FROM (SELECT max(id) AS id FROM job UNION SELECT max(id) FROM rendition)")
        )
    return str(found or "")


def _wait(archive: BenchArchive, sql: str, before: str) -> float:
    until = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < until:
        with archive.server.database.read() as tx:
            if tx.scalar(text(sql), {"before": before}):
                return time.perf_counter()
        time.sleep(_TURN_S)
    raise TimeoutError(sql)


def _bare_copy(source: Path, target: Path) -> float:
    command: list[str | Path] = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i", source]
    began = time.perf_counter()
    subprocess.run([*command, "-c", "copy", "-movflags", "+faststart", target], check=True)
    return time.perf_counter() - began


def _first_pictures(scratch: Path, runs: int, *, seconds: int) -> Samples:
    """Return the seconds from the claim of an encode until its first picture can be fetched; then give the encode up.

    Each run has an archive of its own: an encode of hours is not waited for.
    """
    piece = footage.make_clip(scratch / "piece.mp4", seconds=10, size=(1920, 1080), fps="30", video=footage.HEVC)
    long = scratch / "long.mp4"
    footage.ffmpeg("-stream_loop", "-1", "-i", piece, "-c", "copy", "-t", str(seconds), long)
    took = []
    for number in range(runs):
        with bench_archive(scratch / f"long-{number}") as archive:
            archive.prepare(long)
            settle()
            before = _newest(archive)
            archive.upload([long])
            claimed = _wait(archive, _CLAIMED.format(kind="encode_item"), before)
            _wait(archive, "SELECT count(*) FROM live_encoding WHERE json_extract(state, '$.origin') >= 0", before)
            store = archive.server.home / "renditions"
            names = {path.name for path in store.rglob("*.m*")}
            took.append(time.perf_counter() - claimed)
            if not {"init.mp4", "0.m4s"} <= names:
                raise RuntimeError(f"Nothing to see: {names}")
            with archive.server.database.begin() as tx:
                tx.execute(text("UPDATE job SET state = 'dead', lease_token = NULL WHERE state <> 'done'"))
    long.unlink()
    return Samples(tuple(took))


def _bare_again(archive: BenchArchive, source: Path, kind: str) -> float:
    """Run the recipe of the newest rendition as it stands there, without sandbox and limits."""
    with archive.server.database.read() as tx:
        recipe = tx.scalar(
            text("SELECT recipe FROM rendition WHERE kind = :kind ORDER BY id DESC LIMIT 1"), {"kind": kind}
        )
    out = source.with_name(f"bare-{time.monotonic_ns()}")
    out.mkdir()
    told = json.loads(recipe) if isinstance(recipe, str) else recipe
    command = [word.replace("/in/source", str(source)).replace("/out/", f"{out}/") for word in told["arguments"]]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took = time.perf_counter() - began
    shutil.rmtree(out)
    return took
