"""The archive's key of manifests as long-lived processes have it: they go over to a renewed one by themselves."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner
from signing.document_keys import HeldKey
from signing.pades import PadesSigner, Token
from signing.typefaces import Typeface

_LOOKS_BEFORE: Final = timedelta(days=2 * 366)
"""So long before its certificate ends a process looks whether there is another: renewals come at most so early."""
_LOOKS_EVERY: Final = timedelta(minutes=1)


class KeyInUse:
    """The newest key of manifests in an authority's directory. Usable from several threads at once."""

    def __init__(self, authority: EmbeddedAuthority, clock: Clock) -> None:
        """Take the key that the authority has now. Raises: as `EmbeddedAuthority.manifest_key`."""
        self._directory: Path = authority.directory
        self._passphrase, self.clock = authority.passphrase, clock
        self._held = authority.manifest_key(), authority.manifest_certificate
        self._looked: Instant | None = None
        self._guard = threading.Lock()

    def __call__(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Return key and certificate. Raises: AuthorityBroken, KeyMissing, KeyExposed, KeyUnreadable."""
        now = self.clock.now()
        if now < self._held[1].not_valid_after_utc - _LOOKS_BEFORE:
            return self._held
        with self._guard:
            has_ended = now > self._held[1].not_valid_after_utc
            if has_ended or self._looked is None or not timedelta(0) <= now - self._looked < _LOOKS_EVERY:
                self._looked = now
                found = EmbeddedAuthority.load(self._directory, passphrase=self._passphrase)
                if found.manifest_certificate != self._held[1]:
                    self._held = found.manifest_key(), found.manifest_certificate
            return self._held


class RenewedSigner:
    """Signs manifests with the key in use. Satisfies `archive.ports.keys.ManifestSigner`."""

    def __init__(self, key: KeyInUse) -> None:
        """Take the key. Raises: KeyMismatch; as `KeyInUse`."""
        self._key = key
        self._signer = _signer_of(key)

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that goes into each signature."""
        return self._current().certificate

    def sign_detached(self, content: bytes) -> bytes:
        """Return a detached CAdES B-B signature over `content`, as `CadesSigner` does; its errors are its own."""
        return self._current().sign_detached(content)

    def _current(self) -> CadesSigner:
        if self._key()[1] != self._signer.certificate:
            self._signer = _signer_of(self._key)
        return self._signer


@dataclass(frozen=True, slots=True)
class RenewedPadesSigner:
    """Signs what the archive itself makes with the key in use; see `signing.pades.PadesSigner`."""

    key: KeyInUse
    token: Token | None = None
    typeface: Typeface | None = None

    def sign_pdf(self, pdf: bytes, *, reason: str) -> bytes:
        """Return the PDF with the archive's signature, as `PadesSigner` does; its errors are its own."""
        return PadesSigner(*self.key(), self.key.clock, self.token, self.typeface).sign_pdf(pdf, reason=reason)


@dataclass(frozen=True, slots=True)
class RenewedKey:
    """The key in use as one that signs documents. Satisfies `archive.ports.keys.DocumentKey`."""

    key: KeyInUse
    root: x509.Certificate

    @property
    def certificate(self) -> bytes:
        """The certificate, in DER."""
        return self._held.certificate

    @property
    def chain(self) -> Sequence[bytes]:
        """The root, in DER."""
        return self._held.chain

    def sign(self, data: bytes, *, digest_algorithm: str) -> bytes:
        """Return the bare signature over `data`."""
        return self._held.sign(data, digest_algorithm=digest_algorithm)

    @property
    def _held(self) -> HeldKey:
        return HeldKey(*self.key(), [self.root])


def _signer_of(key: KeyInUse) -> CadesSigner:
    private, certificate = key()
    return CadesSigner(key=private, certificate=certificate, clock=key.clock)
