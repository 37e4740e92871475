"""A token of SoftHSM2: keys and certificates are put into it as an administrator would."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.unit.signing.pki import PrivateKey

MODULES = [Path("/usr/lib/softhsm/libsofthsm2.so"), *Path("/usr/lib").glob("*/softhsm/libsofthsm2.so")]
MODULE = next((each for each in MODULES if each.exists()), MODULES[0])
LABEL, PIN = "bureau", "4711"


@dataclass
class SoftToken:
    """A token in a folder, open as long as the context of `soft_token` lasts."""

    folder: Path

    @property
    def pin_file(self) -> Path:
        return self.folder / "pin"

    def secret(self, name: str, content: str, mode: int = 0o600) -> Path:
        """Write a file that holds a secret."""
        path = self.folder / name
        path.write_text(content)
        path.chmod(mode)
        return path

    def put_key(self, label: str, key: PrivateKey, number: int) -> None:
        """Put a private key into the token."""
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        file = self.secret(f"{label}.pem", pem)
        _softhsm("--import", file, "--token", LABEL, "--label", label, "--id", f"{number:02x}", "--pin", PIN)

    def put_certificate(self, label: str, certificate: x509.Certificate, number: int) -> None:
        """Put a certificate into the token, after the keys."""
        import pkcs11
        from pkcs11 import Attribute, CertificateType, ObjectClass

        with pkcs11.lib(str(MODULE)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.CERTIFICATE,
                    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                    Attribute.TOKEN: True,
                    Attribute.LABEL: label,
                    Attribute.ID: bytes([number]),
                    Attribute.SUBJECT: certificate.subject.public_bytes(),
                    Attribute.VALUE: certificate.public_bytes(Encoding.DER),
                }
            )


@contextmanager
def soft_token(folder: Path) -> Iterator[SoftToken]:
    """Make a token, and have this process forget the module afterwards."""
    import pkcs11

    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    made = SoftToken(folder)
    made.secret("pin", f"{PIN}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        _softhsm("--init-token", "--free", "--label", LABEL, "--so-pin", "12345678", "--pin", PIN)
        yield made
        pkcs11.unload(str(MODULE))


def _softhsm(*arguments: object) -> None:
    subprocess.run(["softhsm2-util", *map(str, arguments)], check=True, capture_output=True)
