"""The journal's format: the worked example of the document, opened by the document's own rules, and what is refused."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.errors import LiuhenError
from archive.kernel.ids import EntryId, new_uuid7
from archive.ledger.segments import (
    BLANK,
    DetailUnreadable,
    SealedDetail,
    SegmentMalformed,
    SegmentName,
    decode_keys,
    decode_segment,
    encode_keys,
    encode_segment,
    folder_of,
    open_detail,
    seal_detail,
    slot_offset,
)

DOCUMENT = (Path(__file__).parents[3] / "docs" / "formats" / "journal.md").read_text()
ENTRY = EntryId(UUID("019a0000-0000-7000-8000-000000000001"))
SALT, DETAIL = bytes(range(32)), '{"name":"张三"}'.encode()
KEY, KEK, NAME = b"\xa0" * 32, b"\xb0" * 32, SegmentName(0, 1, b"\x66" * 32)


def example(name: str) -> bytes:
    found = re.search(rf"<!-- example: {name} -->\n```\n([0-9a-f\n]+)```", DOCUMENT)
    assert found
    return bytes.fromhex(found[1])


def test_the_worked_example_is_what_we_write() -> None:
    assert hashlib.sha256(SALT + DETAIL).digest() == example("commitment")
    assert encode_segment(NAME, [SealedDetail(ENTRY, seal_detail(KEY, ENTRY, SALT, DETAIL))]) == example("segment")
    key_id = hashlib.sha256(b"liuhen journal key" + KEK).digest()[:8]
    assert encode_keys(key_id, [aes_key_wrap(KEK, KEY)]) == example("keys")
    assert NAME.key in DOCUMENT


def test_a_stranger_opens_it_with_the_program_of_the_document(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(program.splitlines()) <= 30
    for folder, data in (("journal", example("segment")), ("journal-keys", example("keys"))):
        path = tmp_path / folder / NAME.key
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "journal.key").write_bytes(KEK)
    told = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path), NAME.key], capture_output=True, check=True
    ).stdout.decode()
    assert told == f"0 {ENTRY} {DETAIL.decode()}\n"


def test_a_detail_opens_for_its_entry_only() -> None:
    sealed = seal_detail(KEY, ENTRY, SALT, DETAIL)
    assert open_detail(KEY, ENTRY, sealed) == (SALT, DETAIL)
    for key, entry, data in (
        (KEK, ENTRY, sealed),
        (KEY, EntryId(new_uuid7()), sealed),
        (KEY, ENTRY, sealed[:-1]),
        (KEY, ENTRY, bytes([sealed[0] ^ 1]) + sealed[1:]),
    ):
        with pytest.raises(DetailUnreadable):
            open_detail(key, entry, data)


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=9), st.integers(0, 2**62))
def test_what_is_encoded_is_decoded_and_every_cut_is_seen(sealed: list[bytes], start: int) -> None:
    name = SegmentName(start, start + len(sealed), hashlib.sha256(b"".join(sealed)).digest())
    details = [SealedDetail(EntryId(new_uuid7()), one) for one in sealed]
    data = encode_segment(name, details)
    assert decode_segment(name, data) == details
    assert SegmentName.parse(name.key) == name
    for wrong in (data[:-1], data + b"\0", data[1:], b"", data[:40]):
        with pytest.raises(SegmentMalformed):
            decode_segment(name, wrong)
    slots = [hashlib.sha256(one).digest() + bytes(8) for one in sealed]
    keys = encode_keys(b"8 bytes.", slots)
    assert decode_keys(name, keys) == (b"8 bytes.", slots)
    assert keys[slot_offset(len(slots) - 1) :] == slots[-1]
    for wrong in (keys[:-1], keys + b"\0", b"x" + keys[1:]):
        with pytest.raises(SegmentMalformed):
            decode_keys(name, wrong)


@given(st.binary(max_size=200))
def test_junk_is_refused_with_a_named_error(junk: bytes) -> None:
    for decode in (decode_segment, decode_keys):
        with pytest.raises(LiuhenError):
            decode(NAME, junk)


def test_slots_of_another_length_are_refused() -> None:
    with pytest.raises(SegmentMalformed):
        encode_keys(b"8 bytes.", [BLANK[:-1]])
    with pytest.raises(SegmentMalformed):
        encode_keys(b"short", [BLANK])


def test_folders_hold_what_begins_within_a_thousand_entries() -> None:
    assert [folder_of(size) for size in (0, 999, 1000, 999_999, 1_000_000, 1_234_567_890)] == [
        "000/000", "000/000", "000/001", "000/999", "001/000", "1234/567",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "key",
    [
        "", "000/000/0-1", f"000/000/0-0-{'6' * 64}", f"000/000/1-0-{'6' * 64}", f"000/001/0-1-{'6' * 64}",
        f"000/000/00-1-{'6' * 64}", f"000/000/0-1-{'6' * 63}", f"000/000/0-1-{'A' * 64}", f"000/000/0-1-{'6' * 64}\n",
        f"0/0/0-1-{'6' * 64}", f"000/000/0-1-{'6' * 64}.tmp", f"000/000/٠-1-{'6' * 64}",
    ],
)  # fmt: skip
def test_other_names_are_refused(key: str) -> None:
    with pytest.raises(SegmentMalformed):
        SegmentName.parse(key)
