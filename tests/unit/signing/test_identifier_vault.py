"""The vault: what is sealed opens for its own place and key only; the file is read anew when it has changed."""

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.ports.identifiers import IdentifierUnreadable, Sealed
from signing.identifier_vault import FileIdentifierVault

NUMBER = "11010519491231002X"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "subjects.key"


@pytest.fixture
def vault(path: Path) -> FileIdentifierVault:
    return FileIdentifierVault.create(path)


def test_the_file_is_for_its_owner_and_made_once(path: Path, vault: FileIdentifierVault) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert FileIdentifierVault.create(path).key_ids == vault.key_ids
    assert path.read_bytes() == before
    assert "AAAA" not in repr(vault)
    assert before.split()[2].decode() not in repr(vault)


def test_what_is_sealed_opens_again_and_never_looks_the_same(vault: FileIdentifierVault) -> None:
    one, two = (vault.seal(NUMBER, bound_to="subject 1") for _ in range(2))
    assert one.data != two.data
    assert NUMBER.encode() not in one.data
    assert len(one.data) == 12 + len(NUMBER) + 16
    assert vault.unseal(one, bound_to="subject 1") == vault.unseal(two, bound_to="subject 1") == NUMBER


def test_every_bit_counts_and_so_does_the_place(vault: FileIdentifierVault) -> None:
    sealed = vault.seal(NUMBER, bound_to="subject 1")
    with pytest.raises(IdentifierUnreadable):
        vault.unseal(sealed, bound_to="subject 2")
    for at in range(len(sealed.data)):
        changed = bytearray(sealed.data)
        changed[at] ^= 1
        with pytest.raises(IdentifierUnreadable):
            vault.unseal(Sealed(sealed.key_id, bytes(changed)), bound_to="subject 1")
    for short in (b"", sealed.data[:11], sealed.data[:-1]):
        with pytest.raises(IdentifierUnreadable):
            vault.unseal(Sealed(sealed.key_id, short), bound_to="subject 1")


def test_indexes_find_equal_texts_under_one_key_only(vault: FileIdentifierVault, tmp_path: Path) -> None:
    (key_id,) = vault.key_ids
    assert vault.index("a", key_id=key_id) == vault.index("a", key_id=key_id)
    assert vault.index("a", key_id=key_id) != vault.index("b", key_id=key_id)
    assert len(vault.index("a", key_id=key_id)) == 32
    other = FileIdentifierVault.create(tmp_path / "other.key")
    assert other.index("a", key_id=other.key_ids[0]) != vault.index("a", key_id=key_id)


def test_a_new_key_seals_and_the_old_one_still_opens(path: Path, vault: FileIdentifierVault) -> None:
    elsewhere = FileIdentifierVault(path)  # another process, which has read the file already
    (first,) = elsewhere.key_ids
    old = vault.seal(NUMBER, bound_to="x")
    second = vault.add_key()
    assert vault.key_ids == elsewhere.key_ids == (first, second)
    assert elsewhere.seal(NUMBER, bound_to="x").key_id == second
    assert elsewhere.unseal(old, bound_to="x") == NUMBER
    assert vault.forget_keys(but=[first]) == []
    assert vault.forget_keys(but=[]) == [first]
    assert elsewhere.key_ids == (second,)
    assert elsewhere.forget_keys(but=[]) == []
    with pytest.raises(IdentifierUnreadable, match="not in the key file"):
        elsewhere.unseal(old, bound_to="x")
    with pytest.raises(IdentifierUnreadable):
        elsewhere.index("a", key_id=first)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[:20],
    "no text": lambda data: b"\xff" + data,
    "another version": lambda data: data.replace(b"-v1", b"-v2"),
    "no key": lambda data: data.splitlines()[0] + b"\n",
    "another secret": lambda data: data[: data.rindex(b" ") + 1] + base64.b64encode(os.urandom(32)) + b"\n",
    "a short secret": lambda data: data[: data.rindex(b" ") + 1] + base64.b64encode(os.urandom(16)) + b"\n",
    "no base64": lambda data: data[:-4] + b"!!!\n",
    "more than keys": lambda data: data + b"and something else\n",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_never_taken_for_another_key(path: Path, how: str) -> None:
    FileIdentifierVault.create(path)
    path.write_bytes(DAMAGES[how](path.read_bytes()))
    with pytest.raises(IdentifierUnreadable, match="damaged"):
        _ = FileIdentifierVault(path).key_ids


def test_a_missing_or_exposed_file_is_told(path: Path, vault: FileIdentifierVault) -> None:
    sealed = vault.seal(NUMBER, bound_to="x")
    path.chmod(0o644)
    os.utime(path, ns=(1, 1))
    with pytest.raises(IdentifierUnreadable, match="Others may read"):
        vault.unseal(sealed, bound_to="x")
    path.unlink()
    for ask in (lambda: vault.key_ids, lambda: vault.seal(NUMBER, bound_to="x"), lambda: vault.index("a", key_id="b")):
        with pytest.raises(IdentifierUnreadable, match="missing"):
            ask()
    assert not path.exists(), "what is lost is not made anew in silence"
