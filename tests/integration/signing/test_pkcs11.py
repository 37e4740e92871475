"""Keys in a token, here one of SoftHSM2: they sign documents that others find valid, and each fault has its name."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from archive.adapters import pkcs11_keys as adapter
from archive.adapters.pkcs11_keys import Pkcs11Key
from archive.documents.typesetting import Typesetter
from signing.document_fields import SignatureField, prepare
from signing.document_keys import demand_usable
from signing.pades import DocumentSigner
from tests.integration.signing.test_pades import case_data
from tests.support import document_judges as judges
from tests.support.document_pki import START, DocumentPki, MovedClock
from tests.support.softhsm import LABEL, MODULE, PIN, SoftToken, soft_token


@dataclass
class Token:
    """A token with keys that an authority has certified."""

    pki: DocumentPki
    clock: MovedClock
    soft: SoftToken

    @property
    def pin(self) -> Path:
        return self.soft.pin_file

    @property
    def folder(self) -> Path:
        return self.soft.folder

    def key(self, label: str, **given: Any) -> Pkcs11Key:
        return Pkcs11Key(
            given.pop("module", MODULE),
            token_label=given.pop("token_label", LABEL),
            pin_file=given.pop("pin_file", self.pin),
            key_label=label,
            chain=[self.pki.root_der],
            **given,
        )

    def secret(self, name: str, content: str, mode: int = 0o600) -> Path:
        return self.soft.secret(name, content, mode)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    with soft_token(tmp_path_factory.mktemp("token")) as soft:
        clock = MovedClock()
        made = Token(DocumentPki(clock), clock, soft)
        keys = {
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "p384": ec.generate_private_key(ec.SECP384R1()),
            "rsa": made.pki.rsa_key,
        }
        for number, (label, key) in enumerate(keys.items(), start=1):
            soft.put_key(label, key, number)
        for number, (label, key) in enumerate(keys.items(), start=1):
            soft.put_certificate(label, x509.load_der_x509_certificate(made.pki.signer(label, key).certificate), number)
        yield made


@pytest.mark.parametrize("label", ["ec", "p384", "rsa"])
def test_a_key_in_a_token_signs_documents(token: Token, label: str, tmp_path: Path) -> None:
    key = token.key(label)
    demand_usable(key, at=token.clock.at)
    prepared = prepare(Typesetter("list").set_pdf(case_data(), at=START), signatures=[SignatureField("officer")])
    pdf = DocumentSigner(key, token.clock, token.pki.token).sign(prepared, "officer")
    assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == 1
    status = judges.statuses(pdf, token.pki.root_der, at=token.clock.at + timedelta(days=1))["officer"]
    assert status.bottom_line, status.pretty_print_details()
    assert PIN not in repr(key)


def test_a_key_is_found_by_its_id(token: Token) -> None:
    by_id = Pkcs11Key(MODULE, token_label="bureau", pin_file=token.pin, key_id=b"\x01")
    assert by_id.certificate == token.key("ec").certificate


FAULTS = [
    (adapter.Pkcs11ModuleMissing, lambda token: token.key("ec", module=token.folder / "none.so")),
    (adapter.Pkcs11ModuleMissing, lambda token: token.key("ec", module=token.pin)),
    (adapter.Pkcs11TokenMissing, lambda token: token.key("ec", token_label="other bureau")),
    (adapter.Pkcs11KeyMissing, lambda token: token.key("nobody")),
    (adapter.Pkcs11PinMissing, lambda token: token.key("ec", pin_file=token.folder / "none")),
    (adapter.Pkcs11PinMissing, lambda token: token.key("ec", pin_file=token.secret("empty", "\n"))),
    (adapter.Pkcs11PinMissing, lambda token: token.key("ec", pin_file=token.secret("open", PIN, 0o644))),
    (adapter.Pkcs11PinWrong, lambda token: token.key("ec", pin_file=token.secret("wrong", "0000"))),
    (adapter.Pkcs11DigestRefused, lambda token: token.key("ec").sign(b"", digest_algorithm="sha1")),
]


@pytest.mark.parametrize(("error", "ask"), FAULTS, ids=range(len(FAULTS)))
def test_each_fault_has_its_name(token: Token, error: type[Exception], ask: Any) -> None:
    with pytest.raises(error) as told:
        ask(token)
    assert PIN not in str(told.value)


# In a process of its own: SoftHSM2 does not let go of a token that it has seen.
_REMOVED = """
import shutil, sys
from pathlib import Path
from archive.adapters.pkcs11_keys import Pkcs11Key, Pkcs11TokenMissing, Pkcs11Fault
module, folder = map(Path, sys.argv[1:])
key = Pkcs11Key(module, token_label="bureau", pin_file=folder / "pin", key_label="ec")
key.sign(b"while it is there", digest_algorithm="sha256")
shutil.rmtree(folder / "tokens")
try:
    key.sign(b"after that", digest_algorithm="sha256")
except (Pkcs11TokenMissing, Pkcs11Fault) as told:
    print(told.code, told.retryable)
"""


def test_a_token_that_was_pulled_out_is_told(token: Token, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", token.folder / "tokens", token.pin, tmp_path], check=True)
    (tmp_path / "softhsm2.conf").write_text(
        f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_REMOVED), MODULE, tmp_path],
        env={**os.environ, "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf"), "PYTHONPATH": "."},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout.split() in ([["token.missing", "True"], ["token.fault", "True"]]), run.stderr
