"""One person, an administrator, the database's owner, and a stolen key each try to destroy early: refused, or found.

Each on files, and in buckets with Object Lock.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import select

from archive.access.accounts import RolesApart, create_account
from archive.access.policy import Role
from archive.custody.models import PreservedObject
from archive.db.base import insert_row
from archive.jobs.queue import LONG
from archive.kernel.findings import Outcome
from archive.kernel.ids import DispositionId, ObjectId
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, Actor, EntryType, NewEntry, Target
from archive.ocfl.errors import ObjectLocked
from archive.ocfl.layout import object_root
from archive.worker.loop import Worker
from retention.disposition.deciding import PartRefused
from retention.disposition.freezing import digest_of_standing, items_of, standing_ids
from retention.disposition.models import DispositionPart
from retention.disposition.proposing import NothingToDispose
from retention.disposition.terms import TARGET, ListState, Opinion, Part
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock, SteppedClock, clock, dock, make_home
from tests.support.disposals import SEASON, Disposal, new_disposal
from tests.support.due import due, hold, planned, recorded_now
from tests.support.weed import REGION, Weed, shared_weed

__all__ = ["clock", "dock"]
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def weed() -> Weed:
    return shared_weed(Path(os.environ["LIUHEN_TEST_RUN_FOLDER"]))


@pytest.fixture(params=["files", pytest.param("s3", marks=pytest.mark.service)])
def home(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> Iterator[ArchiveHome]:
    """An archive with a second copy in other hands: on files and SQLite, or in buckets and on PostgreSQL."""
    if request.param == "files":
        (tmp_path / "second").mkdir()
        url = f"sqlite+pysqlite:///{tmp_path / 'archive.sqlite3'}"
        given: dict[str, Any] = {"store": "files", "copy_folder": tmp_path / "second"}
    else:
        weed: Weed = request.getfixturevalue("weed")
        url = request.getfixturevalue("postgres_url")
        given = {
            **weed.settings(tmp_path, "first"),
            "copy_s3_endpoint": weed.endpoint,
            "copy_s3_region": REGION,
            "copy_s3_bucket": weed.new_bucket(of="second"),
            "copy_s3_credentials_file": weed.credentials(tmp_path / "second.key", "second"),
        }
    made = make_home(tmp_path, url, clock, **given)
    yield made
    made.services.close()


@pytest.fixture
def disposal(home: ArchiveHome) -> Disposal:
    return new_disposal(home)


def is_whole(home: ArchiveHome, object_id: ObjectId) -> bool:
    return home.services.objects.validate(object_id).outcome is Outcome.VALID


def wrong(home: ArchiveHome) -> set[str]:
    return {found.code for found in home.faults() if found.outcome is Outcome.INVALID}


# ---- one person ----------------------------------------------------------------------------------------------------


def test_one_person_with_every_role_has_one_part(home: ArchiveHome, dock: EnrolledDock, disposal: Disposal) -> None:
    roles = [role for role in Role if role not in {Role.ADMINISTRATOR, Role.OPERATOR}]
    create_account(
        home.database,
        username="everything",
        display_name="Everything",
        roles=roles,
        password=PASSWORD,
        by=OPERATOR,
        at=home.clock.now(),
    )
    home.clock.step(SEASON)
    object_id = home.deliver(dock, b"one recording")
    home.sequence()
    due(home, object_id)
    list_id = disposal.propose(by="everything")
    refused_all_parts(disposal, list_id, "everything")
    for name in ("first", "second", "third"):
        disposal.appraise(list_id, name)
    refused_all_parts(disposal, list_id, "everything")
    disposal.decide(list_id)
    refused_all_parts(disposal, list_id, "everything")
    disposal.supervise(list_id, "watcher")
    refused_all_parts(disposal, list_id, "everything")
    home.clock.step(SEASON)
    home.sequence()
    disposal.work()
    assert disposal.state(list_id) is ListState.APPROVED
    assert is_whole(home, object_id)
    home.assert_sound()


def refused_all_parts(disposal: Disposal, list_id: DispositionId, name: str) -> None:
    acts: tuple[Callable[[], Any], ...] = (
        lambda: disposal.appraise(list_id, name),
        lambda: disposal.decide(list_id, by=name),
        lambda: disposal.supervise(list_id, name),
    )
    refusals = []
    for act in acts:
        with pytest.raises(Exception) as refused:
            act()
        refusals.append(refused.value)
    assert {each.code for each in refusals} <= {"disposition.part_refused", "disposition.moved_on"}  # type: ignore[attr-defined]
    assert any(isinstance(each, PartRefused) for each in refusals)


# ---- an administrator ----------------------------------------------------------------------------------------------


def test_an_administrator_has_no_part_and_neither_have_puppets(
    home: ArchiveHome, dock: EnrolledDock, disposal: Disposal
) -> None:
    over, kept = home.deliver(dock, b"its time is over"), home.deliver(dock, b"new", times=recorded_now(home))
    home.sequence()
    due(home, over)
    planned(home, kept)
    administrator = home.person(Role.ADMINISTRATOR, "root")
    with pytest.raises(RolesApart):
        account(home, "both", Role.ADMINISTRATOR, Role.RECORDS_MANAGER, by=administrator.actor)
    for role in (Role.ADMINISTRATOR, Role.OPERATOR):
        home.person(role, f"a {role.value}")
        with pytest.raises(PartRefused):
            disposal.propose(by=f"a {role.value}")
    puppets = {
        "keeper": Role.RECORDS_MANAGER, "first": Role.LEGAL_REVIEWER, "second": Role.LEGAL_REVIEWER,
        "third": Role.UNIT_HEAD, "head": Role.UNIT_HEAD, "watcher": Role.UNIT_HEAD, "archivist": Role.RECORDS_MANAGER,
    }  # fmt: skip
    for name, role in puppets.items():
        account(home, f"puppet {name}", role, by=administrator.actor)
    for act in (
        lambda: disposal.propose(by="puppet keeper"),
        lambda: disposal.appraise(disposal.propose(), "puppet first"),
    ):
        with pytest.raises(PartRefused) as refused:
            act()
        assert refused.value.facts["why"] == "too_new"
    (list_id,) = home.rows("SELECT id FROM disposition_list")[0]
    disposal.appraise(DispositionId(UUID(str(list_id))), "first", opinion=Opinion.KEEP)
    home.clock.step(SEASON)  # everybody could read by now that there are seven people whom nobody knows
    with pytest.raises(NothingToDispose):
        disposal.propose(by="puppet keeper")  # what is due stands on a list already, and the other is kept
    home.sequence()
    disposal.work()
    assert is_whole(home, over)
    assert is_whole(home, kept)
    assert home.types().count("admin.account_created") > len(puppets)
    home.assert_sound()


def account(home: ArchiveHome, name: str, *roles: Role, by: Actor) -> None:
    at = home.clock.now()
    create_account(home.database, username=name, display_name=name, roles=roles, password=PASSWORD, by=by, at=at)


# ---- the database's owner ------------------------------------------------------------------------------------------


def test_the_owner_makes_a_plan_shorter(home: ArchiveHome, dock: EnrolledDock, disposal: Disposal) -> None:
    """What is counted anew does not go by the plan."""
    object_id = home.deliver(dock, b"kept", times=recorded_now(home))
    home.sequence()
    planned(home, object_id)
    assert owner_changes(home, "retention_plan", {"retain_until": _LONG_AGO}, object_id=object_id) == 1
    with pytest.raises(NothingToDispose):
        disposal.propose()
    assert "fsck.row_changed" in wrong(home)
    assert is_whole(home, object_id)


def test_the_owner_says_that_it_was_recorded_long_ago(
    home: ArchiveHome, dock: EnrolledDock, disposal: Disposal
) -> None:
    """Plans are held against the log before anything goes: it said longer once."""
    object_id = home.deliver(dock, b"kept", times=recorded_now(home))
    home.sequence()
    planned(home, object_id)
    owner_changes(home, "evidence_item", {"recorded_at": _LONG_AGO}, object_id=object_id)
    owner_changes(home, "retention_plan", {"retain_until": _LONG_AGO}, object_id=object_id)
    list_id = disposal.agreed()
    disposal.work()
    assert disposal.row(list_id).trouble == "disposition.catalogue_disagrees"
    assert "fsck.row_changed" in wrong(home)
    assert is_whole(home, object_id)


def test_the_owner_takes_a_hold_away(home: ArchiveHome, dock: EnrolledDock, disposal: Disposal) -> None:
    object_id = home.deliver(dock, b"its time is over")
    home.sequence()
    due(home, object_id)
    list_id = disposal.agreed()
    hold(home, object_id)
    for table in ("held_object", "hold_alarm", "hold"):
        home.execute(f"DELETE FROM {table}")
    home.sequence()
    disposal.work()
    assert disposal.row(list_id).trouble == "disposition.catalogue_disagrees"
    assert disposal.state(list_id) is ListState.WAITING
    assert {code for code in wrong(home) if code.startswith("fsck.")}
    assert is_whole(home, object_id)


Attack = Callable[[ArchiveHome, Disposal, DispositionId], None]


def say_approved(home: ArchiveHome, disposal: Disposal, list_id: DispositionId) -> None:
    owner_changes(home, "disposition_list", {"state": "waiting", "recovers_until": _LONG_AGO}, id=list_id)


def say_begun(home: ArchiveHome, disposal: Disposal, list_id: DispositionId) -> None:
    owner_changes(home, "disposition_list", {"state": "destroying", "recovers_until": _LONG_AGO}, id=list_id)
    owner_changes(home, "disposition_item", {"state": "begun", "state_at": _LONG_AGO}, list_id=list_id)


def forge_parts(home: ArchiveHome, disposal: Disposal, list_id: DispositionId) -> None:
    """Rows of everybody, each with an entry that is about something else."""
    with home.database.read() as tx:
        entries = [UUID(entry["id"]) for entry in home.entries() if entry["type"] == "admin.account_created"]
        del tx
    for (name, part), entry_id in zip(_PARTS.items(), entries, strict=False):
        write_part(home, disposal, list_id, name, part, entry_id=entry_id, at=_LONG_AGO)
    say_approved(home, disposal, list_id)


def forge_entries(home: ArchiveHome, disposal: Disposal, list_id: DispositionId) -> None:
    """Entries of everybody as the archive writes them, but for what no row holds."""
    at = home.clock.now() - SEASON
    row = disposal.row(list_id)
    with home.database.read() as tx:
        standing = digest_of_standing(standing_ids(items_of(tx, list_id)))
    for name, part in _PARTS.items():
        person = disposal.people[name]
        roles = " ".join(role.value for role in person.roles)
        detail: dict[str, Any] = {"roles": roles, "sha256": row.sha256, "standing": standing, "words": "yes"}
        detail |= {
            Part.APPRAISE: {"opinion": "destroy", "struck": []},
            Part.APPROVE: {"approves": True},
            Part.SUPERVISE: {"recovers_until": "2026-03-01T00:00:00Z"},
        }[part]
        told: Mapping[str, Any] = {**detail, "vouched": "0" * 64}
        with home.database.begin() as tx:
            entry = NewEntry(_TYPES[part], Actor(person.account_id), Target(TARGET, list_id), detail=told)
            entry_id = append_entry(tx, entry, at=at)
        write_part(home, disposal, list_id, name, part, entry_id=entry_id, at=at)
    say_approved(home, disposal, list_id)


_PARTS = {
    "first": Part.APPRAISE, "second": Part.APPRAISE, "third": Part.APPRAISE,
    "head": Part.APPROVE, "watcher": Part.SUPERVISE, "archivist": Part.SUPERVISE,
}  # fmt: skip
_TYPES = {
    Part.APPRAISE: EntryType.DISPOSAL_APPRAISED,
    Part.APPROVE: EntryType.DISPOSAL_DECIDED,
    Part.SUPERVISE: EntryType.DISPOSAL_SUPERVISED,
}


def write_part(
    home: ArchiveHome,
    disposal: Disposal,
    list_id: DispositionId,
    name: str,
    part: Part,
    *,
    entry_id: UUID,
    at: datetime,
) -> None:
    person = disposal.people[name]
    with home.database.begin() as tx:
        insert_row(
            tx,
            DispositionPart,
            list_id=list_id,
            account_id=person.account_id,
            part=part.value,
            roles=" ".join(role.value for role in person.roles),
            opinion="destroy" if part is Part.APPRAISE else None,
            words="yes",
            at=at,
            entry_id=entry_id,
        )


@pytest.mark.parametrize(
    "attack", [say_approved, say_begun, forge_parts, forge_entries], ids=lambda each: each.__name__
)
def test_the_owner_decides_alone(home: ArchiveHome, dock: EnrolledDock, disposal: Disposal, attack: Attack) -> None:
    object_id = home.deliver(dock, b"its time is over")
    home.sequence()
    due(home, object_id)
    list_id = disposal.propose()
    home.clock.step(SEASON)
    attack(home, disposal, list_id)
    home.sequence()
    disposal.work()
    assert disposal.row(list_id).trouble == "disposition.disagrees"
    assert is_whole(home, object_id)
    assert disposal.tombstone(object_id) is None
    assert attack is forge_entries or "fsck.row_changed" in wrong(home)


def test_the_owner_lets_the_recovery_period_end(home: ArchiveHome, dock: EnrolledDock, disposal: Disposal) -> None:
    object_id = home.deliver(dock, b"its time is over")
    home.sequence()
    due(home, object_id)
    list_id = disposal.propose()
    disposal.agree(list_id)
    home.sequence()
    owner_changes(home, "disposition_list", {"recovers_until": _LONG_AGO}, id=list_id)
    disposal.work()
    assert disposal.state(list_id) is ListState.WAITING
    assert "fsck.row_changed" in wrong(home)
    owner_changes(home, "disposition_list", {"period_days": 0}, id=list_id)
    disposal.work()
    assert disposal.row(list_id).trouble == "disposition.disagrees"
    assert is_whole(home, object_id)


def test_the_owner_puts_another_object_on_the_list(home: ArchiveHome, dock: EnrolledDock, disposal: Disposal) -> None:
    over, kept = home.deliver(dock, b"its time is over"), home.deliver(dock, b"new", times=recorded_now(home))
    home.sequence()
    due(home, over)
    planned(home, kept)
    list_id = disposal.agreed()
    with home.database.read() as tx:
        row = tx.get_one(PreservedObject, kept)
    digests = {"sha256": row.sha256, "sha512": row.sha512, "size_bytes": row.size_bytes}
    owner_changes(home, "disposition_item", {"object_id": kept, **digests}, list_id=list_id)
    disposal.work()
    assert disposal.row(list_id).trouble == "disposition.disagrees"
    assert {"fsck.unlogged", "fsck.row_missing"} <= wrong(home)
    assert is_whole(home, over)
    assert is_whole(home, kept)


def test_the_owner_says_that_it_is_gone(home: ArchiveHome, dock: EnrolledDock) -> None:
    object_id = home.deliver(dock, b"kept", times=recorded_now(home))
    home.sequence()
    owner_changes(home, "preserved_object", {"destroyed_at": home.clock.now()}, id=object_id)
    assert "fsck.row_changed" in wrong(home)
    assert is_whole(home, object_id)


def owner_changes(home: ArchiveHome, table: str, values: Mapping[str, Any], **where: UUID) -> int:
    """Change a row as whoever owns the database does; return how many."""
    given = {name: written(home, value) for name, value in values.items()}
    keys = {f"w_{name}": home.id_value(value) for name, value in where.items()}
    changes = ", ".join(f"{name} = :{name}" for name in given)
    condition = " AND ".join(f"{name} = :w_{name}" for name in where)
    return home.execute(f"UPDATE {table} SET {changes} WHERE {condition}", **given, **keys)


def written(home: ArchiveHome, value: Any) -> Any:
    if isinstance(value, UUID):
        return home.id_value(value)
    if isinstance(value, datetime) and home.database.is_sqlite:
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return value


# ---- a stolen key of a worker --------------------------------------------------------------------------------------


@pytest.fixture
def kept(home: ArchiveHome, dock: EnrolledDock) -> ObjectId:
    """A recording whose time is not over, copied, and locked for as long as that."""
    object_id = home.deliver(dock, b"kept", "kept.mp4", times=recorded_now(home))
    home.sequence()
    while home.services.copies.copy_some():
        pass
    planned(home, object_id)
    return object_id


def test_a_stolen_worker_destroys_by_our_own_code(home: ArchiveHome, kept: ObjectId) -> None:
    """The store refuses what is locked, whoever asks; and no job destroys what is on no list."""
    with pytest.raises(ObjectLocked):
        home.services.objects.destroy(kept, at=home.clock.now())
    home.services.dispositions.begin()
    worker = Worker(home.database, handlers=home.services.handlers, clock=home.clock, lease_s=30)
    worker.run_once([LONG])
    assert is_whole(home, kept)
    with home.database.read() as tx:
        assert tx.scalar(select(PreservedObject.destroyed_at).where(PreservedObject.id == kept)) is None


def test_a_stolen_key_deletes_what_it_reaches(home: ArchiveHome, kept: ObjectId, weed: Weed) -> None:
    """Of files all is gone, which is found; in a bucket nothing but the newest inventory, which is found too."""
    if home.settings.store == "files":
        folder = home.path / "store" / object_root(kept)
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()
        assert not home.services.objects.exists(kept)
    else:
        refusals = delete_versions(home, weed, kept)
        assert {name for name, is_refused in refusals.items() if not is_refused} == {
            "inventory.json",
            "inventory.json.sha512",
        }
        assert "v1/content/original/kept.mp4" in refusals
    found = {(each.code, each.where) for each in home.faults() if each.outcome is Outcome.INVALID}
    assert any(code.startswith("fsck.") and str(kept) in str(where) for code, where in found), found
    copy = home.services.copies.opened()
    assert copy.validate(kept).outcome is Outcome.VALID, "the second copy is in other hands"


def delete_versions(home: ArchiveHome, weed: Weed, object_id: ObjectId) -> dict[str, bool]:
    """Delete every version of an object by its id with the archive's key; return what was refused."""
    client, refused = weed.client("first"), {}
    prefix = f"store/{object_root(object_id)}/"
    for row in client.list_object_versions(Bucket=home.settings.s3_bucket, Prefix=prefix)["Versions"]:
        where = {"Bucket": home.settings.s3_bucket, "Key": row["Key"], "VersionId": row["VersionId"]}
        try:
            client.delete_object(**where, BypassGovernanceRetention=True)
        except ClientError:
            refused[row["Key"].removeprefix(prefix)] = True
        else:
            refused[row["Key"].removeprefix(prefix)] = False
    return refused


def test_a_stolen_key_shortens_locks(home: ArchiveHome, kept: ObjectId, weed: Weed) -> None:
    """COMPLIANCE has no shorter; on files the lock times are ours, and taking them away takes nothing away."""
    if home.settings.store == "files":
        assert home.services.objects.locked_until(kept) is not None
        return
    client, prefix = weed.client("first"), f"store/{object_root(kept)}/v1/content/"
    rows = client.list_object_versions(Bucket=home.settings.s3_bucket, Prefix=prefix)["Versions"]
    assert rows
    soon = datetime.now(UTC) + timedelta(seconds=2)
    for row in rows:
        where = {"Bucket": home.settings.s3_bucket, "Key": row["Key"], "VersionId": row["VersionId"]}
        before = client.get_object_retention(**where)["Retention"]
        for mode in ("COMPLIANCE", "GOVERNANCE"):
            with pytest.raises(ClientError):
                client.put_object_retention(**where, Retention={"Mode": mode, "RetainUntilDate": soon})
            with pytest.raises(ClientError):
                client.put_object_retention(
                    **where, BypassGovernanceRetention=True, Retention={"Mode": mode, "RetainUntilDate": soon}
                )
        assert client.get_object_retention(**where)["Retention"] == before
    client.delete_object(Bucket=home.settings.s3_bucket, Key=rows[0]["Key"])
    home.reopen()
    assert is_whole(home, kept), "a delete marker takes nothing away"
    assert "fsck.covered" in {found.code for found in home.faults()}
    with pytest.raises(ClientError):
        client.list_object_versions(Bucket=home.settings.copy_s3_bucket)
