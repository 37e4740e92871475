"""PAdES B-LTA: validation data and a document timestamp, and their renewal before what they rest on ages.

Nothing is fetched: certificates, CRLs and OCSP answers are the caller's. Whether they suffice, the validation says.
Where one authority issues for signers and timestamps alike, OCSP answers serve better than its CRL: pyHanko slides back
to the newest list of an issuer, and one from after a certificate's end says nothing about the time before. It looks at
answers only for certificates that name a responder (authority information access).
Source: ETSI EN 319 142-1 sections 5.4 and 6, ETSI EN 319 102-1 section 5.6.3.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

from archive.kernel.errors import InvalidInput, LiuhenError
from archive.kernel.instants import Instant, format_instant
from signing.stamps import read_stamp

RENEW_BEFORE: Final = timedelta(days=366)
"""A document timestamp is renewed a year before it ends; our own authority stamps with at least that much left."""
HASHES_END: Final[Mapping[str, Instant]] = {}
"""Until when a hash is trusted, where that is known; none that is used here has an end yet (ETSI TS 119 312)."""
STAMP_ROOM_BYTES: Final = 8 * 1024


class NothingToExtend(InvalidInput):
    """The document holds no signature, so there is nothing to keep for the long term."""

    code = "signing.nothing_to_extend"


class RenewalTooLate(LiuhenError):
    """The newest timestamp of the document has ended: a renewal now would prove nothing."""

    code = "signing.renewal_too_late"


class ValidationDataUnreadable(InvalidInput):
    """A certificate, a CRL or an OCSP answer for the document cannot be read."""

    code = "signing.validation_data_unreadable"


@dataclass(frozen=True, slots=True)
class ValidationData:
    """What a signature will be judged by after years, in DER: certificates of signers and authorities, and proof."""

    certificates: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()
    ocsp_responses: Sequence[bytes] = field(default=())


class RenewalReason(StrEnum):
    """Why a document is to be extended or renewed."""

    NO_TIMESTAMP = "no_timestamp"
    CERTIFICATE_ENDS = "certificate_ends"
    HASH_AGES = "hash_ages"


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a document needs its next timestamp, and why. After `ends_at` it is too late; None: from the beginning."""

    reason: RenewalReason
    due_at: Instant | None
    ends_at: Instant | None
    is_due: bool


def extend(
    pdf: bytes,
    *,
    validation: ValidationData,
    token: Callable[[bytes], bytes],
    hash_name: Literal["sha256", "sha512"] = "sha256",
) -> bytes:
    """Return the signed PDF with this validation data and a document timestamp over it all: level B-LTA.

    The timestamp is checked before it goes in; what the authority raises goes through, and there is no document.
    Raises: NothingToExtend, ValidationDataUnreadable, TokenRefused, DocumentUnreadable, DocumentEncrypted,
    SignatureTooLarge.
    """
    from signing.pyhanko_longterm import add_timestamp, newest_of

    if not newest_of(pdf).has_signature:
        raise NothingToExtend
    return add_timestamp(pdf, validation, _checked(token), hash_name=hash_name, room_bytes=STAMP_ROOM_BYTES)


def renew(
    pdf: bytes,
    *,
    at: Instant,
    validation: ValidationData,
    token: Callable[[bytes], bytes],
    hash_name: Literal["sha256", "sha512"] = "sha256",
) -> bytes:
    """Return the PDF with a further timestamp, and the validation data of the one before, which must still hold.

    Raises: RenewalTooLate; as `extend`.
    """
    found = renewal_due(pdf, at)
    if found.ends_at is not None and at > found.ends_at:
        raise RenewalTooLate(ended=format_instant(found.ends_at))
    return extend(pdf, validation=validation, token=token, hash_name=hash_name)


def renewal_due(
    pdf: bytes, at: Instant, *, before: timedelta = RENEW_BEFORE, hashes_end: Mapping[str, Instant] = HASHES_END
) -> Renewal:
    """Return when and why this document needs its next timestamp, seen from `at`.

    It is due from the beginning while there is no document timestamp; then `before` the certificate of the newest one,
    or the hash that it is made over, ends. Raises: DocumentUnreadable, DocumentEncrypted.
    """
    from signing.pyhanko_longterm import newest_of

    newest = newest_of(pdf)
    if newest.ends is None or newest.hash_name is None:
        return Renewal(RenewalReason.NO_TIMESTAMP, None, newest.signature_ends, newest.has_signature)
    ends, reason = newest.ends, RenewalReason.CERTIFICATE_ENDS
    if (hash_ends := hashes_end.get(newest.hash_name, ends)) < ends:
        ends, reason = hash_ends, RenewalReason.HASH_AGES
    return Renewal(reason, ends - before, ends, is_due=at >= ends - before)


def _checked(token: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what gets a token and lets none through that is not over the digest. Raises: TokenRefused."""

    def get(digest: bytes) -> bytes:
        found = token(digest)
        read_stamp(found, digest)
        return found

    return get
