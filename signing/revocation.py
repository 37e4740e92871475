"""The certificate revocation list of the embedded root: `root.crl` in its directory, DER.

Nothing is ever taken from a list: what it holds goes over into the next one. Source: RFC 5280 section 5.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from archive.ports.revocations import Revocation, RevocationRegister
from signing import certificates, keyfiles
from signing.authority import AuthorityBroken, EmbeddedAuthority

CRL_VALID: Final = timedelta(days=30)
RENEW_BEFORE: Final = timedelta(days=20)


def crl(authority: EmbeddedAuthority, clock: Clock, *, register: RevocationRegister | None = None) -> bytes:
    """Return the list of the root that holds now, with all revocations of the register.

    A new one is made where the old one ends within 20 days or lacks a revocation. The number of each list is greater
    than that of the one before. Usable from several processes.
    Raises: AuthorityBroken, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
    """
    path = authority.directory / "root.crl"
    with keyfiles.exclusive(authority.directory / "crl.lock"):
        now, before = clock.now(), _read(path, authority)
        revoked = [] if register is None else list(register.revocations())
        is_current = before is not None and before.last_update_utc <= now <= _ends(before) - RENEW_BEFORE
        if before is not None and is_current and _holds(before, revoked):
            return before.public_bytes(Encoding.DER)
        made = authority.issue_crl(valid_from=now, valid=CRL_VALID, before=before, revoked=revoked)
        der = made.public_bytes(Encoding.DER)
        keyfiles.replace_durably(path, der, mode=keyfiles.PUBLIC)
        return der


def _holds(before: x509.CertificateRevocationList, revoked: Sequence[Revocation]) -> bool:
    return all(before.get_revoked_certificate_by_serial_number(each.serial) is not None for each in revoked)


def _read(path: Path, authority: EmbeddedAuthority) -> x509.CertificateRevocationList | None:
    try:
        found = x509.load_der_x509_crl(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise AuthorityBroken("The revocation list cannot be read", file=str(path)) from exc
    if found.issuer != authority.root.subject or not certificates.has_signed_crl(authority.root, found):
        raise AuthorityBroken("The revocation list is not the root's", file=str(path))
    return found


def _ends(found: x509.CertificateRevocationList) -> Instant:
    ends = found.next_update_utc
    return found.last_update_utc if ends is None else ends
