"""Subjects: who is the same as whom, numbers that are nowhere to be read, and who sees them whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from archive.access.policy import Role
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.merges import merge_subjects
from archive.cases.rekeying import rekey_identifiers, used_keys
from archive.cases.subject_listings import subject_view, subjects
from archive.cases.subjects import (
    IdentifierNotFound,
    IdentifierTaken,
    IdentifierUnfit,
    KnownSubject,
    NewSubject,
    SubjectNotFound,
    add_identifier,
    record_subject,
    remove_identifier,
    show_identifier,
    update_subject,
)
from archive.cases.terms import SubjectKind
from archive.kernel.errors import Forbidden, InvalidInput
from archive.kernel.ids import IdentifierId, SubjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.ports.identifiers import IdentifierUnreadable
from tests.integration.cases.test_filing import at_once
from tests.support.archive_home import ArchiveHome

PERSON, ORGANISATION = SubjectKind
CODE = Identifier(IdentifierKind.CREDIT_CODE, "91350100M000100Y43")
RESIDENT = Identifier(IdentifierKind.RESIDENT_ID, "11010519491231002X")
SECOND = Identifier(IdentifierKind.RESIDENT_ID, "440524188001010014")
PASSPORT = Identifier(IdentifierKind.PASSPORT, "EA1234567")


def record(home: ArchiveHome, given: NewSubject) -> SubjectId:
    return record_subject(home.database, home.services.identifiers, given, by=OPERATOR, at=home.clock.now())


def person(home: ArchiveHome, name: str = "张三", number: Identifier | None = None) -> SubjectId:
    return record(home, NewSubject(name, PERSON, number))


def add(home: ArchiveHome, subject_id: SubjectId, number: Identifier) -> bool:
    return add_identifier(
        home.database, home.services.identifiers, subject_id, number, by=OPERATOR, at=home.clock.now()
    )


def update(home: ArchiveHome, subject_id: SubjectId, **fields: Any) -> bool:
    return update_subject(home.database, subject_id, **fields, by=OPERATOR, at=home.clock.now())


def masks(home: ArchiveHome, subject_id: SubjectId) -> list[str | None]:
    with home.database.read() as tx:
        view = subject_view(tx, home.services.identifiers, subject_id)
    return [number.text for number in view.identifiers]


def only_number(home: ArchiveHome, subject_id: SubjectId) -> IdentifierId:
    with home.database.read() as tx:
        (number,) = subject_view(tx, home.services.identifiers, subject_id).identifiers
    return number.id


def found_by(home: ArchiveHome, number: str) -> list[SubjectId]:
    with home.database.read() as tx:
        return [SubjectId(row.subject.id) for row in subjects(tx, home.services.identifiers, number=number).rows]


def sound(home: ArchiveHome) -> None:
    home.sequence()
    home.assert_sound()


# ---- who is the same as whom ----------------------------------------------------------------------------------------


def test_a_name_alone_makes_nobody_the_same(home: ArchiveHome) -> None:
    first, second = person(home), person(home)
    assert first != second
    home.case("1", subject="某某餐饮店")
    home.case("2", subject="某某餐饮店")
    assert home.count("subject") == 4
    sound(home)


def test_the_same_checked_number_is_the_same_subject(home: ArchiveHome) -> None:
    first = person(home, "张三", RESIDENT)
    assert person(home, "张三", RESIDENT) == first
    assert person(home, "张叁", RESIDENT) == first, "the number decides, whatever the name says"
    assert person(home, "张三", SECOND) != first
    home.case("1", subject=NewSubject("张三", PERSON, RESIDENT))
    assert home.rows("SELECT name FROM subject ORDER BY created_at") == [("张三",), ("张三",)]
    assert home.types().count("subject.recorded") == 2
    sound(home)


def test_a_number_without_a_check_decides_under_the_same_name_only(home: ArchiveHome) -> None:
    first = person(home, "John", PASSPORT)
    assert person(home, " John ", PASSPORT) == first
    with pytest.raises(IdentifierTaken) as refused:
        person(home, "Jack", PASSPORT)
    assert refused.value.facts == {"subject_id": first}
    other = Identifier(IdentifierKind.OTHER, "A1")
    record(home, NewSubject("John", ORGANISATION, other))
    with pytest.raises(IdentifierTaken):
        record(home, NewSubject("John", PERSON, other))
    assert home.count("subject") == 2


def test_a_number_that_does_not_fit_is_refused(home: ArchiveHome) -> None:
    for given in (NewSubject("张三", PERSON, CODE), NewSubject("某店", ORGANISATION, RESIDENT)):
        with pytest.raises(IdentifierUnfit):
            record(home, given)
    subject_id = person(home)
    with pytest.raises(IdentifierUnfit):
        add(home, subject_id, CODE)
    add(home, subject_id, RESIDENT)
    with pytest.raises(IdentifierUnfit):
        update(home, subject_id, kind=ORGANISATION)
    assert home.count("subject") == 1


def test_one_number_recorded_by_several_at_once_is_one_subject(home: ArchiveHome) -> None:
    results = at_once(*[lambda: person(home, "张三", RESIDENT)] * 6)
    assert len(set(results)) == 1
    assert isinstance(results[0], type(new_uuid7()))
    assert home.count("subject") == home.count("subject_identifier") == home.types().count("subject.recorded") == 1
    sound(home)


def test_several_cases_at_once_with_one_number_stand_under_one_subject(home: ArchiveHome) -> None:
    works: list[Callable[[], Any]] = [
        lambda number=number: home.case(str(number), subject=NewSubject("张三", PERSON, RESIDENT))  # type: ignore[misc]
        for number in range(5)
    ]
    at_once(*works)
    assert home.count("case_file") == 5
    assert home.rows("SELECT count(DISTINCT subject_id) FROM case_file") == [(1,)]
    sound(home)


def test_a_number_given_to_two_subjects_at_once_is_one_of_theirs(home: ArchiveHome) -> None:
    first, second = person(home, "一"), person(home, "二")
    results = at_once(lambda: add(home, first, RESIDENT), lambda: add(home, second, RESIDENT))
    assert sorted(map(str, results)) == sorted(["True", str(IdentifierTaken)])
    sound(home)


def test_somebody_on_record_is_given_their_number_with_a_case(home: ArchiveHome) -> None:
    subject_id = record(home, NewSubject("某店", ORGANISATION))
    home.case("1", subject=KnownSubject(subject_id, CODE))
    assert masks(home, subject_id) == ["913***********0Y43"]
    home.case("2", subject=KnownSubject(subject_id, CODE))
    other = record(home, NewSubject("别店", ORGANISATION))
    with pytest.raises(IdentifierTaken):
        home.case("3", subject=KnownSubject(other, CODE))
    with pytest.raises(SubjectNotFound):
        home.case("3", subject=KnownSubject(SubjectId(new_uuid7())))
    assert home.count("case_file") == 2
    sound(home)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "\x00"])
def test_an_unusable_name_is_refused(home: ArchiveHome, name: str) -> None:
    with pytest.raises(InvalidInput):
        person(home, name)
    subject_id = person(home)
    with pytest.raises(InvalidInput):
        update(home, subject_id, name=name)
    assert home.types() == ["subject.recorded"]


# ---- changes --------------------------------------------------------------------------------------------------------


def detail_of(home: ArchiveHome, kind: str) -> list[dict[str, Any]]:
    rows = home.rows("SELECT e.body, d.detail FROM log_entry e JOIN log_detail d ON d.entry_id = e.id ORDER BY e.id")
    return [json.loads(detail) for body, detail in rows if json.loads(body)["type"] == kind]


def test_a_change_says_what_was_there_before(home: ArchiveHome) -> None:
    subject_id = person(home, "张三")
    assert update(home, subject_id, name=" 张叁 ")
    assert update(home, subject_id, kind=ORGANISATION, name="张叁")
    assert not update(home, subject_id, kind=ORGANISATION, name="张叁")
    assert not update(home, subject_id)
    assert detail_of(home, "subject.updated") == [
        {"name": "张叁", "was": {"name": "张三"}},
        {"kind": "organisation", "was": {"kind": "person"}},
    ]
    with pytest.raises(SubjectNotFound):
        update(home, SubjectId(new_uuid7()), name="x")
    sound(home)


def test_numbers_come_and_go_with_their_entries(home: ArchiveHome) -> None:
    subject_id = person(home)
    assert add(home, subject_id, RESIDENT)
    assert not add(home, subject_id, RESIDENT)
    assert add(home, subject_id, PASSPORT)
    sound(home)
    with home.database.read() as tx:
        first, second = subject_view(tx, home.services.identifiers, subject_id).identifiers
    with pytest.raises(IdentifierNotFound):
        remove_identifier(home.database, person(home), first.id, reason="x", by=OPERATOR, at=home.clock.now())
    with pytest.raises(InvalidInput):
        remove_identifier(home.database, subject_id, first.id, reason=" ", by=OPERATOR, at=home.clock.now())
    remove_identifier(home.database, subject_id, first.id, reason="登记错误", by=OPERATOR, at=home.clock.now())
    with pytest.raises(IdentifierNotFound):
        remove_identifier(home.database, subject_id, first.id, reason="x", by=OPERATOR, at=home.clock.now())
    assert masks(home, subject_id) == ["*****4567"]
    last = detail_of(home, "subject.updated")[-1]
    assert last["reason"] == "登记错误"
    assert [one["id"] for one in last["identifiers"]] == [str(second.id)]
    assert last["was"] == {"identifiers": [str(first.id), str(second.id)]}
    person(home, "别人", RESIDENT)  # the number is free again
    sound(home)


# ---- secrecy --------------------------------------------------------------------------------------------------------


def everything_stored(home: ArchiveHome) -> bytes:
    """Every byte that the database and the home keep, as far as a test can get at it."""
    if home.database.is_sqlite:
        path = Path(str(home.database.url.database))
        kept = b"".join(found.read_bytes() for found in path.parent.glob(path.name + "*"))
    else:
        tables = [name for (name,) in home.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        dumped = [str(row) for name in tables for row in home.rows(f"SELECT t::text FROM {name} t")]
        # bytea is printed in hexadecimal, and the log's details are bytes
        kept = "\n".join(dumped).encode()
        kept += b"".join(bytes(detail) for (detail,) in home.rows("SELECT detail FROM log_detail"))
    files = [found for found in home.path.rglob("*") if found.is_file()]
    return kept + b"".join(found.read_bytes() for found in files)


def test_no_number_is_to_be_read_anywhere(home: ArchiveHome) -> None:
    supervisor = home.person(Role.SUPERVISOR)
    first = person(home, "张三", RESIDENT)
    second = record(home, NewSubject("某店", ORGANISATION, CODE))
    home.case("1", subject=KnownSubject(first, PASSPORT))
    home.case("2", subject=KnownSubject(second))
    with home.database.read() as tx:
        numbers = subject_view(tx, home.services.identifiers, first).identifiers
    show_identifier(
        home.database, home.services.identifiers, first, numbers[0].id, purpose="核对身份", by=supervisor,
        at=home.clock.now(),
    )  # fmt: skip
    home.sequence()
    stored = everything_stored(home)
    assert "张三".encode() in stored, "the test looks where names stand"
    for number in (RESIDENT, CODE, PASSPORT):
        whole = number.number.encode()
        for part in (whole, whole.hex().encode(), whole[-8:], whole[:8]):
            assert part not in stored, number.kind


def test_a_whole_number_is_shown_for_a_purpose_and_on_record(home: ArchiveHome) -> None:
    handler, auditor = home.person(Role.CASE_HANDLER), home.person(Role.AUDITOR)
    subject_id = person(home, "张三", RESIDENT)
    number = only_number(home, subject_id)

    def show(by: Any = handler, purpose: str = "核对身份", subject: SubjectId = subject_id) -> Identifier:
        vault = home.services.identifiers
        return show_identifier(home.database, vault, subject, number, purpose=purpose, by=by, at=home.clock.now())

    before = home.types()
    for who in (auditor, home.person(Role.ADMINISTRATOR)):
        with pytest.raises(Forbidden):
            show(who)
    with pytest.raises(InvalidInput):
        show(purpose=" ")
    with pytest.raises(IdentifierNotFound):
        show(subject=person(home, "别人"))
    assert [kind for kind in home.types() if kind not in {*before, "subject.recorded"}] in ([], ["admin.signed_in"])
    assert show() == RESIDENT
    assert detail_of(home, "access.identifier") == [
        {"purpose": "核对身份", "identifier": str(number), "kind": "resident_id"}
    ]
    entry = next(entry for entry in home.entries() if entry["type"] == "access.identifier")
    assert entry["actor"] == str(handler.account_id)
    assert entry["obj"] == {"kind": "subject", "id": str(subject_id)}
    sound(home)


def test_a_ciphertext_opens_in_its_own_place_only(home: ArchiveHome) -> None:
    first, second = person(home, "一", RESIDENT), person(home, "二")
    home.execute(
        "UPDATE subject_identifier SET subject_id = :second WHERE subject_id = :first",
        first=home.id_value(first), second=home.id_value(second),
    )  # fmt: skip
    assert masks(home, second) == [None], "shown as what cannot be opened, and nothing breaks"
    supervisor = home.person(Role.SUPERVISOR)
    with pytest.raises(IdentifierUnreadable):
        show_identifier(
            home.database, home.services.identifiers, second, only_number(home, second), purpose="x", by=supervisor,
            at=home.clock.now(),
        )  # fmt: skip
    assert "access.identifier" not in home.types()


# ---- finding --------------------------------------------------------------------------------------------------------


def test_numbers_are_found_whole_and_by_their_last_four(home: ArchiveHome) -> None:
    first = person(home, "张三", RESIDENT)
    second = record(home, NewSubject("某店", ORGANISATION, CODE))
    third = person(home, "李四", Identifier(IdentifierKind.OTHER, "军官证 002X"))
    assert found_by(home, "11010519491231002X") == found_by(home, " 110105-19491231-002x ") == [first]
    assert found_by(home, "110105491231002") == [first]
    assert found_by(home, "91350100m000100y43") == found_by(home, "0Y43") == [second]
    assert sorted(found_by(home, "002x")) == sorted([first, third])
    assert found_by(home, "军官证  002X") == [third]
    for nothing in ("1101", "11010519491231002", "9Y43", "x" * 100, "😀", "张三", "%", "\x00"):
        assert found_by(home, nothing) == [], nothing
    merge_subjects(home.database, third, first, reason="x", by=OPERATOR, at=home.clock.now())
    assert found_by(home, "11010519491231002X") == [third], "whoever stands under another is shown as that one"


# ---- keys -----------------------------------------------------------------------------------------------------------


def test_a_new_key_takes_over_and_the_old_one_can_go(home: ArchiveHome) -> None:
    vault = home.services.identifiers
    first = person(home, "张三", RESIDENT)
    add(home, first, PASSPORT)
    second = record(home, NewSubject("某店", ORGANISATION, CODE))
    old = vault.key_ids[0]
    new = vault.add_key()
    third = person(home, "李四", SECOND)  # under the new key at once
    assert person(home, "张三", RESIDENT) == first, "found under the old key"
    with pytest.raises(IdentifierTaken):
        add(home, third, RESIDENT)
    assert rekey_identifiers(home.database, vault, by=OPERATOR, clock=home.clock) == 3
    assert rekey_identifiers(home.database, vault, by=OPERATOR, clock=home.clock) == 0
    with home.database.read() as tx:
        assert used_keys(tx) == [new]
        assert vault.forget_keys(but=used_keys(tx)) == [old]
    assert person(home, "张三", RESIDENT) == first
    assert found_by(home, "0Y43") == [second]
    assert masks(home, first) == ["110***********002X", "*****4567"]
    assert detail_of(home, "subject.updated")[-1]["reason"] == "rekeyed"
    sound(home)


def test_an_archive_from_before_gets_its_key_and_one_that_lost_it_does_not(home: ArchiveHome) -> None:
    path = home.path / "keys" / "subjects.key"
    path.unlink()
    home.reopen()
    assert path.stat().st_mode & 0o777 == 0o600
    subject_id = person(home, "张三", RESIDENT)
    kept = path.read_bytes()
    path.unlink()
    home.reopen()
    assert not path.exists()
    assert masks(home, subject_id) == [None]
    for act in (lambda: person(home, "李四", SECOND), lambda: found_by(home, "002X")):
        with pytest.raises(IdentifierUnreadable):
            act()
    person(home, "without a number")
    path.write_bytes(kept)
    path.chmod(0o600)
    assert masks(home, subject_id) == ["110***********002X"]
    sound(home)


def test_the_index_is_unique_whatever_the_code_does(home: ArchiveHome) -> None:
    person(home, "张三", RESIDENT)
    with home.database.read() as tx:
        columns = "subject_id, kind, key_id, sealed, whole_index, last_index, recorded_at"
        sql = text(f"INSERT INTO subject_identifier (id, {columns}) SELECT :id, {columns} FROM subject_identifier")
        with pytest.raises(Exception, match=r"(?i)unique"):
            tx.execute(sql, {"id": home.id_value(new_uuid7())})
