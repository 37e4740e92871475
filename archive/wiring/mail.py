"""Mail as the settings want it: nothing is sent unless a server is named."""

from archive.adapters.smtp import SmtpMailer, SmtpServer
from archive.db.database import Database
from archive.notify.mailing import MailJobs
from archive.ports.clock import Clock
from archive.settings import Settings, SettingsInvalid
from signing.keyfiles import read_secret


def mail_jobs(settings: Settings, database: Database, clock: Clock) -> MailJobs:
    """Return what sends mail. Raises: SettingsInvalid; KeyMissing, KeyExposed for the file of the password."""
    if settings.smtp_host is None:
        return MailJobs(database, clock, None, "", "")
    if settings.smtp_sender is None or settings.smtp_link is None:
        raise SettingsInvalid("The setting smtp_host needs smtp_sender and smtp_link")
    domain = settings.smtp_sender.rpartition("@")[2]
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        sender=settings.smtp_sender,
        sender_name=settings.organisation,
        username=settings.smtp_username,
        password=_password(settings),
        ca=settings.smtp_ca,
        timeout_s=settings.smtp_timeout_s,
    )
    return MailJobs(database, clock, SmtpMailer(server, clock), settings.smtp_link, domain)


def _password(settings: Settings) -> str:
    if settings.smtp_password_file is None:
        return ""
    try:
        return read_secret(settings.smtp_password_file).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as exc:
        raise SettingsInvalid("The file of the setting smtp_password_file is no text") from exc
