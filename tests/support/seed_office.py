"""Complaints, devices and notices for a bureau that is looked at, made by the real use cases."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select

from archive.access.classes import RestrictedClass
from archive.access.clearances import grant_clearance
from archive.access.policy import Role
from archive.complaints.complainants import Complainant
from archive.complaints.linking import Links
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.steps import assign_complaint, take_step
from archive.complaints.sweeping import tell_deadlines
from archive.complaints.terms import Channel, ComplaintKind, State
from archive.devices.handover import Check, hand_over
from archive.devices.models import Device
from archive.devices.register import DeviceFacts, change_device, record_device
from archive.devices.terms import DeviceState
from archive.evidence.terms import SourceKind
from archive.kernel.ids import AccountId, CaseId, ComplaintId, DeviceId, OfficerId
from archive.notify.notices import mark_all_read
from archive.organisation.models import Officer, Unit
from tests.support import seed
from tests.support.seed import Bureau

_COMPLAINTS: tuple[tuple[str, ComplaintKind, Channel, int, str, str, Complainant | None, tuple[State, ...]], ...] = (
    ("said", ComplaintKind.COMPLAINT, Channel.HOTLINE, 18, "北市区中队",
     "2026 年 3 月 2 日上午，执法人员在我店门前扣押烧烤炉具时没有出示证件，也没有当场交付扣押清单。\n请调取当天的执法记录仪录像核实，并书面答复。",
     Complainant("张桂芳", "13888123456"), (State.ACCEPTED, State.INVESTIGATED)),
    ("late", ComplaintKind.COMPLAINT, Channel.LETTER, 66, "关上中队", "夜市摊位清理后垃圾未及时清运，多次反映没有结果。",
     Complainant("刘建国", "昆明市官渡区关上街道 12 号"), (State.ACCEPTED,)),
    ("due", ComplaintKind.COMPLAINT, Channel.TELEPHONE, 5, "太和中队", "工地夜间施工噪声扰民。", None, ()),
    ("answered", ComplaintKind.COMPLAINT, Channel.WEBSITE, 31, "关上中队", "共享单车占用盲道。",
     Complainant("陈莉", "chenli@example.cn"), (State.ACCEPTED, State.INVESTIGATED, State.ANSWERED)),
    ("report", ComplaintKind.REPORT, Channel.WINDOW, 2, "北市区中队", "有人在夜间偷倒建筑垃圾，车牌尾号 27。",
     Complainant("李某", "13700001234"), ()),
)  # fmt: skip
_WORDS = {
    State.ACCEPTED: "属于本局职责，决定受理，已电话告知投诉人。",
    State.INVESTIGATED: "已调阅 3 月 2 日的执法记录仪录像，并询问当事执法人员。录像显示已出示证件；扣押清单于次日补送。",
    State.ANSWERED: "已书面答复投诉人，并当面说明处理结果。",
}


def take_complaints(bureau: Bureau) -> dict[str, ComplaintId]:
    """Register complaints in every state of urgency and a report, and tell people of deadlines. Idempotent."""
    seed.organise(bureau)
    services, now = bureau.services, bureau.now()
    made = bureau.complaints
    if made:
        return made
    for role in (Role.UNIT_HEAD, Role.SUPERVISOR):
        grant_clearance(
            services.database, AccountId(bureau.people[role].id), restricted_class=RestrictedClass.INFORMANT,
            until=now + timedelta(days=180), reason="承办举报件", by=bureau.people[Role.ADMINISTRATOR], at=now,
        )  # fmt: skip
    head = seed.caller(bureau, Role.UNIT_HEAD)
    with services.database.read() as tx:
        units = {unit.name: unit.id for unit in tx.scalars(select(Unit))}
        officer = OfficerId(tx.scalars(select(Officer.id).where(Officer.name == "马俊")).one())
    for name, kind, channel, days, unit, says, who, steps in _COMPLAINTS:
        received = now - timedelta(days=days, hours=2)
        links = Links([CaseId(bureau.cases["main"])], [officer], [bureau.items["video"]]) if name == "said" else Links()
        given = NewComplaint(kind, channel, received, says, units[unit], who, links)
        made[name] = register_complaint(
            services.database, services.identifiers, services.complaints.rules, given,
            by=head, at=received + timedelta(hours=1),
        )  # fmt: skip
        if steps:
            responsible = AccountId(bureau.people[Role.SUPERVISOR].id)
            assigned = received + timedelta(hours=3)
            assign_complaint(services.database, made[name], responsible, by=head, at=assigned)
        for number, state in enumerate(steps, start=1):
            at = received + timedelta(days=2 * number, hours=number)
            take_step(services.database, made[name], state, text=_WORDS[state], by=head, at=at)
    mark_all_read(services.database, AccountId(bureau.people[Role.SUPERVISOR].id), at=now)
    while tell_deadlines(services.database, services.complaints.rules, at=now):
        pass
    return made


def keep_devices(bureau: Bureau) -> dict[str, DeviceId]:
    """Write devices down, hand some of them over and back, and let one's clock go wrong. Idempotent."""
    seed.organise(bureau)
    services, now = bureau.services, bureau.now()
    with services.database.read() as tx:
        found = {row.serial: DeviceId(row.id) for row in tx.scalars(select(Device))}
        units = {unit.name: unit.id for unit in tx.scalars(select(Unit))}
        officers = {row.name: OfficerId(row.id) for row in tx.scalars(select(Officer))}
    if found:
        return found
    head = seed.caller(bureau, Role.UNIT_HEAD)
    for serial, kind, unit, model, state, note in (
        ("BWC-0117", SourceKind.BODY_WORN, "北市区中队", "DSJ-V9", DeviceState.IN_SERVICE, ""),
        ("BWC-0122", SourceKind.BODY_WORN, "北市区中队", "DSJ-V9", DeviceState.IN_SERVICE, ""),
        ("BWC-0131", SourceKind.BODY_WORN, "关上中队", "DSJ-V8", DeviceState.IN_SERVICE, ""),
        ("BWC-0098", SourceKind.BODY_WORN, "关上中队", "DSJ-V8", DeviceState.IN_SERVICE, "电池鼓包，已送修"),
        ("UAV-03", SourceKind.DRONE, "综合执法大队", "M30T", DeviceState.IN_SERVICE, "大队统一保管"),
        ("REC-0021", SourceKind.ROOM, "北市区中队", "", DeviceState.IN_SERVICE, "北市区中队询问室"),
        ("BWC-0064", SourceKind.BODY_WORN, "太和中队", "DSJ-V6", DeviceState.RETIRED, ""),
    ):
        facts = DeviceFacts(serial, kind, units[unit], model, "2.4.1" if model else "", state, note)
        found[serial] = record_device(services.database, facts, by=head, at=now - timedelta(days=20))
        if "送修" in note:
            mended = DeviceFacts(serial, kind, units[unit], model, "2.4.1", DeviceState.REPAIR, note)
            change_device(services.database, found[serial], mended, by=head, at=now - timedelta(days=1))
    handed: Callable[..., None] = lambda serial, seen, to, check, days, words="": hand_over(  # noqa: E731
        services.database, found[serial], seen_holder=officers.get(seen), to=officers.get(to), check=check,
        remarks=words, by=head, at=now - timedelta(days=days),
    )  # fmt: skip
    handed("BWC-0117", "", "李晓东", Check(96, 58_200, 1), 12)
    handed("BWC-0117", "李晓东", "", Check(31, 12_400, 2), 11, "镜头盖松动，已紧固")
    handed("BWC-0117", "", "杨国栋", Check(100, 59_600, 2), 6)
    handed("BWC-0117", "杨国栋", "", Check(), 5)
    handed("BWC-0117", "", "李晓东", Check(98, 59_100, 3), 1)
    handed("BWC-0131", "", "李晓东", Check(88, 44_800, 0), 2)
    dock = seed.new_dock(bureau, "北市区中队值班室采集站")
    for number, offset_ms in enumerate((800, 4_100, 9_700, 18_200, 41_000)):
        seed.deliver(
            bureau, dock, f"clock {number}".encode(), f"BWC0117_{number:04d}.mp4", device="BWC-0117",
            recorded_at=now - timedelta(days=10 - number), clock_offset_ms=offset_ms,
        )  # fmt: skip
    return found
