"""What every mender promises, tried on each: good bytes in place, or nothing changed; what was there is kept."""

import hashlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest

from archive.ports.mending import Mender, WrongBytes

KEY = "a/b/c"
GOOD = b"what it has to hold" * 1000
BAD = b"what it must not be" * 1000


def of(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def told(data: bytes) -> dict[str, Any]:
    return {"size_bytes": len(data), "sha512": hashlib.sha512(data).hexdigest()}


class MenderContract:
    """To be given `store`, `mender`, and `spoil(key, data)`, which puts other bytes there past both."""

    def read(self, store: Any, mender: Mender, key: str, version: str | None) -> bytes:
        """What a reader gets who was told of the version."""
        raise NotImplementedError

    def test_damaged_bytes_are_replaced_and_kept(self, store: Any, mender: Mender, spoil: Any) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        spoil(KEY, BAD)
        where = mender.keep_aside(KEY, "damage/c")
        assert where is not None
        assert self.kept(where, store) == BAD
        assert mender.keep_aside(KEY, "damage/c") == where, "asked again it says the same"
        version = mender.mend(KEY, of(GOOD), **told(GOOD))
        assert self.read(store, mender, KEY, version) == GOOD
        assert self.kept(where, store) == BAD, "also after it was mended"
        again = mender.mend(KEY, of(GOOD), **told(GOOD))
        assert again == version, "what an earlier try put is found"
        assert self.read(store, mender, KEY, again) == GOOD

    def test_what_is_gone_is_put(self, store: Any, mender: Mender) -> None:
        assert mender.keep_aside(KEY, "damage/c") is None
        assert mender.mend(KEY, of(GOOD), **told(GOOD)) is None, "nobody has to be told of a version"
        with store.open(KEY) as source:
            assert source.read() == GOOD

    @pytest.mark.parametrize(
        "wrong",
        [BAD, GOOD[:-1], GOOD + b"x", b"", bytes([GOOD[0] ^ 1]) + GOOD[1:]],
        ids=["other", "short", "long", "empty", "bit"],
    )
    def test_other_bytes_change_nothing(self, store: Any, mender: Mender, spoil: Any, wrong: bytes) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        spoil(KEY, BAD)
        with pytest.raises(WrongBytes):
            mender.mend(KEY, of(wrong), **told(GOOD))
        assert self.read(store, mender, KEY, None) == BAD
        assert list(store.keys()) == [KEY]
        with pytest.raises(WrongBytes):
            mender.mend("a/b/new", of(wrong), **told(GOOD))
        assert not store.exists("a/b/new")

    def test_a_source_that_fails_changes_nothing(self, store: Any, mender: Mender, spoil: Any) -> None:
        store.put_once(KEY, io.BytesIO(GOOD))
        spoil(KEY, BAD)

        class Failing(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                raise OSError(5, "Input/output error")

        with pytest.raises(OSError, match="Input/output"):
            mender.mend(KEY, Failing, **told(GOOD))
        assert self.read(store, mender, KEY, None) == BAD

    def kept(self, where: str, store: Any) -> bytes:
        """The damaged bytes, where the mender says that they are."""
        raise NotImplementedError
