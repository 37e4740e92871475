"""Putting together what goes through a message broker. Celery is loaded only where a broker is set."""

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from archive.adapters.local_bell import LocalBell
from archive.jobs.queue import IDLE, QUEUES
from archive.ports.bell import Bell, NearBell
from archive.settings import Settings, SettingsInvalid
from signing.keyfiles import read_secret

if TYPE_CHECKING:
    from celery import Celery

    from archive.adapters.celery_bell import Broker

WORKED_ON = tuple(queue for queue in QUEUES if queue != IDLE)
"""The queues that workers work on: those of long jobs take idle ones too."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Both ends of a broker: what rings, and what hears."""

    bell: Bell
    app: "Celery"
    broker: "Broker"


def local_bell() -> NearBell:
    """Return the bell of a worker that looks for itself."""
    return LocalBell()


def exchange(settings: Settings) -> Exchange:
    """Return both ends of the broker of the settings; nothing is connected yet.

    Raises: SettingsInvalid; KeyMissing, KeyExposed for the file of the password.
    """
    from archive.adapters.celery_bell import CeleryBell, celery_app

    broker = broker_of(settings)
    app = celery_app(broker, WORKED_ON)
    return Exchange(CeleryBell(broker, app), app, broker)


def broker_of(settings: Settings) -> "Broker":
    """Return where the broker of the settings is. Raises: as `exchange`."""
    from archive.adapters.celery_bell import Broker

    if settings.broker_url is None:
        raise SettingsInvalid("There is no broker: set broker_url")
    if urlsplit(settings.broker_url).password is not None:
        raise SettingsInvalid("The setting broker_url holds a password: put it into the file of broker_password_file")
    # Archives may share a broker, and the log's origin is what tells them apart.
    prefix = f"liuhen-{sha256(settings.origin.encode()).hexdigest()[:12]}"
    return Broker(settings.broker_url, prefix, _password(settings), settings.broker_ca)


def _password(settings: Settings) -> str:
    if settings.broker_password_file is None:
        return ""
    try:
        return read_secret(settings.broker_password_file).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as exc:
        raise SettingsInvalid("The file of the setting broker_password_file is no text") from exc
