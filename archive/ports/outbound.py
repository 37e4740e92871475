"""The port to whoever is told of events: one request to an address that an administrator has set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from archive.kernel.errors import InvalidInput, LiuhenError


class UrlRefused(InvalidInput):
    """Nothing is sent to such an address: https only, without user name and fragment."""

    code = "webhooks.url_refused"


class Undelivered(LiuhenError):
    """Nobody answered who could be believed."""

    code = "webhooks.unreachable"
    exit_code = 75
    retryable = True


class AddressRefused(Undelivered):
    """The name leads to an address that nothing is sent to; allow its network with the setting webhook_networks."""

    code = "webhooks.address_refused"


class NotEncrypted(Undelivered):
    """Plain http is spoken to networks of the setting webhook_networks only."""

    code = "webhooks.not_encrypted"


class Untrusted(Undelivered):
    """The certificate of the other side is not one that this archive trusts."""

    code = "webhooks.untrusted"


class TooSlow(Undelivered):
    """The other side did not answer in time."""

    code = "webhooks.too_slow"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other side answered. Units: seconds. `body` is the beginning of it, at most 16 KiB of a post."""

    status: int
    retry_after_s: int | None = None
    body: bytes = b""


class Outbound(Protocol):
    """Sends requests to the outside. Nothing else in the archive does."""

    def check(self, url: str) -> None:
        """Refuse an address that nothing would ever be sent to; nothing is resolved. Raises: UrlRefused."""
        ...

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        """Post one body, within seconds; no redirect is followed.

        The name is resolved once, and the address that it leads to is checked and used.
        Raises: UrlRefused, Undelivered and what stands below it.
        """
        ...

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """Get what is at an address, as `post` does; of the reply up to 256 KiB are read. Raises: as `post`."""
        ...
