"""Cross-site scripting: whatever people, systems and files say stays text, on every page and in every form.

Three ways lead in. Every form of every page is posted with markup in each of its fields, as its reader would. Every
column of the database that is not declared to hold codes of ours is filled with markup, as if a door had let it
through. Then every page is read again. A column or a field that is new fails the test until it is filled too.
"""

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from lxml import html
from openpyxl import load_workbook
from sqlalchemy import JSON, String, Text, select, text
from sqlalchemy.orm import Session

import archive.web
import archive.web.pages
from archive.access.classes import RestrictedClass
from archive.access.clearances import grant_clearance
from archive.access.models import Passkey
from archive.access.policy import Role
from archive.access.recoveries import begin_recovery
from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.drafting import begin_record
from archive.cases.filing import open_case, record_act
from archive.cases.indexing import rebuild_index
from archive.cases.restrictions import add_member
from archive.cases.subjects import KnownSubject
from archive.cases.terms import Category, RecordForm, Stage
from archive.complaints.complainants import Complainant
from archive.complaints.linking import Links
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.steps import add_note
from archive.complaints.terms import Channel, ComplaintKind
from archive.db.base import Base, insert_row
from archive.db.sight import FIRST_UNIT
from archive.devices.handover import Check, hand_over
from archive.devices.register import DeviceFacts, record_device
from archive.documents.drafts import Amending
from archive.documents.issuing import issue_seal
from archive.documents.template_register import file_template, put_in_force, save_template, shipped_versions
from archive.documents.templates import shipped_texts
from archive.evidence.terms import SourceKind
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import AccountId, AgencyId, OfficerId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.notify.notices import PARAMS, NoticeKind, notify
from archive.organisation.models import FIRST_AGENCY, Officer
from archive.packages.requests import ask_for_package
from archive.retrieval.grants import Purpose, grant_access, grant_in_emergency
from archive.retrieval.requests import Asked, ask, decide
from archive.retrieval.rules import GrantKind
from archive.retrieval.trace import Which, trace
from archive.retrieval.unusual import check_access, judge_accesses
from archive.volumes.closing import Closing
from archive.volumes.models import VolumeClosing
from archive.volumes.moving import move_paper, open_volume
from archive.volumes.rules import VolumeKind
from archive.volumes.terms import Move
from archive.web.app import create_app
from archive.web.pages.sheets import SHEETS
from ingest.errors import Quarantined
from ingest.waiting import Announced, announce
from retention.schedules.register import save_schedule, withdraw_schedule
from retention.schedules.shipped import Shipped, shipped_schedule
from tests.e2e.browser import CHROMIUM, open_browser
from tests.integration.web.attacks.conftest import filled, parameters_of, routes_of
from tests.integration.web.conftest import signed_in_at, small_scene
from tests.support import seed, staff_scene
from tests.support.case_files import give_seal, scan
from tests.support.seed import PEOPLE, Bureau
from tests.support.seed_records import begin, make_signers, set_record

pytestmark = pytest.mark.sqlite(
    "fills every column beyond its length, by SQLite's row ids; pages are the same anywhere"
)

MARK = "q9z"
MARKUP = (
    f"{MARK}\"'><img src=x onerror=alert(1)></textarea></title></script><svg/onload=alert(2)>"
    "<a href=javascript:alert(3)>{{1337*1337}}${1337*1337}"
)
SCHEME = "javascript:alert(1)//"
_READERS = (Role.UNIT_HEAD, Role.ADMINISTRATOR, Role.AUDITOR)
_LEADING = {"href", "src", "action", "formaction", "poster", "data", "srcset", "hx-get", "hx-post", "cite", "ping"}
_SENDING = re.compile(
    r"sign-out|password|sessions|second-factor|removal|revocation|suspension|closing|reinstatement|/language|/enrol|/end$"
)
"""Forms that would take away what the others need. They have no text but reasons, which other forms have too."""

# Columns that hold codes, keys, digests and names that this program makes; all others hold what somebody says.
_CODES = re.compile(
    r"\.(kind|state|key|key_id|prefix|scope|sha256|sha512|sm3|md5|stage|way|browser|system|channel|roles|look|level|category|type|"
    r"queue|language|result|ref_kind|depth|recorded_from|play_state|play_reason|source_kind|restricted_class|password_hash|key_prefix|form|"
    r"media_type|mail_state|cause|refusal|credential|content_path|terms_version|series|device_key|source|note|tool)$"
)
_APART = ("/content/", "/sign-in/provider", "/api/")
"""What is served under a grant, and what no browser shows as a page; the provider is another host."""
_FREE = {"device.note", "device.kind_of"}
"""Ends like one of those, and is what somebody says."""
_ELSEWHERE = {
    "log_checkpoint", "log_cosignature",  # signed text of machines
    "axis_container", "axis_object", "axis_token",  # what is shown of them is in the item
    "reach", "search_document",  # derived: indexed anew from what was filled
    "worm_probe", "copy_place", "object_copy", "restore_drill", "direct_upload",  # what this program says of its stores
    "upload", "external_id", "mail_address",  # shown to nobody but whoever sent it; an address is ASCII by its form
}  # fmt: skip
_OURS = {
    "notice.link", "webhook.url", "job.traceparent", "preserved_object.name", "job.last_error", "quarantine_item.reason",
    "template_text.text", "draft.field_values", "template_text.code", "draft.template", "draft.template_sha256", "draft.values_sha256",
    "draft_pdf.place", "record_extension.path",
    "key_certificate.purpose", "key_certificate.place", "key_certificate.serial", "key_certificate.revocation_reason",
    "record_template.code", "record_template.text_sha256",
    "retention_schedule.content", "schedule_trial.content", "schedule_trial.tally",
    "volume.root", "volume.index_sha256", "volume_check.path", "volume_check.outcome",
    "key_request.act", "key_request.purpose", "key_request.place", "key_request.revocation_reason",
}  # fmt: skip
"""Texts of templates and values of drafts have a form, and are filled in that form; addresses are checked where they are set; codes; names of files are filled apart, since stores go by them."""


def _free_columns() -> list[tuple[str, str]]:
    found = []
    for name, table in Base.metadata.tables.items():
        for column in table.columns:
            place = f"{name}.{column.name}"
            is_text = isinstance(column.type, String | Text) and not column.primary_key
            is_code = place in _OURS or (place not in _FREE and _CODES.search(place))
            if is_text and name not in _ELSEWHERE and not is_code:
                found.append((name, column.name))
    return found


@dataclass
class Scene:
    """A bureau that is full of markup, and who reads it."""

    bureau: Bureau
    base: str
    clients: Mapping[Role, httpx.Client]
    named: dict[str, list[object]] = field(default_factory=dict)
    posted: set[str] = field(default_factory=set)

    def ids(self, tx: Session) -> None:
        """Look up what there is for each parameter of an address."""
        tables = {
            "case_id": "case_file", "object_id": "preserved_object", "subject_id": "subject", "recording_id": "recording",
            "complaint_id": "complaint", "device_id": "device", "account_id": "account", "notice_id": "notice",
            "officer_id": "officer", "staff_id": "legal_staff", "draft_id": "draft", "certificate_id": "key_certificate",
            "key_request_id": "key_request", "agency_id": "agency",
            "template_id": "record_template", "schedule_id": "retention_schedule",
        }  # fmt: skip
        for name, table in tables.items():
            rows = tx.execute(text(f"SELECT id FROM {table}")).scalars().all()
            self.named[name] = [UUID(str(row)) for row in rows]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


def assert_harmless(answer: httpx.Response) -> None:
    where = f"{answer.request.method} {answer.request.url} {answer.status_code}"
    assert answer.status_code < 500, where
    assert answer.headers["x-content-type-options"] == "nosniff"
    if "text/html" not in answer.headers.get("content-type", ""):
        return
    assert "script-src 'self'" in answer.headers["content-security-policy"], where
    body = answer.text
    for part in ("<img src=x", "<svg/onload", "<a href=javascript", "\"'><", "1787569"):
        assert part not in body, (where, part, body[max(0, body.find(part) - 200) : body.find(part) + 100])
    parser = _Tags()
    parser.feed(body)
    for tag, attributes in parser.tags:
        assert not [name for name in attributes if name.startswith(("on", "hx-on", "style"))], (where, tag, attributes)
        assert MARK not in tag + "".join(attributes), (where, tag)
        assert tag not in {"iframe", "object", "embed", "base", "style"} or attributes.get("src", "/").startswith(
            "/"
        ), where
        for name in _LEADING & attributes.keys():
            led = attributes[name]
            assert re.match(r"(/(?![/\\])|#|\?|$|data:image/)", led), (where, tag, name, led)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with _made(tmp_path_factory.mktemp("markup")) as made:
        yield made


@pytest.fixture
def own_scene(tmp_path: Path) -> Iterator[Scene]:
    """For what changes so much that others would not find what they look for."""
    with _made(tmp_path) as made:
        yield made


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Scene]:
    bureau = seed.new_bureau(folder / "home", cn_profile=True, heavy_per_minute=10_000, searches_per_minute=10_000)
    small_scene(bureau, folder / "media")
    seed.organise(bureau)
    seed.connect_systems(bureau)
    staff_scene.officer_of_scene(bureau)
    _add_things(bureau)
    with ExitStack() as opened:
        opened.callback(bureau.services.close)
        base = opened.enter_context(seed.listening(create_app(bureau.services)))
        roles = [*_READERS, Role.CASE_HANDLER, Role.RECORDS_MANAGER]
        clients = signed_in_at(base, opened, {role: PEOPLE[role][0] for role in roles})
        made = Scene(bureau, base, clients)
        _add_passkeys(bureau)
        with bureau.services.database.read() as tx:
            made.ids(tx)
        yield made


def _add_things(bureau: Bureau) -> None:
    """Add what the scene lacks: quarantine, a package, notices, a passkey, a clearance, a recovery."""
    services, head = bureau.services, seed.caller(bureau, Role.UNIT_HEAD)
    with contextlib.suppress(Quarantined):
        seed.deliver(bureau, seed.new_dock(bureau, "隔离采集站"), b"not what was promised", "q.mp4", said=b"x" * 21)
    announced = Announced("a" * 64, MARKUP[:99], 1, device_serial=MARKUP[:99])
    announce(services.database, seed.new_dock(bureau, "待传采集站").id, [announced], is_first=True, at=bureau.now())
    ask_for_package(
        services.database.seen_by(head.sight), bureau.cases["main"], by=head, purpose="移送", with_renditions=False,
        rules=services.retrievals.rules, at=bureau.now(),
    )  # fmt: skip
    complaint_id = register_complaint(
        services.database, services.identifiers, services.complaints.rules,
        NewComplaint(
            ComplaintKind.COMPLAINT, Channel.HOTLINE, bureau.now(), MARKUP, FIRST_UNIT, Complainant(MARKUP[:99], MARKUP[:99]),
            Links(cases=[bureau.cases["main"]], objects=[bureau.items["video"]]),
        ), by=head, at=bureau.now(),
    )  # fmt: skip
    add_note(services.database, complaint_id, text=MARKUP, by=head, at=bureau.now())
    facts = DeviceFacts(serial="BWC-0117", kind=SourceKind.BODY_WORN, unit_id=FIRST_UNIT)
    device_id = record_device(services.database, facts, by=head, at=bureau.now())
    with services.database.read() as tx:
        officer_id = OfficerId(tx.scalars(select(Officer.id).where(Officer.certificate_number == "01160117")).one())
    hand_over(
        services.database, device_id, seen_holder=None, to=officer_id, check=Check(90, 5000, 0), remarks=MARKUP, by=head,
        at=bureau.now(),
    )  # fmt: skip
    admin, handler = seed.caller(bureau, Role.ADMINISTRATOR), AccountId(bureau.people[Role.CASE_HANDLER].id)
    add_member(services.database, bureau.cases["main"], handler, reason="抽调", until=None, by=head, at=bureau.now())
    begin_recovery(services.database, handler, reason="遗失", by=admin, at=bureau.now())
    grant_clearance(
        services.database, handler, restricted_class=RestrictedClass.MINORS, until=bureau.now() + timedelta(days=9),
        reason="承办", by=admin.actor, at=bureau.now(),
    )  # fmt: skip
    paper = seed.new_dock(bureau, "文书采集站")
    bureau.items["paper"] = seed.deliver(bureau, paper, MARKUP.encode(), "a.txt", device=None, clock_offset_ms=None)
    seed.work(bureau)
    record_act(
        services.database, bureau.cases["main"], stage=Stage.INSPECTION, place=MARKUP, started_at=bureau.now(), ended_at=None,
        by=head.actor, at=bureau.now(),
    )  # fmt: skip
    _add_retrievals(bureau)
    _add_records(bureau)
    _add_schedules(bureau)
    with services.database.begin() as tx:
        for kind in NoticeKind:
            readers = [bureau.people[role].id for role in _READERS]
            notify(tx, readers, kind, params=dict.fromkeys(PARAMS[kind], MARKUP), link="/items", at=bureau.now())
    seed.sequence(bureau)


def _add_schedules(bureau: Bureau) -> None:
    """Add a retention schedule that is written, and one that was withdrawn, with markup in all of their words."""
    database, by = bureau.services.database, bureau.people[Role.RECORDS_MANAGER]
    rules = [
        replace(rule, title=MARKUP, title_en=MARKUP, legal_basis=MARKUP)
        for rule in shipped_schedule(Shipped.DEFAULT).rules
    ]
    for reason in ("", MARKUP):
        schedule_id = save_schedule(database, MARKUP[:200], rules, by=by, at=bureau.now())
        if reason:
            withdraw_schedule(database, schedule_id, reason=reason, by=by, at=bureau.now())


def _add_records(bureau: Bureau) -> None:
    """Add a draft that amends a record, and the certificate of a seal that waits for a second person."""
    services = bureau.services
    text_of_template = shipped_texts()["inspection_record"].replace("现场检查笔录", "<img src=x onerror=alert(1)>")
    begin_record(
        services.database, text_of_template, case_id=bureau.cases["main"], title=MARKUP, values={"place": MARKUP},
        amending=Amending(bureau.records["inspection"], MARKUP), by=OPERATOR, at=bureau.now(),
    )  # fmt: skip
    make_signers(bureau)
    for code in ("preservation_list", "advance_notice"):  # one waits for a party's hand, one for the seal
        set_record(bureau, begin(bureau, bureau.cases["main"], code, MARKUP))
    for version in (2, 3):  # one in force, one that is written
        said = text_of_template.replace("version = 1", f"version = {version}", 1)
        template_id = save_template(services.database, said, agency_id=None, by=OPERATOR, at=bureau.now())
        if version == 2:
            today = local_day(bureau.now())
            put_in_force(services.database, template_id, valid_from=today, by=OPERATOR, at=bureau.now())
    filed = next(each.id for each in shipped_versions() if each.template.code == "service_receipt")
    file_template(
        services.database, filed, authority=MARKUP[:60], number=MARKUP[:40], filed_on=today, by=OPERATOR, at=bureau.now()
    )  # fmt: skip
    issue_seal(services.issuer, AgencyId(FIRST_AGENCY), by=OPERATOR, at=bureau.now())
    services.seals.room.capture()
    _add_case_file(bureau)


def _add_case_file(bureau: Bureau) -> None:
    """Add a case with a closed and checked volume, one that is open after it, and one that is being closed."""
    services, at = bureau.services, bureau.now()
    give_seal(services)
    case_id = open_case(
        services.database, services.identifiers, number="M1", title=MARKUP, category=Category.PENALTY,
        subject=KnownSubject(bureau.subjects["main"]), by=bureau.people[Role.CASE_HANDLER], at=at,
    )  # fmt: skip
    scan(services, case_id, RecordForm.CLOSING_REPORT, "报告")
    close_case(services.database, case_id, on=local_day(at), by=OPERATOR, at=bureau.now())
    files = services.case_files
    volume_id = files.closer.close_volume(case_id, VolumeKind.SUB, Closing("赵", MARKUP), by=OPERATOR)
    with contextlib.suppress(LiuhenError):
        files.checker.check_volume(volume_id, by=OPERATOR)
    scan(services, case_id, RecordForm.CLOSING_REPORT, "补充报告")
    other = scan(services, case_id, RecordForm.CLOSING_REPORT, "另一份报告")
    at = bureau.now()
    move_paper(services.database, files.rules, case_id, other, Move.OTHER, reason=MARKUP, by=OPERATOR, at=at)
    open_volume(services.database, files.rules, case_id, VolumeKind.SUB, reason=MARKUP, by=OPERATOR, at=bureau.now())
    empty = open_case(
        services.database, services.identifiers, number="M2", title=MARKUP, category=Category.PENALTY,
        subject=KnownSubject(bureau.subjects["main"]), by=bureau.people[Role.CASE_HANDLER], at=at,
    )  # fmt: skip
    with services.database.begin() as tx:
        row = {"volume_id": new_uuid7(), "case_id": empty, "object_id": new_uuid7(), "year": 1, "serial": 1}
        begun = {"remarks": MARKUP, "inspector": MARKUP, "begun_by": OPERATOR.id, "begun_at": bureau.now()}
        insert_row(tx, VolumeClosing, **row, **begun, kind="main", until=None)


def _add_retrievals(bureau: Bureau) -> None:
    """Add a copy, what was asked for, decided and not, and emergencies, one of which was looked into."""
    database, rules = bureau.services.database, bureau.services.retrievals.rules
    why, video, record = Purpose(MARKUP, MARKUP[:100]), bureau.items["video"], bureau.records["inspection"]
    head, handler = (seed.caller(bureau, role) for role in (Role.UNIT_HEAD, Role.CASE_HANDLER))
    grant_access(database, video, kind=GrantKind.EXPORT, purpose=why, by=head, rules=rules, at=bureau.now())
    asked = Asked(GrantKind.EXPORT, why, 9)
    request_id = ask(database, video, asked, by=handler, rules=rules, at=bureau.now())
    decide(database, request_id, is_approved=True, reason=MARKUP, by=head, at=bureau.now())
    ask(database, record, asked, by=handler, rules=rules, at=bureau.now())
    for _ in range(2):
        grant_in_emergency(database, video, purpose=why, by=handler, rules=rules, at=bureau.now())
    while judge_accesses(database, rules, at=bureau.now()):
        pass
    with database.read() as tx:
        found = trace(tx, Which.UNUSUAL, by=head).rows
    entry_id = next(row.record.entry_id for row in found if row.record.actor_id == handler.account_id)
    check_access(database, entry_id, words=MARKUP, by=head, at=bureau.now())


def _add_passkeys(bureau: Bureau) -> None:
    """Give the readers passkeys, after they have signed in without."""
    with bureau.services.database.begin() as tx:
        for role in _READERS:
            row = {
                "id": new_uuid7(),
                "account_id": bureau.people[role].id,
                "credential_id": role.encode(),
                "public_key": b"x",
            }
            insert_row(tx, Passkey, **row, sign_count=0, name="x", made_at=bureau.now(), last_used_at=None)


def _pages(scene: Scene) -> Iterator[httpx.Response]:
    """Yield every page that can be had, parts of pages too: all there is as one reader, one of each as the others."""
    yield scene.clients[Role.CASE_HANDLER].get("/retrievals")  # nobody else has asked for anything
    for method, route, _ in routes_of(create_app(scene.bureau.services)):
        if method == "GET" and not route.startswith(_APART):
            addresses = list(_addresses(scene, route))
            reader = Role.ADMINISTRATOR if route.startswith("/admin") else Role.UNIT_HEAD
            for address in addresses:
                yield scene.clients[reader].get(address)
            for role in _READERS:
                yield scene.clients[role].get(
                    addresses[0], headers={"HX-Request": "true"} if role in _READERS[:1] else {}
                )


def _addresses(scene: Scene, route: str) -> Iterator[str]:
    names = [name for name in parameters_of(route) if name in scene.named]
    choices = scene.named[names[0]][:12] if names else [None]
    for chosen in choices:
        address = filled(route, dict.fromkeys(names, chosen) | {"index": 3, "name": "x", "number": "000", "level": 0})
        yield address
        if route in {"/", "/items", "/search", "/subjects", "/complaints", "/devices", "/unlinked"}:
            yield f"{address}?q={MARK}"
            yield f"{address}?which=all&state={MARK}&done={MARK}"
        if route in {"/retrievals", "/trace"}:
            yield f"{address}?which={'deciding' if route == '/retrievals' else 'unusual'}"


@dataclass(frozen=True)
class _Form:
    action: str
    values: dict[str, str]
    texts: tuple[str, ...]


def _forms(answer: httpx.Response) -> Iterator[_Form]:
    if "text/html" not in answer.headers.get("content-type", "") or not answer.text:
        return
    for element in html.document_fromstring(answer.text).iter("form"):
        if element.get("method", "get").lower() != "post" or element.get("enctype"):
            continue
        values, texts = {}, []
        for part in element.iter("input", "textarea", "select"):
            name, kind = part.get("name"), part.get("type", "text")
            if not name:
                continue
            if part.tag == "select":
                options = [option.get("value") for option in part.iter("option") if option.get("value")]
                values[name] = options[0] if options else ""
            elif part.tag == "textarea" or kind in {"text", "search", "password", "url", "email"}:
                texts.append(name)
            elif kind in {"checkbox", "radio"}:
                values.setdefault(name, part.get("value", "on"))
            elif kind == "datetime-local":
                values[name] = part.get("value") or "2026-03-02T09:30"
            elif kind == "date":
                values[name] = part.get("value") or "2027-03-02"
            else:
                values[name] = part.get("value") or ("50" if kind == "number" else "")
        yield _Form(element.get("action") or str(answer.request.url.path), values, tuple(texts))


def test_no_form_gives_back_or_keeps_what_it_was_sent_as_anything_but_text(own_scene: Scene) -> None:
    """Posts every form that any page shows, with markup in all of its fields, to store it and to have it shown again."""
    done: set[tuple[str, tuple[str, ...]]] = set()
    for role in (Role.UNIT_HEAD, Role.ADMINISTRATOR, Role.RECORDS_MANAGER):
        client = own_scene.clients[role]
        for answer in list(_pages_of(own_scene, role)):
            assert_harmless(answer)
            for form in _forms(answer):
                shape = (re.sub(r"[0-9a-f-]{36}|lh\w+", "*", form.action), form.texts)
                if shape in done or _SENDING.search(form.action):
                    continue
                done.add(shape)
                own_scene.posted.update(form.texts)
                unit = {"unit_id": str(FIRST_UNIT)} if "unit_id" in form.values else {}
                for sent in (MARKUP, SCHEME):
                    assert_harmless(
                        client.post(form.action, data={**form.values, **dict.fromkeys(form.texts, sent), **unit})
                    )
    assert len(done) > 40
    sources = Path(archive.web.pages.__file__).parent.glob("*.py")
    asked = {
        name for path in sources for name in re.findall(r"form\.(?:text|lines)\(\s*\"(\w+)\"", path.read_text("utf-8"))
    }
    assert asked - own_scene.posted == _POSTED_ELSEWHERE


# What a step before hands to the next: signed or sealed by us, and refused when anything in it differs. Without a mail
# server there is no field for an address; what may stand in one: `test_what_is_no_address_is_refused`.
# The label of a key goes with a file, and where no token is set there is no such form: tests of certificates post it.
_POSTED_ELSEWHERE = {"sealed", "credential", "challenge", "address", "label"}


def _pages_of(scene: Scene, role: Role) -> Iterator[httpx.Response]:
    for method, route, _ in routes_of(create_app(scene.bureau.services)):
        if method == "GET" and not route.startswith(_APART):
            for address in list(_addresses(scene, route))[: 6 if re.search("draft_id|template_id", route) else 2]:
                yield scene.clients[role].get(address)


def _own(table: str) -> str:
    """Return what is another thing in each row of a table: some have no `rowid`."""
    known = Base.metadata.tables[table]
    return "rowid" if known.dialect_options["sqlite"]["with_rowid"] else f"hex({next(iter(known.primary_key)).name})"


def _fill(scene: Scene, said: str) -> list[tuple[str, str]]:
    """Put this into every column that holds what somebody says, as if a door had let it through; return the columns."""
    columns = _free_columns()
    empty = []
    with scene.bureau.services.database.begin() as tx:
        for table, column in columns:
            value = f"{said}{table}.{column} "
            only = f" WHERE {column} IS NOT NULL" if f"{table}.{column}" in _TELLING else ""
            changed = tx.execute(text(f"UPDATE {table} SET {column} = :value || {_own(table)}{only}"), {"value": value})
            if not changed.rowcount:
                empty.append(f"{table}.{column}")
        tx.execute(text("UPDATE preserved_object SET name = :value || '.mp4'"), {"value": said.replace("/", "")})
        for table in Base.metadata.tables.values():
            for part in table.columns:
                if isinstance(part.type, JSON) and f"{table.name}.{part.name}" in _TOLD_IN_JSON:
                    for row in tx.execute(select(*table.primary_key.columns, part)).all():
                        where = [column == row[place] for place, column in enumerate(table.primary_key.columns)]
                        tx.execute(table.update().where(*where).values({part.name: _said(row[-1], said)}))
    assert empty == [], "the scene has no row where this could stand"
    rebuild_index(scene.bureau.services.database)
    return columns


@pytest.mark.parametrize("said", [MARKUP, SCHEME], ids=["markup", "scheme"])
def test_no_page_shows_what_is_kept_as_anything_but_text(scene: Scene, said: str) -> None:
    columns = _fill(scene, said)
    shown: set[str] = set()
    for answer in _pages(scene):
        assert_harmless(answer)
        if answer.status_code == 200:
            shown.update(re.findall(r"(\w+\.\w+) \d", answer.text))
    assert {f"{table}.{column}" for table, column in columns} - shown == _SHOWN_NOWHERE


_TELLING = {"record_template.filed_with", "record_template.filing_number"}
"""That one is there changes which forms a page has: only those are filled that are there."""
_TOLD_IN_JSON = {"officer.categories", "notice.params"}
_SHOWN_NOWHERE = {
    "account.provider_subject", "enrolment_code.name", "package.name",
    "retrieval_grant.purpose", "retrieval_grant.reference",  # shown from the log's entry
    "item_text.text",  # test_markup_is_shown_as_the_text_that_it_is
    "key_request.answer",  # shown from the log's entry
    "volume_closing.remarks", "volume_closing.inspector",  # on the sheet that is set from them
}  # fmt: skip
"""Filled all the same, so that a page that begins to show one is tried."""


def _said(value: Any, said: str) -> Any:
    if isinstance(value, str):
        return said
    if isinstance(value, list):
        return [_said(inner, said) for inner in value]
    return {key: _said(inner, said) for key, inner in value.items()} if isinstance(value, dict) else value


# ---- spreadsheets ------------------------------------------------------------------------------------------------

_SHEETS = tuple(f"{what}.{ending}" for what in SHEETS for ending in ("csv", "xlsx"))


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t=", "\r=", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_sheet_that_the_archive_gives_out_calculates_what_somebody_said(scene: Scene, begins: str) -> None:
    _fill(scene, f'{begins}HYPERLINK("http://evil.example",A1) {MARK}')
    head, admin = scene.clients[Role.UNIT_HEAD], scene.clients[Role.ADMINISTRATOR]
    given = [
        head.post("/search/lists", data={"q": MARK}),
        head.post("/complaints/lists", data={"which": "open"}),
        head.post("/ledger/lists", data={"which": "all"}),
        head.post("/trace/lists", data={"which": "unusual"}),
        *(admin.get(f"/admin/officers/sheets/{sheet}") for sheet in _SHEETS),
    ]
    for answer in given:
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment")
        cells = list(_cells(answer))
        assert any(MARK in cell for cell in cells), answer.request.url
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))]


def _cells(answer: httpx.Response) -> Iterator[str]:
    if answer.content.startswith(b"PK"):
        for line in load_workbook(io.BytesIO(answer.content)).worksheets[0].iter_rows():
            for cell in line:
                assert cell.data_type != "f"
                assert cell.hyperlink is None
                yield f"text: {cell.value}"  # a cell of this type is text, whatever it begins with
    else:
        for line in csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")):
            yield from line


def test_there_is_no_other_sheet() -> None:
    sources = Path(archive.web.__file__).parent.rglob("*.py")
    giving = {path.name for path in sources if re.search(r"text/csv|spreadsheetml", path.read_text("utf-8"))}
    assert giving == {"search.py", "complaints.py", "ledger.py", "sheets.py", "trace.py"}


# ---- a real browser ----------------------------------------------------------------------------------------------


@pytest.mark.e2e
def test_in_a_real_browser_no_script_of_theirs_runs_and_nothing_breaks_the_policy(scene: Scene) -> None:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    _fill(scene, MARKUP)
    head, said = scene.clients[Role.UNIT_HEAD], []
    ids = {name: found[0] for name, found in scene.named.items()}
    with open_browser() as chromium:
        context = chromium.new_context(locale="zh-CN")
        context.add_cookies([{"name": "liuhen_session", "value": head.cookies["liuhen_session"], "url": scene.base}])
        page = context.new_page()
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda told: said.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        for path in (
            "/", "/items", f"/search?q={MARK}", "/subjects", "/complaints", "/devices", "/notices", "/account", "/unlinked",
            "/retrievals?which=deciding", "/trace?which=unusual",
            f"/cases/{ids['case_id']}", f"/subjects/{ids['subject_id']}", f"/complaints/{ids['complaint_id']}",
            f"/devices/{ids['device_id']}", *(f"/items/{found}" for found in scene.named["object_id"][:3]),
        ):  # fmt: skip
            page.goto(scene.base + path)
            assert page.locator("img[src=x], svg[onload], a[href^=javascript]").count() == 0, path
        assert said == []
