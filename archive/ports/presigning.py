"""The port to a store that can let somebody read one blob by an address that is good for a short while."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Presigner(Protocol):
    """Hands out addresses. Whoever has one reads that one blob and nothing else, until the lease ends."""

    @property
    def origin(self) -> str:
        """Where the addresses lead, as browsers write it: scheme, host, and port where it is not the usual one."""
        ...

    def presigned(self, key: str, *, lease_s: int, media_type: str, disposition: str) -> str:
        """Return the address of the bytes that the key stands for now, also if something newer is put over them.

        What is answered there has this media type and disposition. Raises: BlobMissing.
        """
        ...

    def lets_read(self, origin: str) -> bool:
        """Return whether pages of an origin may read ranges there (CORS), as the store itself answers.

        Raises: StoreUnavailable.
        """
        ...
