"""The port to a store of small secrets that can be erased where they lie: the wrapped keys of the journal's details.

It lies outside of the database, so that no backup of the database and no transaction log of it holds what was erased.
"""

from typing import Protocol

from archive.ports.blobs import BlobStore


class ErasableStore(BlobStore, Protocol):
    """A put-once store whose bytes can be blanked, and changed in no other way."""

    def blank(self, key: str, *, offset: int, length: int) -> None:
        """Put zeros in the place of `length` bytes from `offset`, durable on return. Idempotent.

        What was there cannot be read through this store again; what the device keeps of it is said in
        docs/formats/journal.md. A process that is killed meanwhile leaves any part of it blanked.
        Raises: BlobMissing; InvalidInput for a range that is not within the blob; StoreUnavailable.
        """
        ...
