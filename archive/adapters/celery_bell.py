"""The bell through a message broker: Celery messages that carry a job's id, on Redis or RabbitMQ.

Here is what both ends must agree on: names, queues, and how to speak to the broker. Workers are in `archive.worker`.
Source: docs/adr/0026.
"""

import contextlib
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from archive.kernel.ids import JobId
from archive.ports.bell import RUN_JOB, BellAway

_STRONGER: Final = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
"""Celery believes these more than what it is told; nothing is called that our own settings do not name."""
_CONNECT_S: Final = 4
_ANSWER_S: Final = 10
_CLOSE_S: Final = 0.5
_NEVER_RETRY: Final = {"max_retries": 0}
_REDELIVERIES: Final = 20
"""After so many a quorum queue drops a message, which the relay then sends anew."""
_VISIBLE_AGAIN_S: Final = 600
"""Redis only: after this time a message that a dead worker had taken and not begun is given to another."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the messages go. `prefix` keeps archives that share a broker apart; `password` is never in the address."""

    url: str
    prefix: str
    password: str = ""
    ca: Path | None = None

    @property
    def is_redis(self) -> bool:
        """Whether it is Redis; else it is RabbitMQ."""
        return self.url.startswith("redis")

    def address(self) -> str:
        """Return the address with its password, for the client library alone."""
        if not self.password:
            return self.url
        parts = urlsplit(self.url)
        user = "" if parts.username is None else parts.username
        place = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{user}:{quote(self.password, safe='')}@{place}").geturl()

    def queue_name(self, queue: str) -> str:
        """Return a queue's name at the broker."""
        return f"{self.prefix}.{queue}"


def celery_app(broker: Broker, queues: tuple[str, ...]) -> Celery:
    """Return the Celery application that both ends use. Nothing is connected yet."""
    for name in _STRONGER:
        os.environ.pop(name, None)
    app = Celery("liuhen", set_as_current=False)
    exchange = Exchange(broker.prefix, type="direct", durable=True)
    arguments = None if broker.is_redis else {"x-queue-type": "quorum", "x-delivery-limit": _REDELIVERIES}
    app.conf.update(
        broker_url=broker.address(),
        broker_transport_options=_transport_options(broker),
        broker_use_ssl=_tls(broker),
        broker_connection_timeout=_CONNECT_S,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: what a broker's absence means is told by the watchdog
        broker_channel_error_retry=True,
        broker_heartbeat=10,
        broker_pool_limit=None,
        task_queues=[
            Queue(broker.queue_name(queue), exchange, routing_key=queue, durable=True, queue_arguments=arguments)
            for queue in queues
        ],
        task_default_queue=broker.queue_name(queues[0]),
        task_default_exchange=broker.prefix,
        task_default_routing_key=queues[0],
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=False,
        task_publish_retry=False,  # the relay rings again, and must not hang meanwhile
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=broker.is_redis,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # it speaks of late acknowledgements: there are none
        worker_enable_prefetch_count_reduction=False,
        enable_utc=True,
    )
    return app


def _transport_options(broker: Broker) -> dict[str, Any]:
    if broker.is_redis:
        return {
            "visibility_timeout": _VISIBLE_AGAIN_S,
            "socket_connect_timeout": _CONNECT_S,
            "socket_timeout": _ANSWER_S,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": False,
        }
    return {
        "confirm_publish": True,
        "connect_timeout": _CONNECT_S,
        "read_timeout": _ANSWER_S,
        "write_timeout": _ANSWER_S,
        "client_properties": {"connection_name": "liuhen"},
    }


def _tls(broker: Broker) -> dict[str, Any] | None:
    if urlsplit(broker.url).scheme not in {"rediss", "amqps"}:
        return None
    given = {} if broker.ca is None else {"ca_certs": str(broker.ca)}
    if broker.is_redis:
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **{f"ssl_{name}": value for name, value in given.items()}}
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": urlsplit(broker.url).hostname, **given}


class CeleryBell:
    """Rings by sending a message; on return the broker has taken it. One connection, for one thread at a time."""

    def __init__(self, broker: Broker, app: Celery) -> None:
        """Take the broker and the application of `celery_app`."""
        self._broker = broker
        self._app = app
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def ring(self, queue: str, job_id: JobId | None = None) -> None:
        """Send a job's id, or none. Raises: BellAway."""
        with self._lock, self._connected():
            self._app.send_task(
                RUN_JOB,
                [None if job_id is None else str(job_id)],
                queue=self._broker.queue_name(queue),
                producer=self._producer,
                ignore_result=True,
                **({} if self._broker.is_redis else {"confirm_timeout": _ANSWER_S}),
            )

    def unheard(self, queue: str) -> int:
        """Return how many messages wait at the broker. Raises: BellAway."""
        with self._lock, self._connected() as connection:
            bound = self._app.amqp.queues[self._broker.queue_name(queue)].bind(connection.default_channel)
            return int(bound.queue_declare().message_count)

    def hang_up(self) -> None:
        """Close the connection; the next ring makes its own."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._connection or self._app.connection_for_write(transport_options=_NEVER_RETRY)
        errors = (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
        try:
            if self._connection is None:
                self._connection = connection
                connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
                self._producer = self._app.amqp.Producer(connection, auto_declare=False)
            yield connection
        except errors as exc:
            self._drop()
            raise BellAway(cause=type(exc).__name__) from exc

    def _drop(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.collect(socket_timeout=_CLOSE_S)  # asks nothing of a server that may be gone
