"""The closed list of what does not come back, and the comparison that holds to it."""

import re
from pathlib import Path

from archive.db.base import Base
from archive.ledger.entries import EntryType
from archive.recovery.comparison import Lost, closed_list, compare
from archive.recovery.replaying import is_known

_GUARANTEES = Path(__file__).parents[2] / "docs" / "guarantees.md"
_LINE = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)


def test_names_tables_and_columns_that_there_are_each_once() -> None:
    tables = [line.table for line in closed_list()]
    assert len(tables) == len(set(tables))
    for line in closed_list():
        assert set(line.columns) <= set(Base.metadata.tables[line.table].columns.keys()), line.table
        assert line.parts
        assert line.why


def test_holds_nothing_that_is_evidence() -> None:
    kept = {
        "preserved_object", "case_link", "case_file", "act", "act_officer", "subject", "subject_identifier", "subject_merge",
        "custody_event", "officer", "officer_record", "officer_photo", "legal_staff", "complaint", "complaint_step",
        "device", "device_handover", "volume", "volume_line", "volume_check", "draft_pdf", "record_extension", "quarantine_item",
        "key_certificate", "key_use", "key_event", "key_request", "retrieval_grant", "unusual_access", "clearance", "case_member",
        "log_leaf", "log_node", "log_checkpoint", "log_segment", "log_cosignature", "log_erasure", "recording", "clip",
    }  # fmt: skip
    assert not kept & {line.table for line in closed_list() if line.missing or line.columns}


def test_the_guarantees_tell_the_same() -> None:
    told = {table: (lost.strip(), why.strip()) for table, lost, why in _LINE.findall(_GUARANTEES.read_text("utf-8"))}
    assert told == {line.table: (in_words(line), line.why) for line in closed_list()}


def in_words(line: Lost) -> str:
    words = [f"`{name}`" for name in line.columns]
    return ", ".join([*(["rows"] if line.missing else []), *(["further rows"] if line.extra else []), *words])


def test_an_unlisted_difference_and_an_unused_line_are_told() -> None:
    before = {"account": {(1,): {"id": 1, "name": "a"}, (2,): {"id": 2, "name": "b"}}}
    after = {"account": {(1,): {"id": 1, "name": "c"}, (3,): {"id": 3, "name": "d"}}}
    every = Lost("account", "", missing=True, extra=True, columns=("name",))
    assert compare(before, after, [every]).unlisted == []
    assert {each.kind for each in compare(before, after, []).unlisted} == {"missing", "extra", "name"}
    assert compare(before, before, [every]).unused == {("account", kind) for kind in ("missing", "extra", "name")}
    assert compare(before, before, [Lost("account", "", columns=("name",), varies=True)]).unused == set()


def test_it_is_known_what_every_entry_means_for_rows() -> None:
    assert [kind for kind in EntryType if not is_known(kind)] == []
