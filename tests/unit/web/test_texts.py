"""The catalogues: the same keys, the same places to fill in, nothing missing, nothing unused, no text outside them."""

import re
import string
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

import archive.web
from archive.access.api_keys import INTEGRATION_SCOPES
from archive.access.classes import RestrictedClass
from archive.access.policy import Role
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.complaints.listings import Urgency, Which
from archive.complaints.sweeping import WATCH_DEADLINES
from archive.complaints.terms import Channel, ComplaintKind, State, StepKind
from archive.devices.importing import COLUMNS
from archive.devices.listings import WhichDevices
from archive.devices.terms import DeviceState
from archive.documents.certificate_ends import WATCH_CERTIFICATES
from archive.documents.renewing import RENEW_RECORDS
from archive.documents.signatures import FILE_RECORD, STAMP_RECORD
from archive.documents.template_faults import cause_codes
from archive.documents.template_fields import AnyField, Fill
from archive.documents.template_listings import Standing
from archive.documents.template_parts import Rule
from archive.documents.texts import READ_RECORD
from archive.evidence.terms import RecordedFrom, SourceKind
from archive.jobs.queue import QUEUES
from archive.kernel.findings import Outcome
from archive.ledger.entries import EntryType
from archive.notify.addresses import SEND_CODE
from archive.notify.delivery import FORGET_EVENTS
from archive.notify.events import DELIVER_EVENT, EventType
from archive.notify.notices import SEND_NOTICE
from archive.organisation.legal_staff import LegalKind
from archive.organisation.records import RecordKind, RecordResult
from archive.packages.requests import BUILD_PACKAGE
from archive.ports.revocations import RevocationReason
from archive.retrieval.requests import RequestState
from archive.retrieval.rules import GrantKind, RetrievalRules
from archive.retrieval.trace import Which as Trace
from archive.retrieval.unusual import BREAK_GLASS
from archive.retrieval.watching import WATCH_RETRIEVALS
from archive.trust.listings import KeyState
from archive.trust.terms import KeyAct, KeyPlace, KeyPurpose, KeyRequestState
from archive.volumes.binding import EXTEND_VOLUME
from archive.volumes.checking import CHECK_VOLUME
from archive.volumes.closing import CLOSE_VOLUME
from archive.volumes.listings import LedgerState, WhichFiles
from archive.volumes.natures import Nature, VolumeQuestion
from archive.volumes.rules import VolumeKind
from archive.volumes.sheets import SHEETS as SHEETS_OF_VOLUMES
from archive.volumes.terms import Move
from archive.web.i18n import Catalogue, Language, catalogue, preferred_language
from archive.web.pages.ledger import COLUMNS as LEDGER_COLUMNS
from archive.web.pages.purposes import PURPOSES
from archive.web.pages.schedule_rows import FILED, UNITS
from archive.web.pages.sheets import SHEETS
from archive.web.pages.trace import COLUMNS as TRACE_COLUMNS
from ingest import follow_ups
from ingest.media.allowed import Kind
from retention.holding.hold_listings import Review, WhichHolds
from retention.holding.hold_scans import SCAN_HOLDS
from retention.holding.sweeping import WATCH_HOLDS
from retention.holding.terms import HeldKind, HoldScope
from retention.rounds.checking import CHECK_OBJECTS
from retention.rounds.reports import REPORT_FIXITY
from retention.schedules.content import told_rule
from retention.schedules.faults import fault_codes
from retention.schedules.listings import Standing as ScheduleStanding
from retention.schedules.notes import NoteCode
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.simulation import Change
from retention.schedules.terms import KINDS, Basis, Mark
from retention.schedules.trials import TRY_SCHEDULE

_ROOT = Path(__file__).parents[3]
_WEB = Path(archive.web.__file__).parent
_TEMPLATES = sorted((_WEB / "templates").glob("*.html"))
_PAGES = sorted((_WEB / "pages").glob("*.py"))
_CHINESE, _ENGLISH = catalogue(Language.CHINESE), catalogue(Language.ENGLISH)
# What reads the same in every language: names of algorithms, units, keys of a keyboard, an address.
_NO_TEXT = {"SHA-256", "SHA-1", "SHA-512", "SM3", "kHz", "J", "K", "L", "/log/checkpoint"}
_CJK = re.compile("[\u3000-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_catalogues_have_the_same_keys() -> None:
    assert set(_CHINESE.texts) == set(_ENGLISH.texts)


@pytest.mark.parametrize("texts", [_CHINESE, _ENGLISH], ids=["zh-Hans", "en"])
def test_every_text_says_something(texts: Catalogue) -> None:
    assert [
        key for key, text in texts.texts.items() if not isinstance(text, str) or text != text.strip("\n") or not text
    ] == []


def test_both_languages_fill_in_the_same_values() -> None:
    differing = {
        key: (_CHINESE.texts[key], _ENGLISH.texts[key])
        for key in _CHINESE.texts
        if _fields(_CHINESE.texts[key]) != _fields(_ENGLISH.texts[key])
    }
    assert differing == {}


def test_chinese_texts_are_chinese_and_english_ones_english() -> None:
    same = {"brand", "nav.other_language", "actor.dock", "preparing.percent", "common.colon"}
    assert [key for key, text in _ENGLISH.texts.items() if _CJK.search(text) and key not in same] == []
    mixed = {"common.comma", "common.semicolon"}
    assert [key for key, text in _CHINESE.texts.items() if not _CJK.search(text) and key not in same | mixed] == []


# ---- what is used ------------------------------------------------------------------------------------------------


def _used() -> Iterator[tuple[str, str]]:
    """Yield every key that a template or module names in full, with the place."""
    for path in _TEMPLATES:
        text = path.read_text("utf-8")
        for key in re.findall(r"\bt\('([a-z_.0-9]+)'[,)]", text):
            yield key, path.name
        for key in re.findall(r"\bt\('([a-z_.]+)' if [^)]*? else '([a-z_.]+)'", text):
            yield from ((one, path.name) for one in key)
        for key in re.findall(r"\bcounted\('([a-z_.]+)'", text):
            yield from ((f"{key}.{form}", path.name) for form in ("one", "other"))
    for path in _PAGES:
        text = path.read_text("utf-8")
        for key in re.findall(r"texts\.text\(\"([a-z_.]+)\"", text):
            yield key, path.name
        for key in re.findall(r"refuse\([^,]*?, \"([a-z_.]+)\"", text):
            yield key, path.name
        for key in re.findall(r"_done\(case_id, \"([a-z_]+)\"\)|\?done=([a-z_]+)", text):
            yield f"done.{key[0] or key[1]}", path.name


def test_every_key_that_is_used_exists() -> None:
    missing = sorted({(key, where) for key, where in _used() if not _CHINESE.has(key)})
    assert missing == []
    assert len(list(_used())) > 250


def _dynamic_groups() -> set[str]:
    """Return the groups whose keys are put together at run time."""
    found: set[str] = set()
    for path in _TEMPLATES:
        text = path.read_text("utf-8")
        found |= set(re.findall(r"\bterm\('([a-z_]+)'", text))
        found |= set(re.findall(r"\b(?:t|has_text)\('([a-z_]+)\.' ~", text))
        found |= set(re.findall(r"ui\.choice\('[a-z-]+', '[a-z_]+', t\('[a-z_.]+'\), [a-z_]+, '([a-z_]+)'", text))
    for path in (*_PAGES, _WEB / "judgement_words.py", _ROOT / "ingest" / "judgement_reports.py"):
        found |= set(re.findall(r"f\"([a-z_]+)\.\{", path.read_text("utf-8")))
    return found


def test_no_text_is_left_that_nobody_uses() -> None:
    used = {key for key, _ in _used()}
    groups = _dynamic_groups()
    assert groups >= {"event", "finding", "held", "role", "category", "act_stage", "done", "error", "purpose"}
    assert [key for key in _CHINESE.texts if key not in used and key.split(".")[0] not in groups] == []


# ---- closed lists have a word for each value ----------------------------------------------------------------------

_LISTS: dict[str, Iterable[str]] = {
    "template_fault": cause_codes(),
    "template_standing": Standing,
    "template_fill": get_args(Fill),
    "field_kind": (kind.model_fields["kind"].annotation.__args__[0] for kind in get_args(get_args(AnyField)[0])),
    "template_rule": (kind.model_fields["kind"].annotation.__args__[0] for kind in get_args(get_args(Rule)[0])),
    "role": Role,
    "restricted_class": RestrictedClass,
    "category": Category,
    "act_stage": Stage,
    "subject_kind": SubjectKind,
    "record_form": RecordForm,
    "kind": Kind,
    "event": EntryType,
    "outcome": Outcome,
    "verdict": Outcome,
    "purpose": PURPOSES,
    "scope": INTEGRATION_SCOPES,
    "event_type": EventType,
    "source_kind": SourceKind,
    "recorded_from": RecordedFrom,
    "play_state": ("pending", "playable", "damaged", "unplayable"),
    "view_state": ("playable", "damaged", "unplayable"),
    "preparing": ("waiting", "reading", "encoding", "retrying", "given_up"),
    "rendition": ("playable", "poster", "view", "sprite", "peaks", "pages"),
    "job": (
        follow_ups.PROBE_ITEM,
        follow_ups.ENCODE_ITEM,
        follow_ups.MAKE_POSTER,
        follow_ups.PROVE_ESSENCE,
        follow_ups.INSPECT_ITEM,
        follow_ups.FIND_DAMAGE,
        follow_ups.READ_TRACK,
        follow_ups.GROUP_ITEM,
        follow_ups.READ_DOCUMENT,
        follow_ups.LIST_ARCHIVE,
        READ_RECORD,
        FILE_RECORD,
        STAMP_RECORD,
        RENEW_RECORDS,
        DELIVER_EVENT,
        FORGET_EVENTS,
        BUILD_PACKAGE,
        SEND_NOTICE,
        SEND_CODE,
        WATCH_DEADLINES,
        WATCH_RETRIEVALS,
        WATCH_CERTIFICATES,
        SCAN_HOLDS,
        WATCH_HOLDS,
        CLOSE_VOLUME,
        EXTEND_VOLUME,
        CHECK_VOLUME,
        TRY_SCHEDULE,
        CHECK_OBJECTS,
        REPORT_FIXITY,
    ),
    "schedule_standing": ScheduleStanding,
    "schedule_unit": UNITS,
    "schedule_filed": FILED,
    "schedule_kind": KINDS,
    "schedule_mark": Mark,
    "schedule_basis": Basis,
    "schedule_field": (*told_rule(shipped_schedule(Shipped.DEFAULT).rules[0]), "title_en", "rule"),
    "schedule_fault": fault_codes(),
    "schedule_note": NoteCode,
    "schedule_change": Change,
    "schedule_change_note": Change,
    "queue": QUEUES,
    "fixity_filter": ("open", "all"),
    "fixity_state": ("found", "quarantined", "repaired", "stuck"),
    "key_purpose": KeyPurpose,
    "key_place": KeyPlace,
    "key_state": KeyState,
    "key_act": KeyAct,
    "key_request_state": (KeyRequestState.DONE, KeyRequestState.REFUSED),
    "revocation_reason": RevocationReason,
    "volume_kind": VolumeKind,
    "sheet": SHEETS_OF_VOLUMES,
    "move": Move,
    "nature": Nature,
    "volume_check": VolumeQuestion,
    "volume_fault": (
        "root_differs",
        "metadata_missing",
        "pages_broken",
        "format_unknown",
        "not_looked_at",
        "pages_differ",
        "attachments",
    ),
    "ledger_filter": WhichFiles,
    "ledger_state": LedgerState,
    "ledger_column": LEDGER_COLUMNS,
    "grant_kind": GrantKind,
    "request_state": RequestState,
    "trace": Trace,
    "trace_column": TRACE_COLUMNS,
    "unusual": (*RetrievalRules.load().unusual, BREAK_GLASS),
    "listed": ("search", "complaints", "ledger", *SHEETS, *(f"trace.{which}" for which in Trace)),
    "ask": GrantKind,
    "trace_note": Trace,
    "complaint_kind": ComplaintKind,
    "channel": Channel,
    "complaint_state": State,
    "complaint_step": (*State, *StepKind),
    "complaint_filter": Which,
    "complaint_about": ("case", "officer", "object"),
    "urgency": Urgency,
    "hold_scope": HoldScope,
    "hold_filter": WhichHolds,
    "hold_standing": Review,
    "held_kind": HeldKind,
    "mark": Mark,
    "device_state": DeviceState,
    "device_filter": WhichDevices,
    "device_column": COLUMNS,
    "device_problem": ("missing", "unreadable", "unknown", "known", "twice"),
    "training_kind": RecordKind,
    "training_result": RecordResult,
    "legal_kind": LegalKind,
    "package_state": ("waiting", "building", "retrying", "failed", "ready", "removed"),
}


@pytest.mark.parametrize("group", _LISTS)
def test_each_value_of_a_closed_list_has_its_word(group: str) -> None:
    assert [value for value in _LISTS[group] if not _CHINESE.has(f"{group}.{value}")] == []


_CODE = re.compile(r"\"((?:ocfl|fixity|signature|document|media)\.[a-z_]+)\"")


def _codes() -> set[str]:
    return {
        code
        for folder in ("archive/ocfl", "retention", "signing", "ingest")
        for path in (_ROOT / folder).rglob("*.py")
        for code in _CODE.findall(path.read_text("utf-8"))
    }


def test_every_finding_can_be_said_in_both_languages() -> None:
    codes = _codes()
    assert len(codes) > 50
    assert (
        sorted(code for code in codes if not _CHINESE.has(f"finding.{code}") and not _CHINESE.has(f"held.{code}")) == []
    )


def test_a_code_that_can_hold_is_not_told_as_a_fault() -> None:
    good = {
        "ocfl.content",
        "ocfl.inventory",
        "ocfl.declaration",
        "fixity.original",
        "signature.valid",
        "signature.established",
    }
    assert [code for code in good if not _CHINESE.has(f"held.{code}")] == []


# ---- no text outside the catalogues -------------------------------------------------------------------------------


_READ = {"title", "alt", "placeholder", "aria-label", "label", "content"}


class _Texts(HTMLParser):
    """Collects what a person would read: text, and attributes that are read or shown."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta":
            return
        self.found += [word for name, value in attrs if name in _READ and value for word in value.split()]

    def handle_data(self, data: str) -> None:
        self.found += data.split()


@pytest.mark.parametrize("path", _TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_text_of_their_own(path: Path) -> None:
    parser = _Texts()
    parser.feed(_JINJA.sub("", path.read_text("utf-8")))
    words = [word for word in parser.found if re.search(r"[A-Za-z]", word) or _CJK.search(word)]
    assert [word for word in words if word.strip("()") not in _NO_TEXT] == []


@pytest.mark.parametrize("path", [*_PAGES, *(_WEB / "static").glob("*.js")], ids=lambda path: path.name)
def test_code_holds_no_text_of_a_page(path: Path) -> None:
    assert _CJK.findall(path.read_text("utf-8")) == []


# ---- reading them ---------------------------------------------------------------------------------------------------


def test_a_number_chooses_its_form() -> None:
    assert _ENGLISH.counted("facts.bytes", 1) == "1 byte"
    assert _ENGLISH.counted("facts.bytes", 12_345) == "12,345 bytes"
    assert _CHINESE.counted("facts.bytes", 1) == "1 字节"


def test_an_unknown_value_of_a_list_stands_for_itself() -> None:
    assert _CHINESE.term("role", "supervisor") == "监督人员"
    assert _CHINESE.term("role", "something new") == "something new"


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        (None, None, "zh-Hans"),
        (None, "", "zh-Hans"),
        (None, "fr, de;q=0.9", "zh-Hans"),
        (None, "en-GB,en;q=0.9", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        (None, "en;q=0.4, zh-TW;q=0.5", "zh-Hans"),
        (None, "en;q=0, zh;q=0.1", "zh-Hans"),
        (None, "en;q=0", "zh-Hans"),
        (None, "en;q=nonsense, zh", "zh-Hans"),
        (None, "EN", "en"),
        ("en", "zh-CN", "en"),
        ("zh-Hans", "en", "zh-Hans"),
        ("../etc", "en", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_an_accepted_one_else_chinese(
    chosen: str | None, accepted: str | None, expected: str
) -> None:
    assert preferred_language(chosen=chosen, accepted=accepted).value == expected
