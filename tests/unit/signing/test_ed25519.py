"""Ed25519 keys: the vectors of RFC 8032, files, and signatures that must not count."""

import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.errors import InvalidInput
from archive.ports.keys import KeyHandle
from signing import ed25519
from signing.ed25519 import Ed25519KeyHandle, verify_ed25519
from signing.keyfiles import KeyExists, KeyExposed, KeyMissing, KeyUnreadable

# RFC 8032 section 7.1: secret, public, message, signature.
VECTORS = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_vectors_of_rfc_8032(vector: tuple[str, str, str, str]) -> None:
    secret, public, message, signature = map(bytes.fromhex, vector)
    handle = Ed25519KeyHandle(Ed25519PrivateKey.from_private_bytes(secret))
    assert handle.public_bytes == public
    assert handle.sign(message) == signature
    assert verify_ed25519(public, signature, message)
    assert not verify_ed25519(public, signature, message + b"\0")


def test_generated_key_is_private_and_loads_again(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = Ed25519KeyHandle.generate(tmp_path / "log.key.pem")
    finally:
        os.umask(old)
    port: KeyHandle = Ed25519KeyHandle.load(tmp_path / "log.key.pem")
    assert port.public_bytes == made.public_bytes
    assert verify_ed25519(made.public_bytes, port.sign(b"entry"), b"entry")
    assert stat.S_IMODE((tmp_path / "log.key.pem").stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.key.pem"]
    assert (tmp_path / "log.key.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.key.pem"
    Ed25519KeyHandle.generate(path)
    before = path.read_bytes()
    with pytest.raises(KeyExists, match="already") as caught:
        Ed25519KeyHandle.generate(path)
    assert caught.value.code == "key.exists"
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.key.pem"]


def test_of_many_that_generate_at_once_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "log.key.pem"
    made: list[Ed25519KeyHandle] = []
    refused: list[KeyExists] = []

    def generate() -> None:
        try:
            made.append(Ed25519KeyHandle.generate(path))
        except KeyExists as exc:
            refused.append(exc)

    threads = [threading.Thread(target=generate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(refused) == 7
    assert Ed25519KeyHandle.load(path).public_bytes == made[0].public_bytes


def test_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "log.key.pem"
    made = Ed25519KeyHandle.generate(path, passphrase=b"secret from a file")
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert Ed25519KeyHandle.load(path, passphrase=b"secret from a file").public_bytes == made.public_bytes
    for wrong in (None, b"another"):
        with pytest.raises(KeyUnreadable):
            Ed25519KeyHandle.load(path, passphrase=wrong)
    with pytest.raises(InvalidInput, match="passphrase is empty"):
        Ed25519KeyHandle.generate(tmp_path / "other.pem", passphrase=b"")
    assert not (tmp_path / "other.pem").exists()


def test_passphrase_for_an_open_key(tmp_path: Path) -> None:
    Ed25519KeyHandle.generate(tmp_path / "log.key.pem")
    with pytest.raises(KeyUnreadable):
        Ed25519KeyHandle.load(tmp_path / "log.key.pem", passphrase=b"not needed")


def test_missing_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "log.key.pem"
    with pytest.raises(KeyMissing):
        Ed25519KeyHandle.load(path)
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    path.chmod(0o600)
    with pytest.raises(KeyUnreadable):
        Ed25519KeyHandle.load(path)
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(KeyUnreadable, match="another kind"):
        Ed25519KeyHandle.load(path)


@pytest.mark.parametrize(
    ("mode", "is_refused"),
    [(0o600, False), (0o400, False), (0o440, False)] + [(mode, True) for mode in (0o604, 0o602, 0o620, 0o644, 0o777)],
)
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int, is_refused: bool) -> None:
    path = tmp_path / "log.key.pem"
    Ed25519KeyHandle.generate(path)
    path.chmod(mode)
    if is_refused:
        with pytest.raises(KeyExposed, match="chmod 600"):
            Ed25519KeyHandle.load(path)
    else:
        Ed25519KeyHandle.load(path)


def test_the_private_part_is_not_shown(tmp_path: Path) -> None:
    handle = Ed25519KeyHandle.generate(tmp_path / "k.pem")
    assert repr(handle) == f"Ed25519KeyHandle(public={handle.public_bytes.hex()})"


@given(st.binary(max_size=200), st.integers(0, 511), st.binary(max_size=80))
def test_no_changed_signature_verifies(message: bytes, bit: int, junk: bytes) -> None:
    handle = Ed25519KeyHandle(Ed25519PrivateKey.generate())
    signature = bytearray(handle.sign(message))
    assert verify_ed25519(handle.public_bytes, bytes(signature), message)
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify_ed25519(handle.public_bytes, bytes(signature), message)
    assert not verify_ed25519(handle.public_bytes, junk, message)
    assert not verify_ed25519(junk, handle.sign(message), message)


@pytest.mark.parametrize("y", sorted(ed25519._SMALL_ORDER_Y))
@pytest.mark.parametrize("sign_bit", [0, 1])
def test_keys_of_small_order_establish_nothing(y: int, sign_bit: int) -> None:
    public = (y | sign_bit << 255).to_bytes(32, "little")
    # R = identity, S = 0: OpenSSL accepts this for every message under the identity key, for some under the others.
    forged = (1).to_bytes(32, "little") + bytes(32)
    assert not any(verify_ed25519(public, forged, str(number).encode()) for number in range(32))


def test_the_small_order_list_is_right() -> None:
    """Recomputed from the curve: exactly the points whose eightfold is the identity."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p

    def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        both = d * a[0] * b[0] * a[1] * b[1] % p
        return (
            (a[0] * b[1] + b[0] * a[1]) * pow(1 + both, -1, p) % p,
            (a[1] * b[1] + a[0] * b[0]) * pow(1 - both, -1, p) % p,
        )

    def eightfold(y: int) -> tuple[int, int]:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        if x * x % p != square:
            x = x * pow(2, (p - 1) // 4, p) % p
        assert x * x % p == square
        point = (x, y % p)
        for _ in range(3):
            point = add(point, point)
        return point

    # 8 points: y = 1, -1 (one each), 0 (two), and two further y (two each); p and p + 1 write 0 and 1 otherwise.
    assert len(ed25519._SMALL_ORDER_Y) == 7
    assert {eightfold(y) for y in ed25519._SMALL_ORDER_Y} == {(0, 1)}
