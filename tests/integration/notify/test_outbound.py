"""Requests to the outside: to checked addresses only, within seconds, whatever the other side does."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.adapters.http_outbound import HttpOutbound, is_public
from archive.ports.outbound import AddressRefused, NotEncrypted, TooSlow, Undelivered, Untrusted, UrlRefused
from signing.authority import EmbeddedAuthority
from tests.support.receiver import Receiver, receiving

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def outbound(
    *, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = LOOPBACK, **given: object
) -> HttpOutbound:
    return HttpOutbound(networks=networks, ca=None, **given)  # type: ignore[arg-type]


def post(url: str, made: HttpOutbound | None = None) -> int:
    return (made or outbound()).post(url, headers={"Content-Type": "text/plain"}, body="证据".encode()).status


def test_a_body_arrives_as_it_is(receiver: Receiver) -> None:
    assert post(receiver.url + "?a=1%2F2&b=%E6%A1%88") == 204
    (got,) = receiver.got
    assert got.body == "证据".encode()
    assert got.path == "/hook?a=1%2F2&b=%E6%A1%88"
    assert got.headers["host"] == receiver.url.split("/")[2]
    assert got.headers["connection"] == "close"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
        "https://localhost/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://0.0.0.0/", "https://[::]/",
        "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/", "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1]/", "https://[fc00::1]/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/",
        "https://224.0.0.1/", "https://255.255.255.255/", "https://100.64.0.1/", "https://[2001:db8::1]/",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_unless_they_are_allowed(url: str) -> None:
    with pytest.raises((AddressRefused, UrlRefused)) as refused:
        post(url, outbound(networks=()))
    assert refused.value.code in {"webhooks.address_refused", "webhooks.url_refused"}


def test_plain_http_goes_to_allowed_networks_only() -> None:
    allowed = (ipaddress.ip_network("10.0.0.0/8"),)
    with pytest.raises(AddressRefused):
        post("http://127.0.0.1:1/", outbound(networks=allowed))
    with pytest.raises(NotEncrypted):
        post("http://8.8.8.8:1/", outbound(networks=allowed))
    with pytest.raises(UrlRefused):
        outbound(networks=()).check("http://example.org/")
    outbound(networks=()).check("https://example.org:8443/hook?token=1")
    outbound(networks=allowed).check("http://cms.local/hook")


@given(st.ip_addresses())
def test_what_is_public_is_not_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(address):
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_multicast
        assert not address.is_unspecified


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_the_address(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for hidden in (
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ):
        assert is_public(hidden) == is_public(address)


@given(st.text(max_size=40).map(lambda text: "https://example.org/" + text))
def test_every_address_is_refused_or_understood(url: str) -> None:
    try:
        outbound().check(url)
    except UrlRefused:
        return


def test_the_address_that_was_checked_is_the_one_that_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: object, **named: object) -> object:
        if host == "rebound.test":
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return real(host, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = receiver.url.split(":")[2]
    assert post(f"http://rebound.test:{port}") == 204
    assert asked == ["rebound.test"]
    assert receiver.got[0].headers["host"].startswith("rebound.test:")


def test_a_name_that_leads_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> object:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Undelivered) as failed:
        post("https://nowhere.test/")
    assert failed.value.code == "webhooks.unreachable"


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(Undelivered):
        post(f"http://127.0.0.1:{port}/")


def test_an_answer_byte_by_byte_does_not_hold_anybody_up(receiver: Receiver) -> None:
    receiver.dawdle_s = 0.2
    receiver.answer = lambda _: (200, {"X": "y" * 10_000})
    began = time.monotonic()
    with pytest.raises(TooSlow):
        post(receiver.url, outbound(timeout_s=0.7))
    assert time.monotonic() - began < 10  # ten thousand bytes would take half an hour


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield f"http://127.0.0.1:{door.getsockname()[1]}/"


def test_silence_ends(silent: str) -> None:
    with pytest.raises(TooSlow):
        post(silent, outbound(timeout_s=0.5))


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    ],
)  # fmt: skip
def test_a_broken_answer_is_no_delivery(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            connection, _ = door.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            status = post(f"http://127.0.0.1:{door.getsockname()[1]}/", outbound(timeout_s=5))
        except Undelivered:
            status = None
        thread.join()
    assert status is None or b"Content-Length: 99999" in answer


def test_an_answer_without_end_is_read_to_its_limit() -> None:
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            nonlocal sent
            connection, _ = door.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                try:
                    while sent < 1 << 28:
                        sent += connection.send(b"x" * 65536)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        assert post(f"http://127.0.0.1:{door.getsockname()[1]}/") == 200
        thread.join()
    assert sent < 1 << 26


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority with a server certificate for this machine, as a bureau's own."""
    from archive.kernel.clock import SystemClock

    folder = tmp_path_factory.mktemp("ca") / "ca"
    EmbeddedAuthority.create(folder, organisation="局", valid_from=SystemClock().now(), host_names=["127.0.0.1"])
    return folder


def test_over_tls_the_certificate_must_be_trusted_and_of_that_name(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: real("127.0.0.1" if host == "other.test" else host, *rest, **named),
    )
    with receiving(tls=(authority / "tls.pem", authority / "tls.pem")) as receiver:
        trusting = HttpOutbound(networks=LOOPBACK, ca=authority / "root.cert.pem")
        assert post(receiver.url, trusting) == 204
        with pytest.raises(Untrusted):
            post(receiver.url)
        with pytest.raises(Untrusted):
            post(receiver.url.replace("127.0.0.1", "other.test"), trusting)
    assert len(receiver.got) == 1
