"""The port to a timestamp authority: it says that some bytes existed at a time. Source: RFC 3161."""

from typing import Protocol


class TimestampAuthority(Protocol):
    """Makes tokens that our verifiers and `openssl ts -verify` accept."""

    def token(self, imprint: bytes) -> bytes:
        """Return a token (DER of a ContentInfo) over a SHA-256 (32 bytes) or SHA-512 (64 bytes).

        The certificate that signs is in the token. Raises: what the authority has to say; retryable where it may help.
        """
        ...
