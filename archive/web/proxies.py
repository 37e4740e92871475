"""Who a request comes from, behind proxies: what they say of it is believed where they are trusted, and nobody else.

A connection on a socket of the file system (`web_sockets`) comes from the proxy of this host: nobody else may open it.
Plain ASGI.
"""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

_SCHEMES: Final = {b"http": "http", b"https": "https"}
_TOLD: Final = {b"x-forwarded-for", b"x-forwarded-proto"}

Network = IPv4Network | IPv6Network
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


class BehindProxies:
    """Puts the client's address and scheme into the scope, as the nearest trusted proxies tell them."""

    def __init__(self, app: AsgiApp, *, trusted: Sequence[Network]) -> None:
        """Wrap `app`."""
        self._app, self._trusted = app, tuple(trusted)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self._is_trusted(scope.get("client")):
            told: dict[bytes, list[bytes]] = {name: [] for name in _TOLD}
            for name, value in scope["headers"]:
                if name in told:
                    told[name].append(value)
            scheme = _SCHEMES.get(b"".join(told[b"x-forwarded-proto"]).strip().lower())
            client = self._client(b",".join(told[b"x-forwarded-for"]).decode("latin-1"))
            scope = {**scope, "scheme": scheme or scope["scheme"], "client": client or scope.get("client")}
        await self._app(scope, receive, send)

    def _client(self, told: str) -> tuple[str, int] | None:
        """Return the last address of the chain that is no trusted proxy; what stands before it anybody can write."""
        client = None
        for word in reversed(told.split(",")):
            address = _address(word.strip())
            if address is None:
                break
            client = (str(address), 0)
            if not self._has(address):
                break
        return client

    def _is_trusted(self, client: tuple[str, int] | None) -> bool:
        if client is None:
            return True
        address = _address(client[0])
        return address is not None and self._has(address)

    def _has(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
