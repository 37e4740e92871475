"""API keys under a key of the house: a database alone makes none, rotation goes with use, an older archive is adopted."""

import hashlib
import threading
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from archive.access.api_keys import (
    HashesMissing,
    KeyRefused,
    Scope,
    any_key_holder,
    keys_of_hashes,
    renew_hash,
    stale_count,
    write_key,
)
from archive.access.integrations import (
    IntegrationNotFound,
    authenticated_integration,
    integration_named,
    issue_integration_key,
    move_integration,
)
from archive.access.listings import has_accounts
from archive.access.models import ApiKey
from archive.db.database import Database
from archive.kernel.ids import UnitId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_UNIT
from archive.organisation.units import UnitNotFound, close_unit, record_unit
from tests.support.archive_home import ArchiveHome, EnrolledDock


def issue(home: ArchiveHome, name: str = "cms", **given: object) -> str:
    return issue_integration_key(
        home.database, name=name, title=None, scopes=[Scope.ITEMS_READ], by=OPERATOR, at=home.clock.now(), **given
    )  # type: ignore[arg-type]


def opens(home: ArchiveHome, key: str) -> bool:
    with home.database.read() as tx:
        try:
            any_key_holder(tx, key, at=home.clock.now())
        except KeyRefused:
            return False
    return True


def row_of(home: ArchiveHome, key: str) -> ApiKey:
    with home.database.read() as tx:
        return tx.scalars(select(ApiKey).where(ApiKey.prefix == key.split("_")[1])).one()


def unit(home: ArchiveHome, code: str = "02", name: str = "北市区中队") -> UnitId:
    return record_unit(
        home.database, parent_id=UnitId(FIRST_UNIT), code=code, name=name, by=OPERATOR, at=home.clock.now()
    )


def test_whoever_writes_to_the_database_alone_makes_no_key(home: ArchiveHome) -> None:
    key = issue(home)
    mine = "s" * 43
    plain = hashlib.sha256(mine.encode()).digest()
    forged = f"lh_{key.split('_')[1]}_{mine}"
    for values in ({"secret_hash": plain}, {"secret_hash": plain, "key_id": None}, {"key_id": "0" * 16}):
        with home.database.begin() as tx:
            tx.execute(update(ApiKey).values(**values))
        home.reopen()
        assert not opens(home, forged), values
    assert not opens(home, key)


def test_the_secret_stands_nowhere(home: ArchiveHome) -> None:
    key = issue(home)
    row = row_of(home, key)
    secret = key.split("_", 2)[2]
    assert row.secret_hash != hashlib.sha256(secret.encode()).digest()
    files = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    assert secret.encode() not in files
    assert (home.path / "keys" / "api.key").stat().st_mode & 0o777 == 0o600
    assert not (home.path / "keys" / "api.new").exists()


def test_after_a_rotation_each_key_goes_over_when_it_is_used(home: ArchiveHome, dock: EnrolledDock) -> None:
    key, other = issue(home), issue(home, "other")
    keys = home.services.api_key_hashes
    (first,) = keys.key_ids
    second = keys.add_key()
    with home.database.read() as tx:
        assert stale_count(tx, at=home.clock.now()) == 3
    for _ in range(2):
        assert opens(home, key)
        renew_hash(home.database, key)
        assert row_of(home, key).key_id == second
    renew_hash(home.database, dock.api_key)
    renew_hash(home.database, key[:-1] + "!")
    renew_hash(home.database, "nonsense")
    with home.database.read() as tx:
        assert keys_of_hashes(tx, at=home.clock.now()) == {first, second}
        assert stale_count(tx, at=home.clock.now()) == 1
    assert opens(home, other)
    assert keys.forget_keys(but=[second]) == [first]
    assert (opens(home, key), opens(home, dock.api_key), opens(home, other)) == (True, True, False)


def test_keys_that_open_nothing_any_more_keep_no_hash_key(home: ArchiveHome) -> None:
    issue(home, lifetime=timedelta(days=1))
    second = home.services.api_key_hashes.add_key()
    issue(home, "new")
    home.clock.step(timedelta(days=2))
    with home.database.read() as tx:
        assert keys_of_hashes(tx, at=home.clock.now()) == {second}


def test_an_archive_from_before_is_adopted_once_and_its_keys_go_on(home: ArchiveHome, dock: EnrolledDock) -> None:
    keys = [issue(home), dock.api_key]
    path = home.path / "keys" / "api.key"
    for broken_off in (False, True):
        for key in keys:
            plain = hashlib.sha256(key.split("_", 2)[2].encode()).digest()
            with home.database.begin() as tx:
                chosen = update(ApiKey).where(ApiKey.prefix == key.split("_")[1])
                tx.execute(chosen.values(secret_hash=plain, key_id=None))
        if broken_off:
            path.rename(path.with_suffix(".new"))
        else:
            path.unlink()
        home.reopen()
        assert all(opens(home, key) for key in keys)
        assert path.exists()
        assert not path.with_suffix(".new").exists()


def test_without_its_keys_a_database_hashes_nothing(home: ArchiveHome) -> None:
    bare = Database(home.settings.effective_database_url)
    with pytest.raises(HashesMissing), bare.begin() as tx:
        write_key(tx, holder_id=new_uuid7(), scopes=[Scope.UPLOAD], at=home.clock.now(), expires_at=home.clock.now())
    bare.close()


def test_two_uses_at_once_after_a_rotation_both_get_in(home: ArchiveHome) -> None:
    key = issue(home)
    home.services.api_key_hashes.add_key()
    barrier = threading.Barrier(4)
    results: list[bool] = []

    def work() -> None:
        barrier.wait()
        results.append(opens(home, key))
        renew_hash(home.database, key)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4
    assert opens(home, key)


# ---- units ---------------------------------------------------------------------------------------------------------


def test_a_system_is_in_the_unit_that_was_chosen_and_is_moved(home: ArchiveHome) -> None:
    north, south = unit(home), unit(home, "03", "南市区中队")
    issue(home)
    key = issue(home, "north", unit_id=north)
    with home.database.read() as tx:
        assert integration_named(tx, "cms").unit_id == FIRST_UNIT
        before = authenticated_integration(tx, key, at=home.clock.now()).sight
    issue(home, "north")
    assert home.types().count("admin.integration_changed") == 0
    for _ in range(2):
        move_integration(home.database, "north", south, by=OPERATOR, at=home.clock.now())
    issue(home, "cms", unit_id=north)
    with home.database.read() as tx:
        assert integration_named(tx, "cms").unit_id == north
        assert authenticated_integration(tx, key, at=home.clock.now()).sight.parties != before.parties
    changed = [entry for entry in home.entries() if entry["type"] == "admin.integration_changed"]
    assert len(changed) == 2
    assert {entry["obj"]["kind"] for entry in changed} == {"integration"}


def test_no_system_is_moved_to_where_nobody_is(home: ArchiveHome) -> None:
    closed = unit(home)
    close_unit(home.database, closed, has_people=has_accounts, by=OPERATOR, at=home.clock.now())
    issue(home)
    for unit_id in (closed, UUID(int=5)):
        with pytest.raises(UnitNotFound):
            move_integration(home.database, "cms", unit_id, by=OPERATOR, at=home.clock.now())
        with pytest.raises(UnitNotFound):
            issue(home, "new", unit_id=unit_id)
    with pytest.raises(IntegrationNotFound):
        move_integration(home.database, "nobody", FIRST_UNIT, by=OPERATOR, at=home.clock.now())
    assert home.count("integration") == 1
    assert home.types().count("admin.key_issued") == 1
