"""Whatever a trusted dock delivers becomes an item; what cannot be played says why, and nothing crashes or gets out."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.evidence.items import evidence_item
from archive.evidence.models import EvidenceItem
from archive.jobs.models import Job
from archive.worker.loop import Worker
from ingest.errors import ManifestMalformed
from tests.support.archive_home import ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401
from tests.support.deployment import databases
from tests.support.hostile_corpus import ARCHIVES, CORPUS, DISGUISES, DOCUMENTS, OFFICE, PICTURES, RECORDINGS, Scene
from tests.support.hostile_corpus import make as make_bad

LONG_NAME = "执法录像" * 75 + ".mp4"
NAMES = [
    "../../etc/passwd",
    "a\\b\\c.mp4",
    "tab\tand\nnewline.mp4",
    LONG_NAME,
    "\u202egnp.exe",
    ".",
    "con/../nul.mp4",
]
SECRET = "liuhen-canary-4f1d9a"
HAS_OFFICE = Path("/usr/lib/libreoffice/program/soffice.bin").exists()
PARTS = {
    "recordings": RECORDINGS,
    "disguises": DISGUISES,
    "pictures": PICTURES,
    "documents": {**DOCUMENTS, **(OFFICE if HAS_OFFICE else {})},
    "archives": ARCHIVES,
}


_ON_BOTH = ("documents", "archives")
"""What is written down of texts and names differs between databases."""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A server that must not be reached, and a file that must not be read."""
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET, encoding="utf-8")
    folder = tmp_path / "made"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Scene(folder, f"http://127.0.0.1:{server.getsockname()[1]}", secret)
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    ("part", "database_url"),
    [
        *((part, databases()[0]) for part in PARTS),
        # What is written down of texts and names differs between databases.
        *(pytest.param(part, each, marks=pytest.mark.service) for each in databases()[1:] for part in _ON_BOTH),
    ],
    indirect=["database_url"],
)
def test_hostile_files_end_with_an_outcome(
    part: str,
    home: ArchiveHome,  # noqa: F811
    dock: EnrolledDock,  # noqa: F811
    scene: Scene,
) -> None:
    ids = {name: home.deliver(dock, make_bad(scene, name), name) for name in PARTS[part]}
    services = home.services
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=60)
    while worker.run_once(("prompt", "long")):
        pass
    with home.database.read() as tx:
        for name, object_id in ids.items():
            assert_ended(name, evidence_item(tx, object_id).item)
        assert [(job.kind, job.last_error) for job in tx.query(Job) if job.state != "done"] == []
    assert_nothing_got_in(home)
    assert list((home.path / "work").iterdir()) == []
    home.sequence()
    home.assert_sound()


def assert_ended(name: str, item: EvidenceItem) -> None:
    """Hold the end of one item against what the corpus says of it."""
    bad = CORPUS[name]
    told = f"{name}: {item.play_state} {item.play_reason} {item.play_note}"
    if bad.reason:
        assert (item.play_state, item.play_reason) == ("unplayable", bad.reason), told
    else:
        assert item.play_state in bad.ends, told
    assert bool(item.play_reason) == (item.play_state != "playable"), told
    if item.play_state != "playable":
        assert item.play_note, told
    if item.play_state == "damaged":  # the place, in seconds, pages or entries
        assert re.search(r"\d", item.play_note or ""), told
    if bad.kind:
        assert item.kind == bad.kind, told


def assert_nothing_got_in(home: ArchiveHome) -> None:  # noqa: F811
    """No file of the machine was read into what the archive made, and nothing was unpacked."""
    made = [path for folder in ("renditions", "work") for path in (home.path / folder).rglob("*") if path.is_file()]
    assert [path for path in made if SECRET.encode() in path.read_bytes()] == []
    texts = [str(row[0]) for row in home.rows("SELECT text FROM item_text")]
    texts += [str(row[0]) for row in home.rows("SELECT found FROM item_look")]
    assert [text for text in texts if SECRET in text or "root:x:0" in text] == []
    assert {path.suffix for path in made} <= {".jpg", ".mp4", ".m4a", ".zip", ".bin", ".vtt", ".json", ".dat"}


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
