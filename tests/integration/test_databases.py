"""The databases that tests get: fresh, of one's own, with the settings that Liuhen asks of a deployment."""

import os
import socket
import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from tests.support.postgres import Cluster

pytestmark = pytest.mark.empty_database


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_database(database_url: str, turn: int) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("CREATE TABLE left_behind (turn INTEGER)"))
        connection.execute(text("INSERT INTO left_behind VALUES (:turn)"), {"turn": turn})
    engine.dispose()


@pytest.mark.service
def test_postgres_is_utf8_in_the_c_order(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database "
                "WHERE datname = current_database()"
            )
        ).one()
    engine.dispose()
    assert tuple(found) == ("UTF8", "C.UTF-8", "C.UTF-8")


@pytest.mark.service
def test_a_lasting_cluster_keeps_its_data_over_a_restart(postgres_server: str) -> None:
    assert postgres_server  # without the server programs this test is skipped, or fails in CI
    cluster = Cluster(Path(os.environ["LIUHEN_TEST_RUN_FOLDER"]) / uuid.uuid4().hex, durable=True)
    try:
        engine = create_engine(cluster.start())
        with engine.begin() as connection:
            assert connection.execute(text("SHOW fsync")).scalar_one() == "on"
            connection.execute(text("CREATE TABLE kept (id INTEGER)"))
        engine.dispose()
        assert cluster.is_running
        cluster.stop()
        assert not cluster.is_running
        engine = create_engine(cluster.start())
        with engine.connect() as connection:
            assert inspect(connection).get_table_names() == ["kept"]
        engine.dispose()
    finally:
        cluster.destroy()
    assert not cluster.folder.exists()


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("2001:db8::1", 9), ("example.invalid", 9)])
def test_tests_cannot_reach_the_outside(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        with pytest.raises(PermissionError, match="only the loopback"):
            probe.connect(address)
        with pytest.raises(PermissionError, match="only the loopback"):
            probe.sendto(b"", address)
