"""Requests to the outside by the standard library's client: no proxy, no redirect, no private network unless allowed.

Satisfies `archive.ports.outbound.Outbound`. The standard library is used because it takes a socket that is connected
already: the address that was checked is the address that is spoken to, whatever the name says a moment later.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from archive.adapters.deadline import Deadline
from archive.ports.outbound import AddressRefused, NotEncrypted, Reply, TooSlow, Undelivered, Untrusted, UrlRefused

_MOST_URL_CHARACTERS: Final = 1000
_MOST_REPLY_BYTES: Final = 16 * 1024
_MOST_DOCUMENT_BYTES: Final = 256 * 1024
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request goes."""

    is_tls: bool
    host: str
    port: int
    target: str


class HttpOutbound:
    """Sends over HTTPS to public addresses, and to networks that were allowed."""

    def __init__(
        self, *, networks: Sequence[Network], ca: Path | None, connect_timeout_s: float = 5.0, timeout_s: float = 20.0
    ) -> None:
        """Allow these networks beside the public ones; trust the certificates in `ca` beside the system's.

        Units: `timeout_s` is for the whole request, from the connection to the end of the reply.
        """
        self._networks = networks
        self._ca = ca
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s

    def check(self, url: str) -> None:
        """Refuse an address that nothing would ever be sent to. Raises: UrlRefused."""
        place = _place(url)
        if not place.is_tls and not self._networks:
            raise UrlRefused("Only https is allowed; plain http needs the setting webhook_networks")

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Reply:
        """Post one body. Raises: UrlRefused, Undelivered and what stands below it."""
        return self._request("POST", url, headers, body, most_bytes=_MOST_REPLY_BYTES)

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """Get what is at an address. Raises: as `post`."""
        return self._request("GET", url, headers, None, most_bytes=_MOST_DOCUMENT_BYTES)

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, *, most_bytes: int
    ) -> Reply:
        place = _place(url)
        addresses = self._addresses(place)
        try:
            with (
                _connected(addresses, place.port, self._connect_timeout_s) as sock,
                Deadline(sock, self._timeout_s) as ends,
            ):
                try:
                    return self._exchange(sock, place, method, headers, body, most_bytes)
                except (OSError, http.client.HTTPException) as exc:
                    if ends.is_over:
                        raise TooSlow from exc
                    raise
        except ssl.SSLCertVerificationError as exc:
            raise Untrusted(reason=exc.verify_message) from exc
        except TimeoutError as exc:
            raise TooSlow from exc
        except (OSError, http.client.HTTPException) as exc:
            raise Undelivered(cause=type(exc).__name__) from exc

    def _exchange(
        self,
        sock: socket.socket,
        place: _Place,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        most_bytes: int,
    ) -> Reply:
        kind = http.client.HTTPSConnection if place.is_tls else http.client.HTTPConnection
        with contextlib.closing(kind(place.host, place.port)) as connection:
            connection.sock = self._context().wrap_socket(sock, server_hostname=place.host) if place.is_tls else sock
            connection.putrequest(method, place.target, skip_accept_encoding=True)
            length = {} if body is None else {"Content-Length": str(len(body))}
            for name, value in {**headers, **length, "Connection": "close"}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            with connection.getresponse() as response:
                told = response.read(most_bytes)
                return Reply(response.status, _seconds(response.getheader("retry-after")), told)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca is not None:
            context.load_verify_locations(self._ca)
        return context

    def _addresses(self, place: _Place) -> Sequence[Address]:
        """Return the addresses that a name leads to and that may be spoken to. Raises: Undelivered."""
        try:
            found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise Undelivered("The name cannot be resolved", cause=type(exc).__name__) from exc
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        allowed = [address for address in addresses if self._is_allowed(address) or is_public(address)]
        if not allowed:
            raise AddressRefused
        if place.is_tls:
            return allowed
        plain = [address for address in allowed if self._is_allowed(address)]
        if not plain:
            raise NotEncrypted
        return plain

    def _is_allowed(self, address: Address) -> bool:
        meant = _meant(address)
        return any(meant in network for network in self._networks)


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet, also where it hides another one in itself."""
    meant = _meant(address)
    return meant.is_global and not (meant.is_multicast or meant.is_reserved or meant.is_unspecified)


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, else the address itself.

    Source: RFC 4291 section 2.5.5.2 (mapped), RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


def _place(url: str) -> _Place:
    if len(url) > _MOST_URL_CHARACTERS or any(unicodedata.category(char)[0] in {"C", "Z"} for char in url):
        raise UrlRefused
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        host = (
            (parts.hostname or "").encode("idna").decode("ascii")
            if ":" not in (parts.hostname or "")
            else parts.hostname
        )
    except (ValueError, KeyError) as exc:
        raise UrlRefused from exc
    if not host or "@" in parts.netloc or parts.fragment or "\\" in url:
        raise UrlRefused
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return _Place(parts.scheme == "https", host, port, quote(parts.path or "/", safe=_KEPT) + query)


_KEPT: Final = "%/:?#[]@!$&'()*+,;=-._~"
"""Characters of an address that stay as they are. Source: RFC 3986 section 2."""


def _seconds(text: str | None) -> int | None:
    """Return a delay in seconds; a date is not read. Source: RFC 9110 section 10.2.3."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 8 else None


@contextlib.contextmanager
def _connected(addresses: Sequence[Address], port: int, timeout_s: float) -> Iterator[socket.socket]:
    """Connect to the first of the addresses that answers. Raises: OSError."""
    failure: OSError | None = None
    for address in addresses[:3]:
        try:
            sock = socket.create_connection((str(address), port), timeout_s)
        except OSError as exc:
            failure = exc
        else:
            with sock:
                yield sock
            return
    raise failure or OSError("no address")
