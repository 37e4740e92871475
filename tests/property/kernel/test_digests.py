"""However the bytes are cut, the digests are those of hashlib."""

import hashlib
import io

from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.digests import Hasher, digest_of, hash_stream

_kinds = st.sampled_from([bytes, bytearray, memoryview])


@given(st.lists(st.tuples(st.binary(max_size=300), _kinds), max_size=8))
def test_blocks_of_any_size_and_kind(blocks: list[tuple[bytes, type]]) -> None:
    hasher = Hasher()
    for block, kind in blocks:
        hasher.update(kind(block))
    whole = b"".join(block for block, _ in blocks)
    found = hasher.digests()
    assert found.size_bytes == len(whole)
    assert found.sha256.value == hashlib.sha256(whole).digest()
    assert found.sha512.value == hashlib.sha512(whole).digest()
    assert found == digest_of(whole) == hash_stream(io.BytesIO(whole))


@given(st.binary(min_size=1, max_size=200), st.data())
def test_one_flipped_bit_never_agrees(whole: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not digest_of(whole).agrees_with(digest_of(bytes(flipped)))
