"""The parts of the agent by themselves: what a camera wrote, files that change, the journal, answers from the wire."""

import json
import os
import socket
import struct
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.kernel.digests import CN_PROFILE, STANDARD, digest_of, hash_stream
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import DockId, UploadId, new_uuid7
from ingest.agent.camera import Clocks, describe
from ingest.agent.errors import (
    ConnectionBroken,
    FileChanged,
    FileUnreadable,
    NotTheArchive,
    Refused,
    StateBroken,
    Stopped,
)
from ingest.agent.files import FileIdentity, Found, opened, select_files
from ingest.agent.journal import Journal, OpenUpload
from ingest.agent.patience import Patience
from ingest.agent.printable import printable
from ingest.agent.tags import container_tags
from ingest.agent.wiping import wipe_file
from ingest.agent.wire import Place, Wire
from ingest.manifest import MAX_MANIFEST_BYTES, DockManifest, parse_manifest
from ingest.sources.patterns import shipped_patterns
from tests.integration.dock.conftest import recording

_AT = datetime(2026, 3, 1, tzinfo=UTC)
_DOCK = DockId(new_uuid7())


def _described(
    path: Path, sidecar: bytes | None, *, case: str | None = None, folder: str = ""
) -> tuple[DockManifest, list[str]]:
    beside = None
    if sidecar is not None:
        beside = path.with_suffix(".json")
        beside.write_bytes(sidecar)
    with opened(path) as (source, identity):
        described = describe(
            Found(path, folder, identity.size_bytes, beside),
            source,
            identity,
            hash_stream(source),
            dock_id=_DOCK,
            case_number=case,
            clocks=Clocks(_AT, 0, None),
            signed_at=_AT,
            patterns=shipped_patterns(),
        )
    return parse_manifest(described.manifest), described.notes


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recording(tmp_path_factory.mktemp("card") / "clip.mp4", 1000)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KNOWN = (
    "serial", "model", "firmware", "source", "officer", "channel", "series", "sequence", "recorded_at", "device_time",
    "name", "x",
)  # fmt: skip
_FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(_KNOWN, _JSON))


@given(said=_FIELDS)
def test_whatever_a_sidecar_says_the_manifest_is_one_that_the_archive_takes(clip: Path, said: object) -> None:
    manifest, notes = _described(clip, json.dumps(said).encode())
    assert len(manifest.raw) <= MAX_MANIFEST_BYTES
    assert manifest.name
    assert "sidecar" in manifest.fields or any("sidecar" in note for note in notes)


@given(raw=st.binary(max_size=200) | st.sampled_from([b"[" * 60_000, b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b"9" * 9000]))
def test_a_damaged_sidecar_holds_nothing_up(clip: Path, raw: bytes) -> None:
    manifest, _ = _described(clip, raw)
    assert manifest.name == "clip.mp4"


def test_the_longest_of_everything_still_fits_the_manifest(tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4", 10)
    said = {"serial": "\x01" * 128, "model": "\x02" * 128, "firmware": "\x03" * 128, "name": "\x04" * 700}
    said |= {"officer": "\x06" * 32, "channel": "\x07" * 32, "series": "\x08" * 128, "source": "hearing"}
    manifest, notes = _described(path, json.dumps(said).encode(), case="\x05" * 100, folder="\x0b" * 600)
    assert len(manifest.raw) <= MAX_MANIFEST_BYTES
    assert (manifest.name, notes) == ("\x04" * 700, ["sidecar left out: it is too long for the manifest"])


def test_a_name_with_a_nul_gives_way_to_the_name_of_the_file(tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4", 10)
    manifest, notes = _described(path, json.dumps({"name": "a\x00.mp4", "serial": "\x00"}).encode())
    assert (manifest.name, manifest.device_serial) == ("clip.mp4", None)
    assert [note.split()[0] for note in notes] == ["name", "serial"]


def test_the_name_says_what_sidecar_and_film_leave_open(tmp_path: Path) -> None:
    path = recording(tmp_path / "DSJ-KEDX8A1_012345_20240101120000_0007.MP4", 10)
    manifest, notes = _described(path, None)
    assert manifest.fields["device"] == {
        "serial": "DSJ-KEDX8A1", "officer": "012345", "source": "body_worn", "series": "20240101120000", "sequence": 7,
    }  # fmt: skip
    assert manifest.fields["tags"] == {"pattern": "dsj"}
    noon = "2024-01-01T12:00:00+08:00"
    times = {name: manifest.fields["times"][name] for name in ("recorded", "recorded_from", "named")}
    assert times == {"recorded": noon, "recorded_from": "name", "named": noon}
    assert (manifest.source_kind, manifest.officer_number, manifest.sequence) == ("body_worn", "012345", 7)
    said = {"serial": "S-1", "officer": 9, "sequence": 2, "recorded_at": "2024-01-01T04:00:01Z", "source": "hearing"}
    manifest, notes = _described(path, json.dumps(said).encode())
    assert notes == []
    assert manifest.fields["device"] == {"serial": "S-1", "officer": "9", "source": "hearing", "sequence": 2}
    assert manifest.fields["times"]["recorded"] == "2024-01-01T04:00:01Z"
    assert (manifest.fields["times"]["recorded_from"], manifest.fields["times"]["named"]) == ("sidecar", noon)
    manifest, notes = _described(path, b'{"source": "cellar", "sequence": -1, "recorded_at": "noon"}')
    assert manifest.fields["device"]["source"] == "body_worn"
    assert manifest.fields["times"]["recorded"] == noon
    assert [note.split()[0] for note in notes] == ["recorded_at", "source", "sequence"]


def test_a_folder_helps_to_read_a_name(tmp_path: Path) -> None:
    path = recording(tmp_path / "12.00.00-12.05.00[M][0@0][0].dav", 10)
    manifest, _ = _described(path, None, folder="2024-01-01/001/dav/12")
    assert manifest.fields["device"] == {"source": "room", "channel": "input 001"}
    assert manifest.fields["times"]["recorded"] == "2024-01-01T12:00:00+08:00"
    assert manifest.fields["tags"] == {
        "folder": "2024-01-01/001/dav/12", "pattern": "dahua-disk", "trigger": "M",
    }  # fmt: skip


def test_local_time_that_a_film_calls_utc_gives_way_to_the_name(tmp_path: Path) -> None:
    def times(name: str) -> tuple[str, str, list[str]]:
        path = tmp_path / name
        path.write_bytes(_MP4)  # says 2025-12-31T04:26:40Z
        manifest, notes = _described(path, None)
        return manifest.fields["times"]["recorded"], manifest.fields["times"]["recorded_from"], notes

    contained = "2025-12-31T04:26:40.000000Z"
    assert times("clip.mp4") == (contained, "container", [])
    assert times("VID_20251231_122641.mp4") == (contained, "container", []), "the same time, and the film is exact"
    told = "the time in the file is local time marked as UTC; that of its name is used"
    assert times("VID_20251231_042641.mp4") == ("2025-12-31T04:26:41+08:00", "name", [told])
    assert times("PXL_20251231_042641000.mp4") == (contained, "container", []), "a name in UTC"
    assert times("AXON Body 2 Video 2025-12-31 0426.mp4") == (contained, "container", []), "a name without seconds"
    path = recording(tmp_path / "AXON Body 2 Video 2025-12-31 0426.avi", 10)
    assert _described(path, None)[0].fields["times"]["recorded_from"] == "name_minute"


def test_a_stale_sidecar_does_not_set_the_clock_offset(tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4", 10)
    manifest, notes = _described(path, b'{"device_time": "2026-03-01T00:00:01Z"}')
    assert manifest.clock_offset_ms is None
    assert notes == ["device_time not used: the sidecar was not written just now"]


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


_CREATED = 3_850_000_000  # 2025-12-31 in seconds since 1904
_MP4 = _box(b"ftyp", b"isom\0\0\2\0") + _box(b"mdat", bytes(64)) + _box(
    b"moov", _box(b"udta", bytes(4)) + _box(b"mvhd", struct.pack(">IIII", 0, _CREATED, _CREATED, 1000) + bytes(80))
)  # fmt: skip


def test_a_film_tells_when_it_was_made() -> None:
    tags = container_tags(BytesIO(_MP4), size_bytes=len(_MP4))
    assert tags == {"major_brand": "isom", "creation_time": "2025-12-31T04:26:40.000000Z"}
    wide = _box(b"moov", _box(b"mvhd", struct.pack(">IQ", 1 << 24, _CREATED) + bytes(90)))
    assert container_tags(BytesIO(wide), size_bytes=len(wide)) == {"creation_time": "2025-12-31T04:26:40.000000Z"}
    for never in (0, 2_082_844_800, 2**63):
        none = _box(b"moov", _box(b"mvhd", struct.pack(">IQ", 1 << 24, never) + bytes(90)))
        assert container_tags(BytesIO(none), size_bytes=len(none)) == {}


@given(
    data=st.binary(max_size=300)
    | st.tuples(st.integers(0, len(_MP4) - 1), st.binary(min_size=1, max_size=9)).map(
        lambda change: _MP4[: change[0]] + change[1] + _MP4[change[0] + len(change[1]) :]
    )
)
@settings(max_examples=200)
def test_a_damaged_film_says_less_and_fails_nothing(data: bytes) -> None:
    assert set(container_tags(BytesIO(data), size_bytes=len(data))) <= {"major_brand", "creation_time"}


def test_a_name_so_long_that_no_sidecar_fits_is_pushed_all_the_same(tmp_path: Path) -> None:
    path = recording(tmp_path / ("x" * 251 + ".mp4"), 10)
    for paths in ([path], [tmp_path]):
        selection = select_files(paths, leave=tmp_path / "state")
        assert [found.path for found in selection.files] == [path]


def test_the_docks_own_folder_is_never_pushed(tmp_path: Path) -> None:
    recording(tmp_path / "state" / "receipts" / "x.json", 10)
    selection = select_files([tmp_path], leave=tmp_path / "state")
    assert (selection.files, selection.skipped) == ([], [(tmp_path / "state", "the dock's own folder")])


def _rewrite(path: Path) -> None:
    stated = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(stated.st_atime_ns, stated.st_mtime_ns))


def _replace(path: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(path.read_bytes())
    fresh.replace(path)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [_rewrite, _replace, _append, Path.unlink])
def test_only_the_very_file_that_was_delivered_is_wiped(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = recording(tmp_path / "clip.mp4", 1000)
    digests = digest_of(path.read_bytes())
    with opened(path) as (source, identity):
        change(path)
        with pytest.raises((FileChanged, FileUnreadable)):
            wipe_file(path, source, identity, digests=digests)
    assert path.exists() is (change is not Path.unlink)


def test_bytes_with_other_digests_are_not_wiped(tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4", 1000)
    with opened(path) as (source, identity), pytest.raises(FileChanged):
        wipe_file(path, source, identity, digests=digest_of(b"other"))
    assert path.exists()


def test_a_link_or_a_pipe_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(recording(tmp_path / "clip.mp4", 10))
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(FileUnreadable), opened(tmp_path / name):
            pass


def test_the_journal_trusts_only_files_that_have_settled(tmp_path: Path) -> None:
    path = recording(tmp_path / "clip.mp4", 1000)
    digests = digest_of(path.read_bytes())
    journal = Journal(tmp_path / "journal.sqlite3")
    fresh = FileIdentity.of(path.stat())
    journal.record_digests(path, fresh, digests, algorithms=STANDARD)
    assert journal.digests_of(path, fresh, algorithms=STANDARD) is None
    settled = FileIdentity(fresh.size_bytes, fresh.modified_ns - 10**10, fresh.changed_ns - 10**10, 1, fresh.inode)
    journal.record_digests(path, settled, digests, algorithms=STANDARD)
    journal.close()
    journal = Journal(tmp_path / "journal.sqlite3")
    assert journal.digests_of(path, settled, algorithms=STANDARD) == digests
    assert journal.digests_of(path, settled, algorithms=CN_PROFILE) is None
    assert journal.digests_of(path, fresh, algorithms=STANDARD) is None
    journal.forget_file(path)
    assert journal.digests_of(path, settled, algorithms=STANDARD) is None
    journal.close()


def test_an_open_upload_belongs_to_one_dock(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    upload = OpenUpload(UploadId(new_uuid7()), b"manifest")
    journal.record_upload("a", upload, dock="one")
    assert journal.upload_of("a", dock="one") == upload
    assert journal.upload_of("a", dock="two") is None
    journal.record_quarantine("a", "ingest.digest_mismatch", dock="one")
    assert journal.upload_of("a", dock="one") is None
    assert journal.quarantine_of("a", dock="one") == "ingest.digest_mismatch"
    assert journal.quarantine_of("a", dock="two") is None
    journal.close()


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite3"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(StateBroken, match="move it away"):
        Journal(file)


def _exhaust(patience: Patience, failure: LiuhenError) -> None:
    while True:
        patience.pause(failure)


def test_patience_ends_with_the_failure_itself_and_progress_renews_it() -> None:
    failure = Refused("store.full", "Full", status=507, retry_after_s=0.01)
    patience = Patience(0.4, stopping=threading.Event())
    began = time.monotonic()
    with pytest.raises(Refused):
        _exhaust(patience, failure)
    assert time.monotonic() - began >= 0.4
    patience.progressed()
    patience.pause(failure)
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Stopped):
        Patience(10, stopping=stopping).pause(failure)
    with pytest.raises(ConnectionBroken):
        Patience(0, stopping=threading.Event()).pause(ConnectionBroken())


@contextmanager
def _answering(*answers: bytes) -> Iterator[Place]:
    """A server that gives these answers, one for each connection, whatever is asked."""

    def serve() -> None:
        for answer in answers:
            client, _ = listener.accept()
            with client:
                client.settimeout(10)
                client.recv(65536)
                client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield Place.parse(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionBroken),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ConnectionBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", ConnectionBroken),
        (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n", NotTheArchive),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", ConnectionBroken),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5_000_000), ConnectionBroken),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", Refused),
        (b'HTTP/1.1 422 No\r\nContent-Length: 47\r\n\r\n{"code": "\\u001b[31m.x", "title": "\\u001b[31mred"}', Refused),
    ],
)  # fmt: skip
def test_strange_answers_have_names(answer: bytes, error: type[LiuhenError]) -> None:
    with _answering(answer) as place, Wire(place, tls=None, api_key="k") as wire, pytest.raises(error) as failure:
        wire.request("GET", "/")
    if isinstance(failure.value, Refused):
        assert failure.value.problem in {"http.502", "http.422"}
        assert "\x1b" not in str(failure.value)


def test_places_are_read_and_shown() -> None:
    for given_text, shown in {
        "https://archive.example": "https://archive.example:443",
        " https://[::1]:8443/liuhen/ ": "https://[::1]:8443/liuhen",
        "http://localhost:80": "http://localhost:80",
        "http://127.0.0.9:1": "http://127.0.0.9:1",
    }.items():
        assert str(Place.parse(given_text)) == shown


@given(text=st.text(max_size=60))
def test_printable_is_printable_and_keeps_what_was(text: str) -> None:
    shown = printable(text)
    assert all(char.isprintable() or unicodedata.category(char) == "Zs" for char in shown)
    assert printable(shown) == shown
