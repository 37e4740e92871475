"""Parts of the verifiers that travel, each against somebody else's word."""

import ast
import hashlib
import io
import random
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from archive.kernel.canonical import canonical_json
from archive.packages.verification.findings import sentences
from archive.packages.verifier import verify, verify_html, verify_py

# RFC 8032 section 7.1, tests 1 to 3: public key, message, signature.
_RFC_8032 = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.mark.parametrize(("public", "message", "signature"), _RFC_8032)
def test_ed25519_on_the_vectors_of_the_rfc(public: str, message: str, signature: str) -> None:
    key, text, value = (bytes.fromhex(each) for each in (public, message, signature))
    assert verify.ed25519_verifies(key, value, text)
    assert not verify.ed25519_verifies(key, value, text + b"x")
    for at in (0, 31, 32, 63):
        bad = bytearray(value)
        bad[at] ^= 4
        assert not verify.ed25519_verifies(key, bytes(bad), text)
    raised = value[:32] + (int.from_bytes(value[32:], "little") + verify.L).to_bytes(32, "little")
    assert not verify.ed25519_verifies(key, raised, text), "a scalar beyond the order"


def test_ed25519_says_what_openssl_says(tmp_path: Path) -> None:
    for number in range(3):
        private, message = Ed25519PrivateKey.generate(), f"message {number}".encode()
        signature = bytearray(private.sign(message))
        (tmp_path / "key").write_bytes(
            private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        (tmp_path / "message").write_bytes(message)
        for at in (None, 5, 40):
            if at is not None:
                signature[at] ^= 1
            (tmp_path / "signature").write_bytes(signature)
            command = [
                "openssl",
                "pkeyutl",
                "-verify",
                "-rawin",
                "-pubin",
                "-inkey",
                "key",
                "-sigfile",
                "signature",
                "-in",
                "message",
            ]
            theirs = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
            assert verify.ed25519_verifies(private.public_key().public_bytes_raw(), bytes(signature), message) == theirs


def test_ed25519_refuses_keys_that_sign_everything() -> None:
    for y in verify.SMALL_ORDER_Y:
        for sign in (0, 1 << 255):
            key = (y | sign).to_bytes(32, "little")
            assert not verify.ed25519_verifies(key, key + bytes(32), b"x")


def test_verify_py_is_python_3_9_and_the_standard_library_only() -> None:
    tree = ast.parse(verify_py(), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {
        "argparse", "base64", "collections.abc", "concurrent.futures", "datetime", "hashlib", "json", "os", "queue", "re",
        "shutil", "stat", "subprocess", "sys", "tempfile", "typing", "unicodedata",
    }  # fmt: skip
    assert not any(isinstance(node, ast.Match | ast.TryStar) for node in ast.walk(tree))


def test_all_three_say_the_same_sentences() -> None:
    table = {code: {"en": english, "zh": chinese} for code, (english, chinese) in verify.TEXTS.items()}
    assert table == sentences()
    embedded = re.search(rb'id="sentences">(.*?)</script>', verify_html())
    assert embedded is not None
    assert verify.parse_canonical(embedded[1]) == table


def test_every_code_in_the_sources_has_its_sentence() -> None:
    folder = Path(verify.__file__).parents[1]
    areas = "package|signature|timestamp|proof|entry|checkpoint|anchor"
    for source in (*folder.glob("verification/*.py"), Path(verify.__file__), folder / "verifier" / "page" / "core.js"):
        errors = set(re.findall(r'^    code = "([a-z_.]+)"', source.read_text("utf-8"), re.MULTILINE))
        used = set(re.findall(rf'"((?:{areas})\.[a-z_]+)"', source.read_text("utf-8")))
        assert used - errors - set(sentences()) == set(), source.name


def test_the_page_is_the_same_every_time_and_lets_nothing_in() -> None:
    page = verify_html().decode()
    assert verify_html().decode() == page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy[1]
    assert "connect-src" not in policy[1], "nothing beyond default-src"
    assert re.findall(r"(?:src|href|action)=", page.partition("<script")[0]) == []
    assert "MIT licence" in page
    assert not re.search(r"@[A-Z]+@", page)


class _Breaking(io.BytesIO):
    """A file that cannot be read to its end."""

    def readinto(self, block: object) -> int:
        count = super().readinto(block)  # type: ignore[arg-type]
        if self.tell() > 2 * verify.BLOCK:
            raise OSError("the medium is gone")
        return count


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, verify.BLOCK, 3 * verify.BLOCK + 7])
def test_hashing_is_that_of_hashlib_also_after_files_that_broke_off(size: int) -> None:
    raw = random.Random(size).randbytes(size)
    hashing = verify.Hashing()
    try:
        for _ in range(12):  # more often than there are blocks
            with pytest.raises(OSError, match="the medium"):
                hashing.digests(_Breaking(bytes(4 * verify.BLOCK)))
        told = hashing.digests(io.BytesIO(raw))
    finally:
        hashing.close()
    assert told == (size, hashlib.sha256(raw).hexdigest(), hashlib.sha512(raw).hexdigest())


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1.0}',
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'"\\ud800"',
        b"9007199254740992",
        b"NaN",
        b"\xff",
        b"-0",
        b'"\\u0041"',
    ],
)
def test_canonical_json_refuses_every_other_spelling(raw: bytes) -> None:
    with pytest.raises(verify.Malformed):
        verify.parse_canonical(raw)


def test_canonical_json_is_ours() -> None:
    value = {"€": [1, None, True], "\r": "\u2028\x7f\x01", "😀": {"a": -1}, "ö": ""}
    assert verify.canonical(value) == canonical_json(value)
    assert verify.parse_canonical(canonical_json(value)) == value


@pytest.mark.parametrize(
    ("number", "path"),
    [(0, "000"), (67, "067"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_paths_of_bundles_are_those_of_the_tiles(number: int, path: str) -> None:
    from archive.packages.verification.completeness import bundle_path

    assert verify.bundle_path(number) == path
    assert bundle_path(number) == path
