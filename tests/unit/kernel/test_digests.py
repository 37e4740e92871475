"""Digests against openssl, which is not ours."""

import hashlib
import io
import subprocess
from pathlib import Path
from typing import Any

import pytest

from archive.kernel.digests import CN_PROFILE, STANDARD, Digest, DigestSet, Hasher, digest_of, hash_stream
from archive.kernel.errors import InvalidInput

_BLOCK = 4 * 1024 * 1024
_HAS_SM3 = "sm3" in hashlib.algorithms_available
_ALGORITHMS = CN_PROFILE if _HAS_SM3 else STANDARD


def _bytes(count: int) -> bytes:
    return hashlib.shake_128(count.to_bytes(8, "big")).digest(count)


def _openssl(algorithm: str, path: Path) -> str:
    told = subprocess.run(
        ["openssl", "dgst", f"-{algorithm}", "-r", path], check=True, capture_output=True, text=True
    ).stdout
    return told.split()[0]


@pytest.mark.parametrize("count", [0, 1, 63, 64, _BLOCK - 1, _BLOCK, _BLOCK + 1, 2 * _BLOCK, 2 * _BLOCK + 12345])
def test_stream_and_memory_agree_with_openssl(tmp_path: Path, count: int) -> None:
    path = tmp_path / "some bytes"
    path.write_bytes(_bytes(count))
    with path.open("rb") as source:
        found = hash_stream(source, algorithms=_ALGORITHMS)
    assert found.size_bytes == count
    assert found.as_json() == {name: _openssl(name, path) for name in _ALGORITHMS}
    assert digest_of(path.read_bytes()).agrees_with(found)


def test_sources_that_give_few_bytes_at_a_time() -> None:
    class Dribble(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._left = data

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            count = min(997, len(self._left))
            buffer[:count] = self._left[:count]
            self._left = self._left[count:]
            return count

    data = _bytes(100_003)
    assert hash_stream(Dribble(data)) == digest_of(data)


def test_a_source_that_fails_is_not_a_short_file() -> None:
    class Broken(io.RawIOBase):
        turns = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.turns += 1
            if self.turns > 2:
                raise OSError("input/output error")
            buffer[:10] = b"0123456789"
            return 10

    with pytest.raises(OSError, match="input/output"):
        hash_stream(Broken())


@pytest.mark.skipif(not _HAS_SM3, reason="this build of OpenSSL has no SM3")
def test_the_sample_of_gb_t_32905() -> None:
    hasher = Hasher(CN_PROFILE)
    hasher.update(b"abc")
    found = hasher.digests().sm3
    assert found is not None
    assert found.hex == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_the_samples_of_fips_180() -> None:
    found = digest_of(b"abc")
    assert str(found.sha256) == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found.sha512.hex.startswith("ddaf35a193617abacc417349ae204131")


def test_an_unknown_algorithm_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="unsupported"):
        Hasher(["sha257"])


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [
        ("md5", "00" * 16),
        ("sha256", "00" * 31),
        ("sha256", "00" * 64),
        ("sha256", "AB" * 32),
        ("sha256", " " + "00" * 32),
        ("sha256", "0g" * 32),
        ("sha256", ""),
        ("sha256", None),
        ("sha256", 7),
    ],
)
def test_what_is_no_digest_is_refused(algorithm: str, text: Any) -> None:
    with pytest.raises(InvalidInput):
        Digest.from_hex(algorithm, text)


@pytest.mark.parametrize(
    "value",
    [None, [], "sha256", {}, {"sha256": "00" * 32}, {"sha512": "00" * 64},
     {"sha256": "00" * 32, "sha512": "00" * 64, "md5": "00" * 16}, {"sha256": 1, "sha512": "00" * 64}],
    ids=repr,
)  # fmt: skip
def test_what_are_no_digests_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        DigestSet.from_json(0, value)


def test_json_form_round_trips() -> None:
    found = digest_of(b"abc")
    assert DigestSet.from_json(3, found.as_json()) == found


def test_agreement_needs_every_digest_and_the_size() -> None:
    whole = digest_of(b"abc")
    other = digest_of(b"abx")
    sm3 = Digest("sm3", bytes(32))
    assert whole.agrees_with(whole)
    assert not whole.agrees_with(other)
    assert not whole.agrees_with(DigestSet(4, whole.sha256, whole.sha512))
    assert not whole.agrees_with(DigestSet(3, other.sha256, whole.sha512))
    assert not whole.agrees_with(DigestSet(3, whole.sha256, other.sha512))
    assert whole.agrees_with(DigestSet(3, whole.sha256, whole.sha512, sm3))
    assert not DigestSet(3, whole.sha256, whole.sha512, Digest("sm3", b"\1" * 32)).agrees_with(
        DigestSet(3, whole.sha256, whole.sha512, sm3)
    )
