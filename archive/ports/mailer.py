"""The port to whatever carries mail: one short plain text to one person. Nothing confidential is ever in it."""

from dataclasses import dataclass
from typing import Protocol

from archive.kernel.errors import InvalidInput, LiuhenError


class MailAddressInvalid(InvalidInput):
    """This is not a mail address."""

    code = "mail.address_invalid"


class Unmailed(LiuhenError):
    """The mail server does not answer, or not now."""

    code = "mail.unreachable"
    exit_code = 75
    retryable = True


class MailServerUntrusted(Unmailed):
    """The mail server's certificate is not one that this archive trusts, or it offers no encryption."""

    code = "mail.untrusted"


class MailNotAdmitted(Unmailed):
    """The mail server does not accept the user name and password of the settings."""

    code = "mail.not_admitted"


class MailRefused(LiuhenError):
    """The mail server refuses this mail for good."""

    code = "mail.refused"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person. `message_id` is the same at every attempt, so that a second copy is known as one."""

    to_address: str
    subject: str
    text: str
    message_id: str


class Mailer(Protocol):
    """Hands mails to a mail server."""

    def send(self, mail: Mail) -> None:
        """Hand over one mail, within seconds; on return the server has taken it.

        Raises: MailAddressInvalid, MailRefused, Unmailed and what stands below it.
        """
        ...
