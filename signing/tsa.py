"""The embedded timestamp authority: a key and a certificate of its own, issued by the embedded root.

In the directory of the authority:

    tsa.pem      key and certificate; one file, so renewing is atomic
    tsa.state    the serial number and the time of the newest token
    tsa.lock     held while a token is made

It says what the clock of this machine says. Whoever distrusts that clock wants an outside authority
(`signing.timestamps`) or witnesses beside it.
"""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.ports.clock import Clock
from signing import certificates, keyfiles
from signing.authority import AuthorityBroken, EmbeddedAuthority
from signing.tokens import imprint_of, make_token

POLICY: Final = "2.25.134050150347868436899705692638066816175"
"""The policy of all tokens: the time is that of the archive's own machine, one second is the smallest unit."""
RENEW_BEFORE: Final = timedelta(days=366)
"""A certificate signs no tokens in its last year, so that every token can be renewed in time."""

_FILE: Final = "tsa.pem"
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)
_STATE: Final = re.compile(r"([1-9][0-9]{0,38}) (\S{1,40})\n")


class TsaClockWentBack(LiuhenError):
    """The clock stands before the newest token of this authority; nothing is stamped until that is explained."""

    code = "timestamp.clock_went_back"
    exit_code = 75
    retryable = True


class TsaNotValid(LiuhenError):
    """The certificate of the timestamp authority does not hold at this time, and the root can issue none that does."""

    code = "timestamp.authority_not_valid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class EmbeddedTsa:
    """Stamps with the embedded authority's key. Usable from several threads and processes over one directory.

    Satisfies `archive.ports.timestamps.TimestampAuthority`.
    """

    authority: EmbeddedAuthority
    clock: Clock

    def prepare(self) -> x509.Certificate:
        """Make key and certificate if there are none, or new ones in the last year of the old; return the certificate.

        Tokens of the certificate before stay valid: it is inside each of them.
        Raises: AuthorityBroken, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
        """
        with self._alone():
            return self._current(self.clock.now())[1]

    def token(self, imprint: bytes) -> bytes:
        """Return a token over a SHA-256 or SHA-512.

        Serial numbers grow, also across restarts, and times never go back.
        Raises: BadImprint, TsaClockWentBack, TsaNotValid; as `prepare`.
        """
        imprint_of(imprint)  # before a serial number is used up
        with self._alone():
            now = self.clock.now()
            key, certificate = self._current(now)
            at = self._next_time(now)
            if not certificate.not_valid_before_utc <= at.replace(microsecond=0) <= certificate.not_valid_after_utc:
                raise TsaNotValid(now=format_instant(at))
            serial = self._take_serial(at)
        return make_token(
            imprint,
            policy=POLICY,
            serial=serial,
            at=at,
            certificate=certificate.public_bytes(Encoding.DER),
            sign=lambda message: key.sign(message, ec.ECDSA(hashes.SHA256())),
        )

    # --- key and certificate ----------------------------------------------------------------------------------

    def _alone(self) -> AbstractContextManager[None]:
        return keyfiles.exclusive(self.authority.directory / "tsa.lock")

    def _current(self, now: Instant) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Return key and certificate, made or renewed where that is due. The caller holds the lock."""
        try:
            found = self.authority.read_service_key(_FILE)
        except keyfiles.KeyMissing:
            return self._make(now)
        ends, root_ends = found[1].not_valid_after_utc, self.authority.root.not_valid_after_utc
        # A certificate of the root's last years cannot outlast the root: renewing it again would change nothing.
        return self._make(now) if now > ends - RENEW_BEFORE and ends < root_ends else found

    def _make(self, now: Instant) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        return self.authority.make_service_key(_FILE, certificates.TIMESTAMPING, valid_from=now)

    # --- serial numbers and times -----------------------------------------------------------------------------

    @property
    def _state_path(self) -> Path:
        return self.authority.directory / "tsa.state"

    def _state(self) -> tuple[int, Instant] | None:
        """Return serial number and time of the newest token. Raises: AuthorityBroken."""
        try:
            text = self._state_path.read_text("ascii", "replace")
        except FileNotFoundError:
            return None
        found = _STATE.fullmatch(text)
        try:
            if found is not None:
                return int(found[1]), parse_instant(found[2])
        except InvalidInput:
            pass
        raise AuthorityBroken("The state of the timestamp authority is damaged", file=str(self._state_path))

    def _next_time(self, now: Instant) -> Instant:
        state = self._state()
        if state is None:
            return now
        if state[1] - now > _CLOCK_TOLERANCE:
            raise TsaClockWentBack(last=format_instant(state[1]))
        return max(now, state[1])

    def _take_serial(self, at: Instant) -> int:
        """Return a serial number that was never given; it is noted down before it is used.

        It starts from the time, so that not even a lost file makes numbers come twice.
        """
        state = self._state()
        serial = max(int(at.timestamp() * 1_000_000), 0 if state is None else state[0] + 1)
        keyfiles.replace_durably(self._state_path, f"{serial} {format_instant(at)}\n".encode(), mode=keyfiles.PRIVATE)
        return serial
