"""The port to what puts good bytes in the place of damaged ones: for the repair of an object, and for nothing else.

A store that writes each blob once replaces none. Here a blob is replaced by the bytes that it has to hold, which are
hashed on the way: other bytes change nothing. What was there is kept.
"""

from collections.abc import Callable
from typing import BinaryIO, Protocol

from archive.ports.blobs import StoreBroken


class WrongBytes(StoreBroken):
    """What was to be put in place of damaged bytes does not have the digest that is asked for; nothing was changed."""

    code = "mending.wrong_bytes"


class Mender(Protocol):
    """Mends the blobs of one store. Every method that writes returns only after what it did is durable."""

    def keep_aside(self, key: str, name: str) -> str | None:
        """Make sure that what lies under a key stays when the key is mended; return where, None where nothing lies.

        `name` is the key that it gets beside the store; a store with versions keeps it where it lies and names its
        version. What lies there under that name already is left as it is. Idempotent.
        Raises: StorageFull, StoreUnavailable.
        """
        ...

    def set_aside(self, key: str, name: str) -> str | None:
        """Move what lies under a key that nothing should lie under to `name` beside the store; return where it is then.

        None where nothing lies, and where the store cannot give anything up. Idempotent.
        Raises: StorageFull, StoreUnavailable.
        """
        ...

    def mend(self, key: str, good: Callable[[], BinaryIO], *, size_bytes: int, sha512: str) -> str | None:
        """Put the bytes of `good` under a key, whatever lies there; locked as long as what lay there.

        A reader finds the one or the other, whole. Where a store has versions and shows its readers the oldest, the
        version with the good bytes is returned, and readers have to be told of it; otherwise None. Bytes that an
        earlier try put there are found and not put again.
        Raises: WrongBytes, StorageFull, StoreUnavailable; what reading `good` raises.
        """
        ...
