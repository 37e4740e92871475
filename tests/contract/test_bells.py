"""The bell within a process, and through Redis and RabbitMQ: the contract, and what only a broker can get wrong."""

import json
import secrets
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from archive.adapters.celery_bell import Broker, CeleryBell, celery_app
from archive.adapters.local_bell import LocalBell
from archive.jobs.queue import LONG, PROMPT
from archive.kernel.ids import JobId, new_uuid7
from archive.ports.bell import RUN_JOB, Bell, BellAway
from tests.contract.bell import BellContract, Hear

QUEUES = (PROMPT, LONG)


class TestLocalBell(BellContract):
    @pytest.fixture
    def bell(self) -> LocalBell:
        return LocalBell()

    @pytest.fixture
    def hear(self, bell: LocalBell) -> Hear:
        def heard(queue: str) -> bool:
            event = bell.heard_as(queue)
            was_set = event.is_set()
            event.clear()
            return was_set

        return heard


class Listener:
    """Takes messages with a plain client."""

    def __init__(self, broker: Broker) -> None:
        self.connection = Connection(broker.address())
        self.broker = broker

    def take(self, queue: str) -> Any:
        return self.connection.default_channel.basic_get(self.broker.queue_name(queue), no_ack=True)


@pytest.fixture(params=["redis_server", "rabbit_server"])
def broker(request: pytest.FixtureRequest) -> Broker:
    server = request.getfixturevalue(request.param)
    return Broker(server.url, f"liuhen-{secrets.token_hex(6)}", server.password_file.read_text("ascii"))


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    made = Listener(broker)
    yield made
    made.connection.release()


@pytest.fixture
def celery_bell(broker: Broker) -> Iterator[CeleryBell]:
    made = CeleryBell(broker, celery_app(broker, QUEUES))
    yield made
    made.hang_up()


@pytest.mark.service
class TestCeleryBell(BellContract):
    @pytest.fixture
    def bell(self, celery_bell: CeleryBell) -> Bell:
        for queue in QUEUES:
            celery_bell.unheard(queue)  # declares it, as a worker does when it starts
        return celery_bell

    @pytest.fixture
    def hear(self, listener: Listener) -> Hear:
        return lambda queue: listener.take(queue) is not None

    def test_a_message_carries_the_jobs_id_and_nothing_else_of_ours(
        self, bell: Bell, listener: Listener, broker: Broker
    ) -> None:
        job_id = JobId(new_uuid7())
        bell.ring(PROMPT, job_id)
        message = listener.take(PROMPT)
        told, named, _ = json.loads(message.body)
        assert (told, named) == ([str(job_id)], {})
        assert message.headers["task"] == RUN_JOB
        assert message.content_type == "application/json"
        assert message.properties["delivery_mode"] == 2, "it is kept when the broker is started again"


@pytest.mark.service
def test_on_rabbitmq_a_queue_is_a_quorum_queue(rabbit_server: Any) -> None:
    broker = Broker(rabbit_server.url, f"liuhen-{secrets.token_hex(6)}", rabbit_server.password_file.read_text("ascii"))
    bell = CeleryBell(broker, celery_app(broker, QUEUES))
    bell.unheard(PROMPT)
    with Connection(broker.address()) as connection:
        channel = connection.channel()
        with pytest.raises(connection.channel_errors, match="x-queue-type"):
            channel.queue_declare(broker.queue_name(PROMPT), durable=True, auto_delete=False)
    bell.hang_up()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_is_told_in_seconds(scheme: str) -> None:
    with socket.socket() as taken:  # nobody listens
        taken.bind(("127.0.0.1", 0))
        broker = Broker(f"{scheme}://127.0.0.1:{taken.getsockname()[1]}/0", "liuhen-x", "secret")
        bell = CeleryBell(broker, celery_app(broker, QUEUES))
        for _again in range(2):
            with pytest.raises(BellAway) as told:
                bell.ring(PROMPT)
            with pytest.raises(BellAway):
                bell.unheard(PROMPT)
            assert "secret" not in str(told.value)


@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
def test_who_does_not_prove_to_be_the_broker_is_told_nothing(scheme: str) -> None:
    app = celery_app(Broker(f"{scheme}://127.0.0.1:1//", "liuhen-x"), QUEUES)
    asked = app.conf.broker_use_ssl
    assert ssl.CERT_REQUIRED in asked.values()


def test_the_environment_does_not_lead_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere.invalid/0")
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "redis://elsewhere.invalid/0")
    app = celery_app(Broker("redis://127.0.0.1:1/0", "liuhen-x"), QUEUES)
    assert app.connection_for_write().hostname == app.connection_for_read().hostname == "127.0.0.1"
