"""Whom a request comes from, behind proxies that are trusted and behind those that are not."""

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from archive.web.proxies import BehindProxies

OURS = ("10.0.0.0/8", "2001:db8::/32")


def seen(client: tuple[str, int] | None, *headers: tuple[bytes, bytes]) -> tuple[str | None, str]:
    """Return address and scheme that the application sees."""
    found: dict[str, Any] = {}

    async def app(scope: dict[str, Any], *_: object) -> None:
        found.update(scope)

    scope = {"type": "http", "client": client, "scheme": "http", "headers": list(headers)}
    wrapped = BehindProxies(app, trusted=[ip_network(each) for each in OURS])
    asyncio.run(wrapped(scope, None, None))
    return found["client"] and found["client"][0], found["scheme"]


def told(*addresses: str, scheme: str = "https") -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", ", ".join(addresses).encode()), (b"x-forwarded-proto", scheme.encode())]


@pytest.mark.parametrize(
    ("client", "chain", "address"),
    [
        ("10.1.1.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.1.1.1", ["203.0.113.9", "192.0.2.7", "10.2.2.2"], "192.0.2.7"),  # what is before it anybody can write
        ("10.1.1.1", ["10.3.3.3", "10.2.2.2"], "10.3.3.3"),
        ("::ffff:10.1.1.1", ["192.0.2.7"], "192.0.2.7"),
        ("2001:db8::5", ["2001:db9::1"], "2001:db9::1"),
        ("10.1.1.1", ["unknown"], "10.1.1.1"),
        ("10.1.1.1", ["192.0.2.7", "nonsense"], "10.1.1.1"),
        ("10.1.1.1", [""], "10.1.1.1"),
    ],
)
def test_a_trusted_proxy_is_believed_as_far_as_the_first_that_is_not(
    client: str, chain: list[str], address: str
) -> None:
    assert seen((client, 1), *told(*chain)) == (address, "https")


def test_a_socket_of_the_file_system_is_the_proxy_of_this_host() -> None:
    assert seen(None, *told("192.0.2.7")) == ("192.0.2.7", "https")
    assert seen(None) == (None, "http")


@pytest.mark.parametrize("client", ["127.0.0.1", "192.0.2.1", "::1"])
def test_nobody_else_is_believed(client: str) -> None:
    assert seen((client, 1), *told("203.0.113.9")) == (client, "http")


@pytest.mark.parametrize("scheme", ["ftp", "https, http", ""])
def test_a_scheme_that_is_none_changes_nothing(scheme: str) -> None:
    assert seen(("10.1.1.1", 1), *told("192.0.2.7", scheme=scheme)) == ("192.0.2.7", "http")
