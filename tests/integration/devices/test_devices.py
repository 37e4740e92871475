"""The register of devices: who sees and changes what, who may take one, the ledger, the clock, a list taken in."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.devices.handover import (
    CertificateNotValid,
    Check,
    CheckMissing,
    DeviceNotReady,
    HolderChanged,
    hand_over,
    may_take,
)
from archive.devices.importing import (
    COLUMNS,
    DeviceListFaulty,
    DeviceListInvalid,
    import_devices,
    read_device_list,
)
from archive.devices.listings import WhichDevices, device_view, devices
from archive.devices.models import Device, DeviceHandover
from archive.devices.register import (
    DeviceFacts,
    DeviceHeld,
    DeviceNotFound,
    SerialTaken,
    change_device,
    record_device,
)
from archive.devices.terms import DeviceState
from archive.evidence.terms import SourceKind
from archive.kernel.errors import Forbidden, InvalidInput
from archive.kernel.ids import DeviceId, ObjectId, OfficerId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.models import Officer, Unit
from archive.organisation.officers import OfficerFacts, OfficerNotFound, record_officer
from archive.organisation.sheets import xlsx_sheet
from archive.organisation.units import UnitNotFound, change_unit
from tests.integration.access.test_sight import work
from tests.integration.complaints.conftest import Office
from tests.support.archive_home import ArchiveHome

WHOLE = Check(95, 51_200, -2)


@pytest.fixture
def head(office: Office) -> Caller:
    return office.person("head", unit=office.team)


def record(office: Office, by: Caller, serial: str = "DSJ-0140", **fields: object) -> DeviceId:
    given = {"unit_id": office.team, "kind": SourceKind.BODY_WORN, "model": "X1", **fields}
    facts = DeviceFacts(serial, **given)  # type: ignore[arg-type]
    return record_device(office.seen_by(by), facts, by=by, at=office.home.clock.now())


def row_of(home: ArchiveHome, device_id: DeviceId) -> Device:
    with home.database.read() as tx:
        return tx.get_one(Device, device_id)


def give(
    office: Office,
    device_id: DeviceId,
    to: OfficerId | None,
    *,
    by: Caller,
    seen: OfficerId | None = None,
    check: Check = WHOLE,
) -> None:
    hand_over(
        office.seen_by(by), device_id, seen_holder=seen, to=to, check=check, by=by, at=office.home.clock.now()
    )  # fmt: skip


def listed(office: Office, person: Caller, which: WhichDevices = WhichDevices.ALL) -> list[str]:
    with office.seen_by(person).read() as tx:
        return [row.device.serial for row in devices(tx, which=which).rows]


# ---- the register --------------------------------------------------------------------------------------------------


def test_a_device_is_written_down_once(office: Office, home: ArchiveHome, head: Caller) -> None:
    before = len(home.entries())
    device_id = record(office, head)
    assert home.types()[before:] == ["device.recorded"]
    beside = office.person("beside", unit=office.other_team)
    for by, serial in ((head, "DSJ-0140"), (beside, " ＤＳＪ-0140 ")):  # also for who does not see it
        with pytest.raises(SerialTaken):
            record(office, by, serial, unit_id=office.other_team if by is beside else office.team)
    assert listed(office, head) == ["DSJ-0140"]
    assert listed(office, beside) == []
    assert row_of(home, device_id).holder_id is None
    home.assert_sound()


def test_of_two_at_once_one_is_written(office: Office, home: ArchiveHome, head: Caller) -> None:
    def go(_: int) -> bool:
        try:
            record(office, head)
        except SerialTaken:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(go, range(3))) == [False, False, True]
    assert home.types().count("device.recorded") == 1


@pytest.mark.parametrize("serial", ["", " ", "x" * 129, "a\nb", "a\0b"])
def test_what_is_no_serial_is_refused(office: Office, home: ArchiveHome, head: Caller, serial: str) -> None:
    with pytest.raises(InvalidInput):
        record(office, head, serial)
    with pytest.raises(UnitNotFound):
        record(office, head, unit_id=new_uuid7())
    assert home.count("device") == 0


def test_who_may_not_file_cases_changes_nothing(office: Office, home: ArchiveHome, head: Caller) -> None:
    auditor, device_id = office.person("auditor", Role.AUDITOR), record(office, head)
    facts = DeviceFacts("DSJ-0140", SourceKind.DRONE, office.team)
    for doing in (
        lambda: record(office, auditor, "other"),
        lambda: change_device(home.database, device_id, facts, by=auditor, at=home.clock.now()),
        lambda: give(office, device_id, office.officer, by=auditor),
        lambda: import_devices(home.database, b"", units=[], by=auditor, at=home.clock.now()),
    ):
        with pytest.raises(Forbidden):
            doing()


def test_a_change_has_its_entry_and_the_same_again_none(office: Office, home: ArchiveHome, head: Caller) -> None:
    device_id, before = record(office, head), len(home.entries())
    facts = DeviceFacts("DSJ-0140", SourceKind.BODY_WORN, office.team, "X1", "2.1", DeviceState.REPAIR, "屏幕碎裂")
    assert change_device(office.seen_by(head), device_id, facts, by=head, at=home.clock.now())
    assert not change_device(office.seen_by(head), device_id, facts, by=head, at=home.clock.now())
    with pytest.raises(InvalidInput):
        other = DeviceFacts("DSJ-0141", SourceKind.BODY_WORN, office.team)
        change_device(office.seen_by(head), device_id, other, by=head, at=home.clock.now())
    assert home.types()[before:] == ["device.updated"]
    assert listed(office, head, WhichDevices.REPAIR) == ["DSJ-0140"]
    home.assert_sound()
    assert home.execute("UPDATE device SET note = 'x'") == 1
    assert [fault.code for fault in home.faults()] == ["fsck.row_changed"]


def test_another_units_device_looks_as_if_it_did_not_exist(office: Office, home: ArchiveHome, head: Caller) -> None:
    beside, device_id = office.person("beside", unit=office.other_team), record(office, head)
    with office.seen_by(beside).read() as tx, pytest.raises(DeviceNotFound):
        device_view(tx, device_id)
    with pytest.raises(DeviceNotFound):
        give(office, device_id, office.officer, by=beside)
    change_unit(
        home.database, office.team, code="01", name="一中队", parent_id=office.other_team, by=OPERATOR, at=home.clock.now()
    )  # fmt: skip
    work(home)
    assert listed(office, beside) == ["DSJ-0140"]


def test_pages_hold_each_once(office: Office, head: Caller) -> None:
    for number in range(5):
        record(office, head, f"D{number}")
    found, cursor = [], None
    with office.seen_by(head).read() as tx:
        while True:
            page = devices(tx, cursor=cursor, limit=2)
            found += [row.device.serial for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(InvalidInput):
            devices(tx, cursor="cases~x~y")
    assert found == ["D4", "D3", "D2", "D1", "D0"]


# ---- handing over --------------------------------------------------------------------------------------------------


def test_a_device_goes_from_hand_to_hand(office: Office, home: ArchiveHome, head: Caller) -> None:
    facts = OfficerFacts("530111002", "王执法", "官渡区综合行政执法局")
    second = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())
    device_id, before = record(office, head), len(home.entries())
    give(office, device_id, office.officer, by=head)
    give(office, device_id, second, by=head, seen=office.officer)
    give(office, device_id, None, by=head, seen=second, check=Check())
    assert home.types()[before:] == ["device.handed_over"] * 3
    with office.seen_by(head).read() as tx:
        view = device_view(tx, device_id)
    assert [(line.from_id, line.to_id) for line in view.handovers] == [
        (second, None), (office.officer, second), (None, office.officer),
    ]  # fmt: skip
    assert view.handovers[-1].battery_percent == 95
    assert set(view.officers) == {office.officer, second}
    known = {entry["id"] for entry in home.entries()}
    assert {str(line.entry_id) for line in view.handovers} <= known
    home.assert_sound()


def test_of_two_who_hand_it_over_at_once_one_does(office: Office, home: ArchiveHome, head: Caller) -> None:
    device_id = record(office, head)

    def go(_: int) -> bool:
        try:
            give(office, device_id, office.officer, by=head)
        except HolderChanged:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(go, range(2))) == [False, True]
    assert home.count("device_handover") == 1
    with pytest.raises(HolderChanged):  # who has it already
        give(office, device_id, office.officer, by=head, seen=office.officer)


@pytest.mark.parametrize(
    "values",
    [
        {"valid_until": date(2020, 1, 1)},
        {"valid_from": date(2999, 1, 1)},
        {"suspended_at": "now", "suspension_reason": "停职"},
    ],
)
def test_without_a_valid_certificate_nobody_takes_one(
    office: Office, home: ArchiveHome, head: Caller, values: dict[str, object]
) -> None:
    device_id = record(office, head)
    given = {name: home.clock.now() if value == "now" else value for name, value in values.items()}
    with home.database.begin() as tx:
        tx.execute(update(Officer).where(Officer.id == office.officer).values(**given))
    before = len(home.entries())
    with pytest.raises(CertificateNotValid):
        give(office, device_id, office.officer, by=head)
    assert (len(home.entries()), row_of(home, device_id).holder_id) == (before, None)


@pytest.mark.parametrize("check", [Check(), Check(90, 100, None), Check(None, 100, 0), Check(90, None, 0)])
def test_nobody_takes_one_unchecked(office: Office, head: Caller, check: Check) -> None:
    with pytest.raises(CheckMissing):
        give(office, record(office, head), office.officer, by=head, check=check)


@pytest.mark.parametrize("check", [Check(101, 1, 1), Check(-1, 1, 1), Check(1, -1, 1), Check(1, 1, 10**10)])
def test_what_cannot_be_is_refused(office: Office, head: Caller, check: Check) -> None:
    with pytest.raises(InvalidInput):
        give(office, record(office, head), office.officer, by=head, check=check)


def test_only_what_is_in_service_goes_out(office: Office, home: ArchiveHome, head: Caller) -> None:
    broken = record(office, head, state=DeviceState.REPAIR)
    with pytest.raises(DeviceNotReady):
        give(office, broken, office.officer, by=head)
    with pytest.raises(OfficerNotFound):
        give(office, broken, OfficerId(new_uuid7()), by=head)
    whole = record(office, head, "DSJ-2")
    give(office, whole, office.officer, by=head)
    facts = DeviceFacts("DSJ-2", SourceKind.BODY_WORN, office.team, "X1", state=DeviceState.LOST)
    with pytest.raises(DeviceHeld):
        change_device(home.database, whole, facts, by=head, at=home.clock.now())


_DAYS = st.none() | st.dates(date(2020, 1, 1), date(2030, 1, 1))


@given(_DAYS, _DAYS, st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.booleans())
def test_a_certificate_holds_from_its_first_day_to_its_last(
    first: date | None, last: date | None, today: date, suspended: bool
) -> None:
    from datetime import UTC, datetime

    officer = Officer(valid_from=first, valid_until=last, suspended_at=datetime.now(UTC) if suspended else None)
    holds = not suspended and (first or today) <= today <= (last or today)
    assert may_take(officer, today=today) == holds


# ---- the clock -----------------------------------------------------------------------------------------------------


def test_offsets_and_the_last_item_come_from_what_was_docked(
    office: Office, home: ArchiveHome, head: Caller, deliver: Callable[..., ObjectId]
) -> None:
    device_id = record(office, head, "CAM-0042")
    with office.seen_by(head).read() as tx:
        view = device_view(tx, device_id)
    assert (view.last_offset, view.is_far_off, view.row.last_seen_at) == (None, False, None)
    times = {"signed": "2026-03-01T08:00:00Z"}
    for data, offset in ((b"one", -1500), (b"two", 30_001)):
        deliver(data, f"{offset}.bin", times={**times, "clock_offset_ms": offset})
    deliver(b"three", "3.bin", times={**times, "clock_offset_ms": 5}, device={"serial": "OTHER"})
    with office.seen_by(head).read() as tx:
        view = device_view(tx, device_id)
    assert [one.offset_ms for one in view.offsets] == [-1500, 30_001]
    assert view.is_far_off
    assert view.row.last_seen_at == view.offsets[-1].at


# ---- a list --------------------------------------------------------------------------------------------------------


def units(home: ArchiveHome) -> Sequence[Unit]:
    with home.database.read() as tx:
        return tx.scalars(select(Unit)).all()


GOOD = '序列号,类型,单位,型号,备注\nA1,执法记录仪,一中队,X1,\nA2,drone,02,,"一, 二"\n\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_list_is_taken_in(office: Office, home: ArchiveHome, head: Caller, encoding: str) -> None:
    before = len(home.entries())
    count = import_devices(
        home.database, GOOD.encode(encoding), units=units(home), by=head, at=home.clock.now()
    )  # fmt: skip
    assert count == 2
    assert home.types()[before:] == ["device.recorded"] * 2
    assert listed(office, head) == ["A1"]  # the other one is of another team
    assert home.rows("SELECT note FROM device WHERE serial = 'A2'") == [("一, 二",)]
    home.assert_sound()


def test_a_list_may_be_a_spreadsheet(office: Office, home: ArchiveHome, head: Caller) -> None:
    rows = [{"serial": "A1", "kind": "执法记录仪", "unit": "一中队"}, {"serial": "=A2", "kind": "drone", "unit": "02"}]
    data = xlsx_sheet(COLUMNS, rows)
    assert import_devices(home.database, data, units=units(home), by=head, at=home.clock.now()) == 2
    assert home.rows("SELECT serial FROM device ORDER BY serial") == [("=A2",), ("A1",)]


def test_every_problem_is_told_by_its_row_and_nothing_is_written(
    office: Office, home: ArchiveHome, head: Caller
) -> None:
    record(office, head, "A1")
    text = (
        "serial,kind,unit,model\n"
        "A1,drone,一中队,\n"  # known
        ",drone,一中队,\n"  # without serial
        "B1,nonsense,nowhere,\n"  # two problems
        f"B2,drone,01,{'x' * 101}\n"
        "B3,drone,01,\n"
        "Ｂ3,drone,01,\n"  # the same in another form
    )
    before = len(home.entries())
    with home.database.read() as tx:
        read = read_device_list(tx, text.encode(), units=units(home))
    assert [(found.line, found.column, found.why) for found in read.problems] == [
        (2, "serial", "known"), (3, "serial", "missing"), (4, "kind", "unknown"), (4, "unit", "unknown"),
        (5, "model", "unreadable"), (7, "serial", "twice"),
    ]  # fmt: skip
    assert [facts.serial for facts in read.devices] == ["B3"]
    with pytest.raises(DeviceListFaulty):
        import_devices(home.database, text.encode(), units=units(home), by=head, at=home.clock.now())
    assert (len(home.entries()), home.count("device")) == (before, 1)


@pytest.mark.parametrize(
    "data",
    [b"", b"serial,kind\nA,drone\n", b"serial,serial,kind,unit\n", b'serial,kind,unit\n"A', b"\xff\xff\xff", b"x" * (1 << 20) + b"y",
     b"serial,kind,unit\n" + b"A,drone,01\n" * 5001],
)  # fmt: skip
def test_what_is_no_list_is_refused(home: ArchiveHome, office: Office, head: Caller, data: bytes) -> None:
    with pytest.raises(DeviceListInvalid):
        import_devices(home.database, data, units=units(home), by=head, at=home.clock.now())
    assert home.count("device") == 0
    with home.database.read() as tx:
        assert tx.scalars(select(DeviceHandover)).all() == []


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    from archive.devices import importing

    try:
        rows = importing._rows(b"serial,kind,unit\n" + data)
    except DeviceListInvalid:
        return
    for line, row in rows:
        importing._problems(line, row, {})
