"""Mail by the standard library's SMTP client: always encrypted, the server's certificate checked, one time limit.

Satisfies `archive.ports.mailer.Mailer`. Source: RFC 5321, RFC 3207 (STARTTLS), RFC 8314 (TLS from the start), RFC 3834
(automatic mail says so).
"""

import smtplib
import socket
import ssl
import unicodedata
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final, Literal

from archive.adapters.deadline import Deadline
from archive.ports.clock import Clock
from archive.ports.mailer import (
    Mail,
    MailAddressInvalid,
    MailNotAdmitted,
    MailRefused,
    MailServerUntrusted,
    Unmailed,
)

_PERMANENT: Final = 500


@dataclass(frozen=True, slots=True, repr=False)
class SmtpServer:
    """The mail server, and as whom mail is sent there. Units: seconds, for a whole mail."""

    host: str
    port: int
    security: Literal["starttls", "tls"]
    sender: str
    sender_name: str = ""
    username: str = ""
    password: str = ""
    ca: Path | None = None
    timeout_s: float = 20.0


class SmtpMailer:
    """Hands mails to one server."""

    def __init__(self, server: SmtpServer, clock: Clock) -> None:
        """Take the server; nothing is connected yet."""
        self._server = server
        self._clock = clock

    def send(self, mail: Mail) -> None:
        """Hand over one mail. Raises: MailAddressInvalid, MailRefused, Unmailed and what stands below it."""
        message = self._message(mail)
        server = self._server
        try:
            with (
                socket.create_connection((server.host, server.port), server.timeout_s) as plain,
                Deadline(plain, server.timeout_s) as ends,
            ):
                try:
                    self._exchange(plain, message)
                except (OSError, smtplib.SMTPServerDisconnected) as exc:
                    if ends.is_over:
                        raise Unmailed("The mail server did not answer in time") from exc
                    raise
        except ssl.SSLCertVerificationError as exc:
            raise MailServerUntrusted(reason=exc.verify_message) from exc
        except smtplib.SMTPNotSupportedError as exc:
            raise MailServerUntrusted("The mail server offers no encryption, or no way to sign in") from exc
        except smtplib.SMTPAuthenticationError as exc:
            raise MailNotAdmitted(status=exc.smtp_code) from exc
        except smtplib.SMTPRecipientsRefused as exc:
            status = next(iter(exc.recipients.values()))[0]
            raise _refusal(status) from exc
        except smtplib.SMTPResponseException as exc:
            raise _refusal(exc.smtp_code) from exc
        except (OSError, smtplib.SMTPException, UnicodeError) as exc:
            raise Unmailed(cause=type(exc).__name__) from exc

    def _exchange(self, plain: socket.socket, message: EmailMessage) -> None:
        server, context = self._server, self._context()
        is_tls = server.security == "tls"
        sock = context.wrap_socket(plain, server_hostname=server.host) if is_tls else plain
        client = _Client(sock, server.host, server.port, server.timeout_s)
        try:
            if not is_tls:
                client.starttls(context=context)
            if server.username:
                client.login(server.username, server.password)
            client.send_message(message)
            # The server has taken the mail; how it says goodbye changes nothing.
        finally:
            client.close()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._server.ca is not None:
            context.load_verify_locations(self._server.ca)
        return context

    def _message(self, mail: Mail) -> EmailMessage:
        """Return the mail as it travels. Control characters in names never reach a header."""
        message = EmailMessage(policy=SMTP)
        try:
            message["From"] = Address(display_name=_plain(self._server.sender_name), addr_spec=self._server.sender)
            message["To"] = Address(addr_spec=mail.to_address)
            message["Subject"] = _plain(mail.subject)
            message["Date"] = format_datetime(self._clock.now())
            message["Message-ID"] = f"<{_plain(mail.message_id)}>"
        except (ValueError, IndexError, MessageError) as exc:  # what the library raises for an address that is none
            raise MailAddressInvalid from exc
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text, charset="utf-8", cte="base64")
        return message


class _Client(smtplib.SMTP):
    """A client over a socket that is connected already."""

    def __init__(self, sock: socket.socket, host: str, port: int, timeout_s: float) -> None:
        self._given = sock
        super().__init__(host, port, timeout=timeout_s)

    def _get_socket(self, host: Any, port: Any, timeout: Any) -> socket.socket:
        del host, port, timeout
        return self._given


def _refusal(status: int) -> MailRefused | Unmailed:
    return MailRefused(status=status) if status >= _PERMANENT else Unmailed(status=status)


def _plain(text: str) -> str:
    """Return a text for a header: no control characters, no line or paragraph separators, no lone surrogates."""
    blank = {"Cc", "Cs", "Cf", "Zl", "Zp"}
    return "".join(" " if unicodedata.category(char) in blank else char for char in text).strip()
