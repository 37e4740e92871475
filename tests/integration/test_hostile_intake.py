"""Whatever a trusted dock delivers becomes an item; what cannot be played says why, and nothing crashes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from archive.evidence.items import evidence_item
from archive.jobs.models import Job
from archive.worker.loop import Worker
from ingest.errors import ManifestMalformed
from tests.support import hostile
from tests.support.archive_home import ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401
from tests.support.footage import make_sample

LONG_NAME = "执法录像" * 75 + ".mp4"
FILES: dict[str, Callable[[Path, Path], Path]] = {
    "truncated.mp4": hostile.truncated,
    "flipped.mp4": hostile.flipped,
    "no-index.mp4": hostile.without_index,
    "text.mp4": lambda _, path: hostile.text_as_mp4(path),
    "network-playlist.mp4": lambda _, path: hostile.playlist(path, target="http://127.0.0.1:9/secret.ts"),
    "local-playlist.mp4": lambda _, path: hostile.playlist(path, target="/etc/passwd"),
    "concat.mp4": lambda _, path: hostile.concat_script(path, target="/etc/passwd"),
    "bomb.png": lambda _, path: hostile.png_bomb(path),
}
PLAYS = {"truncated.mp4", "flipped.mp4"}
NAMES = [
    "../../etc/passwd",
    "a\\b\\c.mp4",
    "tab\tand\nnewline.mp4",
    LONG_NAME,
    "\u202egnp.exe",
    ".",
    "con/../nul.mp4",
]


def test_hostile_files_end_with_an_outcome(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:  # noqa: F811
    good = make_sample("h264-aac.mp4", tmp_path)
    ids = {name: home.deliver(dock, make(good, tmp_path / name).read_bytes(), name) for name, make in FILES.items()}
    services = home.services
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=60)
    while worker.run_once(("prompt", "long")):
        pass
    with services.database.read() as tx:
        for name, object_id in ids.items():
            item = evidence_item(tx, object_id).item
            if name in PLAYS:
                assert item.play_state in {"playable", "damaged"}, name
            else:
                assert item.play_state == "unplayable", name
                assert item.play_reason, name
        assert {job.state for job in tx.query(Job)} == {"done"}
    home.assert_sound()


def test_hostile_names_are_kept_and_made_safe(home: ArchiveHome, dock: EnrolledDock) -> None:  # noqa: F811
    for number, name in enumerate(NAMES):
        object_id = home.deliver(dock, f"bytes {number}".encode(), name)
        with home.services.database.read() as tx:
            original = evidence_item(tx, object_id).original
        assert original.name == name
        stored = Path(original.content_path)
        assert stored.parent == Path("original")
        assert stored.name not in {"", ".", ".."}
        assert len(stored.name.encode()) <= 255
        assert stored.name.isprintable()
    home.assert_sound()


def test_a_name_with_nul_is_refused_before_a_byte_is_taken(home: ArchiveHome, dock: EnrolledDock) -> None:  # noqa: F811
    with pytest.raises(ManifestMalformed):
        home.deliver(dock, b"bytes", "nul\x00.mp4")
