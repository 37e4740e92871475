"""The contract of the `BlobStore` port: what every adapter promises, and a model to hold it against at random.

An adapter's test subclasses `BlobStoreContract` and `BlobStoreMachine` and gives `raw`, which reads the medium without
the adapter, so that a lie of the adapter cannot hide itself.
"""

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from archive.kernel.errors import InvalidInput
from archive.ports.blobs import BadKey, BlobChanged, BlobExists, BlobMissing, BlobStore, check_key

BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a\\b",
    "\ud800",
    "段" * 86,
    "/".join(["a" * 200] * 6),
]
"""Each breaks one rule: shape, dots, control characters, backslash, Unicode, 255 bytes of a segment, 1024 of a key."""


class Raw(Protocol):
    """The medium, read without the adapter."""

    def read(self, key: str) -> bytes | None: ...

    def names(self) -> set[str]: ...


class StingySource(io.RawIOBase):
    """A source of `size_bytes` that refuses to be read at once."""

    def __init__(self, size_bytes: int) -> None:
        self.left = size_bytes

    def read(self, size: int = -1) -> bytes:
        assert 0 < size <= 16 * 1024 * 1024, "a blob is read block by block"
        block = bytes(min(size, self.left))
        self.left -= len(block)
        return block


class FailingSource(io.RawIOBase):
    """A source that breaks off after its first bytes."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        if self.reads > 1:
            raise ConnectionResetError("the sender is gone")
        return b"first bytes"


def sha512(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()


class BlobStoreContract:
    """Subclass with fixtures `store` and `raw`."""

    def test_put_keeps_the_bytes(self, store: BlobStore, raw: Raw) -> None:
        assert store.put_once("a/b/现场检查.mp4", io.BytesIO(b"film")) == 4
        assert raw.read("a/b/现场检查.mp4") == b"film"
        assert store.size_bytes("a/b/现场检查.mp4") == 4
        assert store.exists("a/b/现场检查.mp4")

    def test_an_empty_blob_is_a_blob(self, store: BlobStore, raw: Raw) -> None:
        assert store.put_once("empty", io.BytesIO()) == 0
        assert raw.read("empty") == b""
        with store.open("empty") as source:
            assert source.read() == b""

    def test_second_put_changes_nothing(self, store: BlobStore, raw: Raw, tmp_path: Path) -> None:
        store.put_once("a/b", io.BytesIO(b"first"))
        with pytest.raises(BlobExists):
            store.put_once("a/b", io.BytesIO(b"second"))
        (tmp_path / "staged").write_bytes(b"third")
        with pytest.raises(BlobExists):
            store.adopt("a/b", tmp_path / "staged")
        assert raw.read("a/b") == b"first"
        assert raw.names() == {"a/b"}

    def test_a_source_that_breaks_off_leaves_nothing(self, store: BlobStore, raw: Raw) -> None:
        with pytest.raises(ConnectionResetError):
            store.put_once("a/b", FailingSource())
        assert raw.names() == set()
        assert not store.exists("a/b")
        store.put_once("a/b", io.BytesIO(b"again"))

    def test_a_large_source_is_never_held_whole(self, store: BlobStore, raw: Raw) -> None:
        size_bytes = 40 * 1024 * 1024 + 7
        assert store.put_once("large", StingySource(size_bytes)) == size_bytes
        assert store.size_bytes("large") == size_bytes

    def test_adopt_keeps_the_bytes_and_leaves_the_staged_file(self, store: BlobStore, raw: Raw, tmp_path: Path) -> None:
        staged = tmp_path / "staged"
        staged.write_bytes(b"film")
        store.adopt("a/b", staged)
        assert staged.read_bytes() == b"film"
        staged.unlink()
        assert raw.read("a/b") == b"film"

    @pytest.mark.parametrize("kind", ["missing", "directory", "link"])
    def test_only_a_regular_file_is_adopted(self, store: BlobStore, raw: Raw, tmp_path: Path, kind: str) -> None:
        staged = tmp_path / "staged"
        if kind == "directory":
            staged.mkdir()
        elif kind == "link":
            (tmp_path / "real").write_bytes(b"film")
            staged.symlink_to(tmp_path / "real")
        with pytest.raises(InvalidInput):
            store.adopt("a/b", staged)
        assert raw.names() == set()

    def test_replace_if_replaces_only_what_is_expected(self, store: BlobStore, raw: Raw) -> None:
        store.replace_if("inventory", b"one", expected_sha512=None)
        with pytest.raises(BlobChanged):
            store.replace_if("inventory", b"two", expected_sha512=None)
        with pytest.raises(BlobChanged):
            store.replace_if("inventory", b"two", expected_sha512=sha512(b"another"))
        assert raw.read("inventory") == b"one"
        store.replace_if("inventory", b"two", expected_sha512=sha512(b"one"))
        assert raw.read("inventory") == b"two"
        with pytest.raises(BlobChanged):
            store.replace_if("absent", b"two", expected_sha512=sha512(b"one"))
        assert raw.names() == {"inventory"}

    def test_of_many_replacers_one_wins_each_round(self, store: BlobStore, raw: Raw) -> None:
        store.replace_if("counter", b"0", expected_sha512=None)

        def add_one(_: int) -> None:
            while True:
                with store.open("counter") as source:
                    present = source.read()
                try:
                    store.replace_if("counter", b"%d" % (int(present) + 1), expected_sha512=sha512(present))
                except BlobChanged:
                    continue
                return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add_one, range(24)))
        assert raw.read("counter") == b"24"

    def test_of_many_writers_one_wins_whole(self, store: BlobStore, raw: Raw) -> None:
        blocks = [bytes([number]) * 300_000 for number in range(8)]

        def put(block: bytes) -> bool:
            try:
                store.put_once("deep/er/blob", io.BytesIO(block))
            except BlobExists:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, blocks))
        assert won.count(True) == 1
        assert raw.read("deep/er/blob") == blocks[won.index(True)]

    @pytest.mark.parametrize("offset", [0, 1, 4095, 4096, 10_000, 10_001, 1 << 40])
    @pytest.mark.parametrize("length", [None, 0, 1, 5000, 10_000, 1 << 40])
    def test_a_range_is_a_slice(self, store: BlobStore, offset: int, length: int | None) -> None:
        data = bytes(number % 251 for number in range(10_000))
        store.put_once("ranged", io.BytesIO(data))
        expected = data[offset:] if length is None else data[offset : offset + length]
        with store.open("ranged", offset=offset, length=length) as source:
            assert source.read() == expected
        with store.open("ranged", offset=offset, length=length) as source:
            got = b"".join(iter(lambda: source.read(777), b""))
        assert got == expected

    @pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
    def test_a_negative_range_is_refused(self, store: BlobStore, offset: int, length: int | None) -> None:
        store.put_once("ranged", io.BytesIO(b"data"))
        with pytest.raises(InvalidInput):
            store.open("ranged", offset=offset, length=length)

    def test_an_opened_range_can_be_read_into_a_buffer(self, store: BlobStore) -> None:
        store.put_once("ranged", io.BytesIO(b"0123456789"))
        buffer = bytearray(16)
        with store.open("ranged", offset=2, length=5) as source:
            assert source.readinto(buffer) == 5  # type: ignore[attr-defined]
        assert bytes(buffer[:5]) == b"23456"

    def test_keys_are_sorted_by_their_bytes(self, store: BlobStore) -> None:
        given = ["a/b", "a.b", "a-b/c", "a/b.c", "ab", "中/文", "a/c/d", "é", "b"]
        for key in given:
            store.put_once(key, io.BytesIO(b""))
        assert list(store.keys()) == sorted(given, key=str.encode)

    def test_a_prefix_is_a_whole_path(self, store: BlobStore) -> None:
        for key in ["a/b/1", "a/b/2", "a/bc", "ab/1"]:
            store.put_once(key, io.BytesIO(b""))
        assert list(store.keys("a")) == ["a/b/1", "a/b/2", "a/bc"]
        assert list(store.keys("a/b")) == ["a/b/1", "a/b/2"]
        assert list(store.keys("a/bc")) == []
        assert list(store.keys("nothing/here")) == []

    def test_delete_removes_and_makes_room(self, store: BlobStore, raw: Raw) -> None:
        store.put_once("a/b", io.BytesIO(b"first"))
        store.put_once("a/c", io.BytesIO(b"other"))
        store.delete("a/b")
        assert raw.names() == {"a/c"}
        with pytest.raises(BlobMissing):
            store.delete("a/b")
        store.put_once("a/b", io.BytesIO(b"second"))
        assert raw.read("a/b") == b"second"

    def test_what_is_missing_is_said_to_be(self, store: BlobStore) -> None:
        store.put_once("a/b", io.BytesIO(b""))
        for key in ["nothing", "a", "a/b/c"]:
            assert not store.exists(key)
            for ask in (store.open, store.size_bytes, store.delete, store.local_path):
                with pytest.raises(BlobMissing):
                    ask(key)

    def test_a_local_path_holds_the_bytes(self, store: BlobStore) -> None:
        store.put_once("a/b", io.BytesIO(b"film"))
        path = store.local_path("a/b")
        assert path is None or path.read_bytes() == b"film"

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_bad_keys_are_refused_everywhere(self, store: BlobStore, raw: Raw, tmp_path: Path, key: str) -> None:
        staged = tmp_path / "staged"
        staged.write_bytes(b"film")
        calls: list[Callable[[], Any]] = [
            lambda: store.put_once(key, io.BytesIO(b"x")),
            lambda: store.adopt(key, staged),
            lambda: store.replace_if(key, b"x", expected_sha512=None),
            lambda: store.open(key),
            lambda: store.size_bytes(key),
            lambda: store.exists(key),
            lambda: store.delete(key),
            lambda: store.local_path(key),
        ]
        if key:
            calls.append(lambda: list(store.keys(key)))
        for call in calls:
            with pytest.raises(BadKey):
                call()
        assert raw.names() == set()

    def test_the_longest_key_is_taken(self, store: BlobStore, raw: Raw) -> None:
        key = "/".join(["a" * 255, "b" * 255, "c" * 255, "d" * 254, "e"])
        assert len(key) == 1024
        assert check_key(key)
        store.put_once(key, io.BytesIO(b"x"))
        assert raw.read(key) == b"x"


KEYS = st.sampled_from(["a", "b/1", "b/2", "b/c/1", "b.c", "中/文/1", "v1/content/original/现场 1.mp4"])
DATA = st.builds(bytes.__mul__, st.binary(min_size=1, max_size=4), st.sampled_from([0, 1, 5, 17_000]))


class BlobStoreMachine(RuleBasedStateMachine):
    """Random work on a store beside a dictionary. Subclass with `make() -> (store, raw, scratch directory)`."""

    store: BlobStore
    raw: Raw
    work: Path

    def make(self) -> tuple[BlobStore, Raw, Path]:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.store, self.raw, self.work = self.make()
        self.model: dict[str, bytes] = {}

    @rule(key=KEYS, data=DATA)
    def put(self, key: str, data: bytes) -> None:
        if key in self.model:
            with pytest.raises(BlobExists):
                self.store.put_once(key, io.BytesIO(data))
        else:
            assert self.store.put_once(key, io.BytesIO(data)) == len(data)
            self.model[key] = data

    @rule(key=KEYS, data=DATA)
    def adopt(self, key: str, data: bytes) -> None:
        staged = self.work / "staged"
        staged.write_bytes(data)
        if key in self.model:
            with pytest.raises(BlobExists):
                self.store.adopt(key, staged)
        else:
            self.store.adopt(key, staged)
            self.model[key] = data
        staged.unlink()

    @rule(key=KEYS, data=DATA, right=st.booleans())
    def replace(self, key: str, data: bytes, right: bool) -> None:
        present = self.model.get(key)
        expected = None if present is None else sha512(present)
        if right:
            self.store.replace_if(key, data, expected_sha512=expected)
            self.model[key] = data
        else:
            with pytest.raises(BlobChanged):
                self.store.replace_if(key, data, expected_sha512=sha512(b"what is never stored"))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        if key in self.model:
            self.store.delete(key)
            del self.model[key]
        else:
            with pytest.raises(BlobMissing):
                self.store.delete(key)

    @rule(key=KEYS, offset=st.integers(0, 80_000), length=st.none() | st.integers(0, 80_000))
    def read(self, key: str, offset: int, length: int | None) -> None:
        if key not in self.model:
            with pytest.raises(BlobMissing):
                self.store.open(key, offset=offset, length=length)
            return
        data = self.model[key]
        with self.store.open(key, offset=offset, length=length) as source:
            assert source.read() == (data[offset:] if length is None else data[offset : offset + length])

    @rule(prefix=st.sampled_from(["", "b", "b/c", "中", "v1/content"]))
    def list_keys(self, prefix: str) -> None:
        expected = [key for key in self.model if not prefix or key.startswith(f"{prefix}/")]
        assert list(self.store.keys(prefix)) == sorted(expected, key=str.encode)

    @invariant()
    def medium_is_model(self) -> None:
        if hasattr(self, "model"):
            assert {name: self.raw.read(name) for name in self.raw.names()} == self.model
