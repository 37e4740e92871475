"""The TLS certificate in real handshakes, server and client in one process over the loopback."""

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.clock import SystemClock
from signing.authority import EmbeddedAuthority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedAuthority:
    """An authority for today: a handshake cannot be told another date."""
    return EmbeddedAuthority.create(
        tmp_path_factory.mktemp("tls") / "ca",
        organisation="昆明市某局",
        valid_from=SystemClock().now() - timedelta(minutes=1),
        host_names=["archive.example.org", "档案.example.org"],
    )


def handshake(tls_path: Path, client: ssl.SSLContext, server_name: str) -> bytes:
    """Return what the server said, after a handshake on a port that the system chose."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tls_path)

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            try:
                with server.wrap_socket(connection, server_side=True) as secured:
                    secured.sendall(b"archive")
            except (ssl.SSLError, ConnectionError):
                return  # the client says why

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=20) as connection,
                client.wrap_socket(connection, server_hostname=server_name) as secured,
            ):
                said = b""
                while block := secured.recv(64):
                    said += block
                return said
        finally:
            thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "archive.example.org", "xn--dyv4b.example.org"])
def test_handshake(authority: EmbeddedAuthority, name: str) -> None:
    client = ssl.create_default_context(cafile=authority.root_path)
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    assert handshake(authority.tls_path, client, name) == b"archive"


def test_another_name_is_refused(authority: EmbeddedAuthority) -> None:
    client = ssl.create_default_context(cafile=authority.root_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(authority.tls_path, client, "other.example.org")


def test_whoever_does_not_know_the_root_refuses(authority: EmbeddedAuthority, tmp_path: Path) -> None:
    other = EmbeddedAuthority.create(tmp_path / "ca", organisation="昆明市某局", valid_from=SystemClock().now())
    for client in (ssl.create_default_context(), ssl.create_default_context(cafile=other.root_path)):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(authority.tls_path, client, "localhost")


def test_the_manifest_certificate_serves_no_web(authority: EmbeddedAuthority, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(
        (authority.directory / "manifest.cert.pem").read_bytes()
        + (authority.directory / "manifest.key.pem").read_bytes()
    )
    client = ssl.create_default_context(cafile=authority.root_path)
    client.check_hostname = False
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        handshake(both, client, "localhost")


def test_an_ended_certificate_is_refused_until_it_is_renewed(tmp_path: Path) -> None:
    now = SystemClock().now()
    authority = EmbeddedAuthority.create(tmp_path / "ca", organisation="Bureau", valid_from=now - timedelta(days=500))
    client = ssl.create_default_context(cafile=authority.root_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(authority.tls_path, client, "localhost")
    assert authority.renew_tls_if_due(now)
    assert handshake(authority.tls_path, client, "localhost") == b"archive"
