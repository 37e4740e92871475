"""What the archive writes, judged by programs that we did not write: ocfl-py, openssl, ffmpeg, sha256sum."""

import subprocess
from pathlib import Path

import ocfl

from archive.evidence.items import evidence_item
from archive.worker.loop import Worker
from tests.support.archive_home import ArchiveHome, EnrolledDock, clock, dock, home  # noqa: F401
from tests.support.footage import make_sample

QUEUES = ("prompt", "long")


def stream_hashes(path: Path) -> list[str]:
    """Return ffmpeg's own hash of the packets of each stream."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-map", "0:a?", "-c", "copy"]
    done = subprocess.run(
        [*command, "-f", "streamhash", "-hash", "sha256", "-"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_judges_accept_what_an_intake_leaves(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:  # noqa: F811
    recording = make_sample("h264-aac.mp4", tmp_path)
    object_id = home.deliver(dock, recording.read_bytes(), "现场检查.mp4")
    services = home.services
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=30)
    while worker.run_once(QUEUES):
        pass

    store = ocfl.StorageRoot(str(home.raw / "store"))
    assert store.validate(log_warnings=True), store.log.status_str()
    assert store.errors == []
    assert store.good_objects == store.num_objects == 1

    original = home.local_file(object_id, "original/现场检查.mp4")
    manifest = home.file_of(object_id, "metadata/manifest.json")
    verified = subprocess.run(
        [
            *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", f"{manifest}.p7s"),
            *("-content", manifest, "-CAfile", home.path / "ca" / "root.cert.pem", "-out", "/dev/null"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr

    told = subprocess.run(["sha256sum", original], capture_output=True, text=True, check=True).stdout.split()[0]
    with services.database.read() as tx:
        view = evidence_item(tx, object_id)
    assert told == view.original.sha256

    playable = view.rendition("playable")
    assert playable is not None
    path = home.stored_file(services.renditions, playable.key)
    assert stream_hashes(original) == stream_hashes(path)
    assert view.item.essence is not None
    assert {finding["code"] for finding in view.item.essence["findings"]} == {"media.essence_equal"}
    home.assert_sound()


def test_a_rendition_lost_to_a_power_cut_is_made_again(home: ArchiveHome, dock: EnrolledDock, tmp_path: Path) -> None:  # noqa: F811
    object_id = home.deliver(dock, make_sample("h264-aac.mp4", tmp_path).read_bytes())
    services = home.services
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=30)
    assert worker.run_once(("prompt",))
    with services.database.read() as tx:
        made = evidence_item(tx, object_id).rendition("playable")
    assert made is not None
    path = home.raw / "renditions" / made.key
    path.chmod(0o644)
    path.write_bytes(b"")
    while worker.run_once(QUEUES):
        pass
    home.assert_sound()
