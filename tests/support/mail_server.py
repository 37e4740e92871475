"""A mail server as a bureau would run one: real SMTP with STARTTLS or TLS, that can be told to refuse or to drop."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass
class MailServer:
    """What came in, and how mails are answered: `recipient` to RCPT, `data` at the end of one."""

    host: str
    port: int
    ca: Path
    got: list[bytes] = field(default_factory=list)
    sent_to: list[str] = field(default_factory=list)
    recipient: str = "250 OK"
    data: str = "250 OK"
    password: tuple[bytes, bytes] | None = None

    def mails(self) -> list[EmailMessage]:
        """Return every mail that came, read as a reader's program reads it."""
        return [message_from_bytes(raw, policy=default) for raw in self.got]  # type: ignore[arg-type]


class _Handler:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_RCPT(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, _o: Any) -> str:  # noqa: N802
        if self._server.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self._server.recipient

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._server.data.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self._server.got.append(envelope.content)
            self._server.sent_to += envelope.rcpt_tos
        return self._server.data


@contextlib.contextmanager
def mail_server(
    folder: Path, *, is_tls: bool = False, is_encrypted: bool = True, password: tuple[bytes, bytes] | None = None
) -> Iterator[MailServer]:
    """Run a mail server on a free port of this machine, in a loop of its own."""
    ca, context = certificate(folder)
    server = MailServer("127.0.0.1", 0, ca, password=password)

    def admitted(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        return AuthResult(success=(given.login, given.password) == server.password, handled=False)

    loop = asyncio.new_event_loop()

    def protocol() -> SMTP:
        return SMTP(
            _Handler(server),
            loop=loop,
            tls_context=context if is_encrypted and not is_tls else None,
            require_starttls=is_encrypted and not is_tls,
            authenticator=admitted,
            auth_require_tls=not is_tls,
        )

    listening = loop.run_until_complete(
        loop.create_server(protocol, server.host, 0, ssl=context if is_encrypted and is_tls else None)
    )
    server.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextlib.contextmanager
def silent_server(*, drip: bytes = b"") -> Iterator[int]:
    """Accept connections and say nothing, or a byte at a time for ever; give the port."""
    ending = threading.Event()
    door = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def run() -> None:
        while not ending.is_set():
            try:
                connection, _ = door.accept()
            except OSError:
                return
            open_ones.append(connection)
            with contextlib.suppress(OSError):
                while drip and not ending.wait(0.05):
                    connection.sendall(drip)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        ending.set()
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join()
        for connection in open_ones:
            connection.close()


def certificate(folder: Path, name: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """Make a certificate of this machine that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    ca, both = folder / "mail-ca.pem", folder / "mail.pem"
    ca.write_bytes(made.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(ca.read_bytes() + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return ca, context
