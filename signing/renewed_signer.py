"""The archive's signer of manifests as long-lived processes have it: it goes over to a renewed key by itself."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner

_LOOKS_BEFORE: Final = timedelta(days=2 * 366)
"""So long before its certificate ends a signer looks whether there is another: renewals come at most so early."""
_LOOKS_EVERY: Final = timedelta(minutes=1)


class RenewedSigner:
    """Signs with the newest key of an authority's directory. Satisfies `archive.ports.keys.ManifestSigner`.

    Usable from several threads at once.
    """

    def __init__(self, authority: EmbeddedAuthority, clock: Clock) -> None:
        """Take the key that the authority has now. Raises: KeyMismatch; as `EmbeddedAuthority.manifest_key`."""
        self._directory: Path = authority.directory
        self._passphrase, self._clock = authority.passphrase, clock
        self._signer = _signer_of(authority, clock)
        self._looked: Instant | None = None
        self._guard = threading.Lock()

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that goes into each signature."""
        return self._current().certificate

    def sign_detached(self, content: bytes) -> bytes:
        """Return a detached CAdES B-B signature over `content`, as `CadesSigner` does; its errors are its own."""
        return self._current().sign_detached(content)

    def _current(self) -> CadesSigner:
        now = self._clock.now()
        if now < self._signer.certificate.not_valid_after_utc - _LOOKS_BEFORE:
            return self._signer
        with self._guard:
            if self._looked is None or not timedelta(0) <= now - self._looked < _LOOKS_EVERY:
                self._looked = now
                found = EmbeddedAuthority.load(self._directory, passphrase=self._passphrase)
                if found.manifest_certificate != self._signer.certificate:
                    self._signer = _signer_of(found, self._clock)
            return self._signer


def _signer_of(authority: EmbeddedAuthority, clock: Clock) -> CadesSigner:
    return CadesSigner(key=authority.manifest_key(), certificate=authority.manifest_certificate, clock=clock)
