"""Docks' keys and enrolment: what a key can do, until when, and that one code makes one dock."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from archive.access.api_keys import KeyRefused, Scope, issue_key, key_holder, revoke_keys
from archive.access.models import ApiKey
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId, new_uuid7
from archive.ledger.entries import OPERATOR
from ingest.docks import CODE_LIFETIME, Enrolment, authenticated_dock, docks, enrol_dock, invite_dock, revoke_dock
from ingest.errors import DockNotFound, DockRevoked, EnrolmentRefused
from tests.support.archive_home import ArchiveHome, EnrolledDock

PUBLIC_KEY = bytes(range(32))


def invite(home: ArchiveHome, name: str = "采集站一") -> str:
    return invite_dock(home.database, name=name, by=OPERATOR, at=home.clock.now())


def enrol(home: ArchiveHome, code: str) -> Enrolment:
    return enrol_dock(home.database, code=code, public_key=PUBLIC_KEY, at=home.clock.now())


def known(home: ArchiveHome, key: str) -> DockId:
    with home.database.read() as tx:
        dock, holder = authenticated_dock(tx, key, at=home.clock.now())
    assert dock.id == holder.holder_id
    return DockId(dock.id)


def test_a_dock_is_known_by_its_key(home: ArchiveHome, dock: EnrolledDock) -> None:
    other = home.dock("Dock 2")
    assert known(home, dock.api_key) == dock.id
    assert known(home, other.api_key) == other.id
    with home.database.read() as tx:
        assert [found.name for found in docks(tx)] == ["Dock 1", "Dock 2"]


def test_a_key_is_kept_as_a_hash_only(home: ArchiveHome, dock: EnrolledDock) -> None:
    secret = dock.api_key.split("_", 2)[2]
    kept = repr(home.rows("SELECT * FROM api_key")) + repr(home.entries()) + repr(home.rows("SELECT * FROM log_detail"))
    assert secret not in kept


def test_every_wrong_key_is_refused_in_the_same_words(home: ArchiveHome, dock: EnrolledDock) -> None:
    other = home.dock("Dock 2")
    prefix, secret = dock.api_key.split("_", 2)[1:]
    wrong = (
        "", "lh", "lh_", "lh__", f"lh_{prefix}", f"lh_{prefix}_", f"lh_{prefix}_{secret}x", f"lh_{prefix}_{secret[:-1]}",
        f"LH_{prefix}_{secret}", f"xx_{prefix}_{secret}", f"lh_{secret}_{prefix}", f" lh_{prefix}_{secret}",
        f"lh_{other.api_key.split('_', 2)[1]}_{secret}", f"lh_{'0' * 12}_{secret}", "lh_'; DROP TABLE dock; --_x", "ü" * 50,
    )  # fmt: skip
    told = set()
    for key in wrong:
        with pytest.raises(KeyRefused) as refused:
            known(home, key)
        told.add((str(refused.value), tuple(refused.value.facts)))
    assert len(told) == 1


def test_a_key_expires_and_can_be_revoked(home: ArchiveHome, dock: EnrolledDock) -> None:
    home.clock.step(timedelta(days=364))
    assert known(home, dock.api_key) == dock.id
    home.clock.step(timedelta(days=1))
    with pytest.raises(KeyRefused):
        known(home, dock.api_key)
    fresh = home.dock("Dock 2")
    with home.database.begin() as tx:
        revoke_keys(tx, holder_id=fresh.id, at=home.clock.now())
    with pytest.raises(KeyRefused):
        known(home, fresh.api_key)


def test_a_key_of_another_scope_does_not_upload(home: ArchiveHome, dock: EnrolledDock) -> None:
    with home.database.begin() as tx:
        tx.execute(update(ApiKey).values(scope="read"))
    with pytest.raises(KeyRefused):
        known(home, dock.api_key)


def test_a_key_without_a_dock_is_of_no_use(home: ArchiveHome) -> None:
    with home.database.begin() as tx:
        key = issue_key(tx, holder_id=new_uuid7(), scope=Scope.UPLOAD, at=home.clock.now())
    with home.database.read() as tx:
        assert key_holder(tx, key, scope=Scope.UPLOAD, at=home.clock.now())
    with pytest.raises(DockRevoked):
        known(home, key)


def test_a_revoked_dock_is_told_so_and_the_others_go_on(home: ArchiveHome, dock: EnrolledDock) -> None:
    other = home.dock("Dock 2")
    revoke_dock(home.database, dock.id, by=OPERATOR, at=home.clock.now())
    with pytest.raises(DockRevoked) as refused:
        known(home, dock.api_key)
    assert "enrolled anew" in str(refused.value)
    assert known(home, other.api_key) == other.id
    with pytest.raises(DockNotFound):
        revoke_dock(home.database, dock.id, by=OPERATOR, at=home.clock.now())


def test_a_code_is_good_once_and_for_an_hour(home: ArchiveHome) -> None:
    code = invite(home)
    home.clock.step(CODE_LIFETIME - timedelta(seconds=1))
    enrol(home, code)
    with pytest.raises(EnrolmentRefused):
        enrol(home, code)
    late = invite(home)
    home.clock.step(CODE_LIFETIME)
    with pytest.raises(EnrolmentRefused):
        enrol(home, late)
    assert home.count("dock") == 1
    assert home.types().count("admin.dock_enrolled") == 1


def test_a_code_is_kept_as_a_hash_only_and_read_as_people_write(home: ArchiveHome) -> None:
    code = invite(home)
    kept = repr(home.rows("SELECT * FROM enrolment_code")) + repr(home.entries())
    assert code not in kept
    assert set(code) <= set("23456789ABCDEFGHJKMNPQRSTUVWXYZ-"), "nothing that looks like something else"
    enrol(home, f" {code.lower()} ")


@pytest.mark.parametrize("code", ["", "AAAA-AAAA-AAAA-AAAA", "\x00", "ü" * 500])
def test_an_unknown_code_is_refused(home: ArchiveHome, code: str) -> None:
    with pytest.raises(EnrolmentRefused):
        enrol(home, code)


def test_one_code_used_by_many_at_once_makes_one_dock(home: ArchiveHome) -> None:
    code = invite(home)
    barrier = threading.Barrier(5)
    results: list[object] = []

    def work() -> None:
        barrier.wait()
        try:
            results.append(enrol(home, code))
        except BaseException as error:  # noqa: BLE001 - told by the test
            results.append(type(error))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(EnrolmentRefused) == 4
    assert home.count("dock") == home.count("api_key") == home.types().count("admin.dock_enrolled") == 1


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_public_key_of_another_length_does_not_use_the_code_up(home: ArchiveHome, size: int) -> None:
    code = invite(home)
    with pytest.raises(InvalidInput):
        enrol_dock(home.database, code=code, public_key=bytes(size), at=home.clock.now())
    enrol(home, code)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb", "a\x00b"])
def test_an_unusable_dock_name_is_refused(home: ArchiveHome, name: str) -> None:
    with pytest.raises(InvalidInput):
        invite(home, name)
    with home.database.read() as tx:
        assert tx.scalars(select(ApiKey)).all() == []
