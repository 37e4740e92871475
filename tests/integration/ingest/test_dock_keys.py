"""A dock's key is traded for another one; the old one goes on for ten minutes, and a lost answer locks nobody out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from archive.access.api_keys import KeyRefused
from archive.kernel.errors import InvalidInput
from archive.ledger.entries import OPERATOR
from archive.web.app import create_app
from ingest.docks import OLD_KEY_LASTS, authenticated_dock, revoke_dock, rotate_key
from ingest.errors import DockRevoked
from ingest.listings import dock_rows
from tests.support import seed
from tests.support.archive_home import ArchiveHome, EnrolledDock


def rotated(home: ArchiveHome, key: str, firmware: str | None = None) -> str:
    return rotate_key(home.database, api_key=key, firmware=firmware, at=home.clock.now()).api_key


def opens(home: ArchiveHome, key: str) -> bool:
    try:
        with home.database.read() as tx:
            authenticated_dock(tx, key, at=home.clock.now())
    except KeyRefused:
        return False
    return True


def test_the_old_key_ends_after_ten_minutes(home: ArchiveHome, dock: EnrolledDock) -> None:
    before = len(home.entries())
    fresh = rotated(home, dock.api_key, "liuhen 0.1.0")
    assert home.types()[before:] == ["admin.key_issued"]
    assert fresh != dock.api_key
    assert [opens(home, key) for key in (dock.api_key, fresh)] == [True, True]
    home.clock.step(OLD_KEY_LASTS - timedelta(seconds=1))
    assert opens(home, dock.api_key)
    home.clock.step(timedelta(seconds=2))
    assert [opens(home, key) for key in (dock.api_key, fresh)] == [False, True]
    with pytest.raises(KeyRefused):
        rotated(home, dock.api_key)
    with home.database.read() as tx:
        (row,) = dock_rows(tx)
    assert row.dock.firmware == "liuhen 0.1.0"
    home.assert_sound()
    details = str([bytes(found) for (found,) in home.rows("SELECT detail FROM log_detail")])
    assert fresh.split("_", 2)[2] not in details


def test_a_lost_answer_is_asked_for_again(home: ArchiveHome, dock: EnrolledDock) -> None:
    lost = rotated(home, dock.api_key)
    home.clock.step(timedelta(minutes=9))
    fresh = rotated(home, dock.api_key)
    assert [opens(home, key) for key in (lost, fresh, dock.api_key)] == [False, True, True]
    home.clock.step(timedelta(minutes=2))  # asking again does not make the old key live longer
    assert [opens(home, key) for key in (fresh, dock.api_key)] == [True, False]
    home.assert_sound()


def test_of_two_at_once_one_key_is_left(home: ArchiveHome, dock: EnrolledDock) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda _: rotated(home, dock.api_key), range(4)))
    assert [opens(home, key) for key in keys].count(True) == 1
    home.assert_sound()


def test_revoking_a_dock_ends_both_keys(home: ArchiveHome, dock: EnrolledDock) -> None:
    fresh = rotated(home, dock.api_key)
    revoke_dock(home.database, dock.id, by=OPERATOR, at=home.clock.now())
    for key in (fresh, dock.api_key):
        with pytest.raises(DockRevoked):
            rotated(home, key)


@pytest.mark.parametrize("key", ["", "x", "lh_nothing_at_all", "lh_0123456789ab_x"])
def test_an_unknown_key_gets_none(home: ArchiveHome, dock: EnrolledDock, key: str) -> None:
    before = len(home.entries())
    with pytest.raises(KeyRefused):
        rotated(home, key)
    for firmware in ("", "x" * 101, "a\nb"):
        with pytest.raises(InvalidInput):
            rotated(home, dock.api_key, firmware)
    assert len(home.entries()) == before


@pytest.fixture
def base(home: ArchiveHome) -> Iterator[str]:
    with seed.listening(create_app(home.services)) as address:
        yield address


def test_the_door_trades_keys(home: ArchiveHome, dock: EnrolledDock, base: str) -> None:
    address, bearer = f"{base}/api/v1/docks/key", {"Authorization": f"Bearer {dock.api_key}"}
    with httpx.Client(trust_env=False) as client:
        assert client.post(address, json={}).status_code == 401
        assert client.post(address, json={"firmware": "x", "more": 1}, headers=bearer).status_code == 400
        answer = client.post(address, json={"firmware": "S1"}, headers=bearer)
        assert answer.status_code == 201
        assert answer.headers["cache-control"] == "no-store"
        assert opens(home, answer.json()["api_key"])
