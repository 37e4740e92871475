"""SM2 with SM3: OpenSSL accepts what is signed and signs what is accepted; nothing that was changed passes."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.digests import Hasher
from archive.kernel.findings import Outcome
from signing.key_wrap import FileKeyWrapper
from signing.keyfiles import KeyExists, KeyMissing, KeyUnreadable
from signing.sm2 import NotSm2Key, Sm2Key, Sm2PublicKey, check_sm2, digest_statement
from tests.unit.signing import pki

ID = "distid:1234567812345678"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sm2")
    for name, key in (("kek", bytes(range(32))), ("other", bytes(32))):
        (folder / name).write_bytes(key)
        (folder / name).chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def key(folder: Path) -> Sm2Key:
    return Sm2Key.generate(folder / "sm2.key", wrapper=FileKeyWrapper(folder / "kek"))


@pytest.fixture(scope="module")
def signature(key: Sm2Key) -> bytes:
    return key.sign(pki.MANIFEST)


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def verify(folder: Path, content: bytes, signature: bytes, *, distid: str = ID) -> bool:
    (folder / "content").write_bytes(content)
    (folder / "signature").write_bytes(signature)
    told = openssl(
        folder, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub.pem", "-in", "content", "-rawin", "-digest", "sm3",
        "-sigfile", "signature", "-pkeyopt", distid,
    )  # fmt: skip
    return told.returncode == 0


def test_openssl_accepts_it_and_refuses_what_was_changed(key: Sm2Key, folder: Path, signature: bytes) -> None:
    (folder / "key.pub.pem").write_bytes(key.public.to_pem())
    assert verify(folder, pki.MANIFEST, signature)
    assert not verify(folder, pki.MANIFEST + b" ", signature)
    assert not verify(folder, pki.MANIFEST, signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not verify(folder, pki.MANIFEST, signature, distid="distid:8765432187654321")


def test_our_check_accepts_what_openssl_signed(folder: Path) -> None:
    openssl(folder, "genpkey", "-algorithm", "SM2", "-out", "theirs.pem")
    openssl(folder, "pkey", "-in", "theirs.pem", "-pubout", "-out", "theirs.pub.pem")
    (folder / "content").write_bytes(pki.MANIFEST)
    made = openssl(
        folder, "pkeyutl", "-sign", "-inkey", "theirs.pem", "-in", "content", "-rawin", "-digest", "sm3",
        "-out", "theirs.sig", "-pkeyopt", ID,
    )  # fmt: skip
    assert made.returncode == 0
    public = Sm2PublicKey.from_pem((folder / "theirs.pub.pem").read_bytes())
    theirs = (folder / "theirs.sig").read_bytes()
    assert check_sm2(pki.MANIFEST, theirs, public=public, known=[public.fingerprint]).outcome is Outcome.VALID


def test_three_outcomes(key: Sm2Key, signature: bytes) -> None:
    known = [key.public.fingerprint]
    told = {
        "known": check_sm2(pki.MANIFEST, signature, public=key.public, known=known),
        "unknown": check_sm2(pki.MANIFEST, signature, public=key.public),
        "changed": check_sm2(pki.MANIFEST + b"x", signature, public=key.public, known=known),
        "malformed": check_sm2(pki.MANIFEST, signature + b"\0", public=key.public, known=known),
    }
    assert {name: (each.outcome, pki.codes(each)) for name, each in told.items()} == {
        "known": (Outcome.VALID, ["signature.established"]),
        "unknown": (Outcome.INDETERMINATE, ["signature.untrusted"]),
        "changed": (Outcome.INVALID, ["signature.value_mismatch"]),
        "malformed": (Outcome.INVALID, ["signature.malformed"]),
    }


@given(data=st.data())
def test_no_bit_of_a_signature_can_be_changed(key: Sm2Key, signature: bytes, data: st.DataObject) -> None:
    changed = bytearray(signature)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    report = check_sm2(pki.MANIFEST, bytes(changed), public=key.public, known=[key.public.fingerprint])
    assert report.outcome is Outcome.INVALID


@given(content=st.binary(max_size=5000))
def test_whatever_is_signed_verifies(key: Sm2Key, content: bytes) -> None:
    report = check_sm2(content, key.sign(content), public=key.public, known=[key.public.fingerprint])
    assert report.outcome is Outcome.VALID


@given(junk=st.binary(max_size=200))
def test_junk_is_no_signature(key: Sm2Key, junk: bytes) -> None:
    assert check_sm2(b"", junk, public=key.public, known=[key.public.fingerprint]).outcome is Outcome.INVALID


def test_a_signed_pdf_is_signed_by_its_digests(key: Sm2Key) -> None:
    hasher = Hasher()
    hasher.update(b"%PDF-1.7")
    statement = digest_statement(hasher.digests())
    assert statement.startswith(b'{"digests":{"sha256":"')
    public = key.public
    assert check_sm2(statement, key.sign(statement), public=public, known=[public.fingerprint]).outcome is Outcome.VALID


def test_the_key_is_wrapped_and_read_again(key: Sm2Key, folder: Path) -> None:
    file = folder / "sm2.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert key._private.hex() not in file.read_text("ascii")
    assert Sm2Key.load(file, wrapper=FileKeyWrapper(folder / "kek")).public == key.public
    assert key._private.hex() not in repr(key)
    with pytest.raises(KeyExists):
        Sm2Key.generate(file, wrapper=FileKeyWrapper(folder / "kek"))
    with pytest.raises(KeyUnreadable):
        Sm2Key.load(file, wrapper=FileKeyWrapper(folder / "other"))
    with pytest.raises(KeyMissing):
        Sm2Key.load(folder / "none", wrapper=FileKeyWrapper(folder / "kek"))


def test_halves_of_two_keys_are_refused(key: Sm2Key, folder: Path) -> None:
    wrapper = FileKeyWrapper(folder / "kek")
    other = Sm2Key.generate(folder / "another.key", wrapper=wrapper)
    mixed = (folder / "sm2.key").read_text("ascii").replace(key.public.point.hex(), other.public.point.hex())
    for name, text in (("mixed.key", mixed), ("junk.key", "junk"), ("empty.key", "{}")):
        (folder / name).write_text(text, "ascii")
        (folder / name).chmod(0o600)
        with pytest.raises(KeyUnreadable):
            Sm2Key.load(folder / name, wrapper=wrapper)


def test_a_public_key_has_one_form(key: Sm2Key) -> None:
    pem = key.public.to_pem()
    assert Sm2PublicKey.from_pem(pem) == key.public
    assert key.public.fingerprint.encode() in pem
    for bad in (b"", b"junk", pem[:-30], pem + b"x", pem.replace(b"BEGIN PUBLIC", b"BEGIN PRIVATE"), b"\xff"):
        with pytest.raises(NotSm2Key):
            Sm2PublicKey.from_pem(bad)
    with pytest.raises(NotSm2Key):
        Sm2PublicKey(b"\1" * 64)
