"""Tables of text records and of the texts of documents."""

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached


class TextRecord(Reached, Base):
    """A preserved document with its kind (文书类型) and title; `pages` once they were counted."""

    reached_by = "object_id"
    __tablename__ = "text_record"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    form: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(300))
    filed_by: Mapped[uuid.UUID]
    filed_at: Mapped[datetime] = mapped_column(Moment)
    pages: Mapped[int | None]


class RecordScan(Reached, Base):
    """What was seen of a record that was scanned or came from elsewhere: sharpness, blank pages, text to search.

    Derived, and made again at any time; `sha256` is of `found`, canonical. `tool` looked.
    """

    reached_by = "object_id"
    __tablename__ = "record_scan"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("text_record.object_id"), primary_key=True)
    found: Mapped[dict[str, Any]] = mapped_column(JSON)
    sha256: Mapped[str] = mapped_column(String(64))
    tool: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime] = mapped_column(Moment)


class TemplateText(Base):
    """The text of a template that records were begun with, kept for as long as they are; `sha256` is its digest."""

    __tablename__ = "template_text"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    code: Mapped[str] = mapped_column(String(64), index=True)
    version: Mapped[int]
    text: Mapped[str] = mapped_column(Text)


class RecordTemplate(Base):
    """A version of a template (文书格式) in the register: of an agency, or of all where it names none.

    `text_sha256` is its text, of which `code`, `version`, `form` and `title` are read. `valid_from` to `valid_until`
    are the days on which records begin by it, both included; a draft has none. `is_shipped`: it came with the program.
    `filed_with`, `filing_number` and `filed_on` say with whom it was filed (备案); None where it was not.
    """

    __tablename__ = "record_template"
    __table_args__ = (
        Index(
            "uq_record_template_own_version",
            "agency_id",
            "code",
            "version",
            unique=True,
            sqlite_where=text("agency_id IS NOT NULL AND state <> 'dropped' AND NOT is_shipped"),
            postgresql_where=text("agency_id IS NOT NULL AND state <> 'dropped' AND NOT is_shipped"),
        ),
        Index(
            "uq_record_template_shared_version",
            "code",
            "version",
            unique=True,
            sqlite_where=text("agency_id IS NULL AND state <> 'dropped' AND NOT is_shipped"),
            postgresql_where=text("agency_id IS NULL AND state <> 'dropped' AND NOT is_shipped"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    agency_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("agency.id"))
    code: Mapped[str] = mapped_column(String(40))
    version: Mapped[int]
    form: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(100))
    text_sha256: Mapped[str] = mapped_column(ForeignKey("template_text.sha256"))
    state: Mapped[str] = mapped_column(String(16))
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    is_shipped: Mapped[bool]
    filed_with: Mapped[str | None] = mapped_column(String(100))
    filing_number: Mapped[str | None] = mapped_column(String(100))
    filed_on: Mapped[date | None]
    reason: Mapped[str | None] = mapped_column(String(500))
    saved_by: Mapped[uuid.UUID]
    saved_at: Mapped[datetime] = mapped_column(Moment)


class Draft(Reached, Base):
    """A text record that is being written (草稿) by a template, for a case; `id` is that of the record it becomes.

    `template_sha256` is the template that it was begun with. `field_values` is canonical JSON, by field;
    `revision` counts how often it was saved. `number` (文号), `pages` and `values_sha256`, the digest that the code on
    it has, are those of its paper, once it is set. One that amends a filed record names it, and the reason.
    """

    reached_by = "case_id"
    __tablename__ = "draft"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), index=True)
    act_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("act.id"))
    template: Mapped[str] = mapped_column(String(64))
    template_version: Mapped[int]
    template_sha256: Mapped[str] = mapped_column(ForeignKey("template_text.sha256"))
    title: Mapped[str] = mapped_column(String(300))
    field_values: Mapped[str] = mapped_column(Text)
    revision: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    begun_by: Mapped[uuid.UUID]
    begun_at: Mapped[datetime] = mapped_column(Moment)
    saved_by: Mapped[uuid.UUID]
    saved_at: Mapped[datetime] = mapped_column(Moment)
    number: Mapped[str | None] = mapped_column(String(100), index=True)
    pages: Mapped[int | None]
    values_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    amends_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("text_record.object_id"), index=True)
    amend_reason: Mapped[str | None] = mapped_column(String(500))


class DraftPdf(Base):
    """The PDF of a draft as it was set (`number` 0), and after each signature: each goes on from the one before it.

    The bytes are in the store of drafts under `key`. `place` is that of the signature, `kind` what came with it.
    `awaits_time`: the authority of time was down; nothing goes on until the timestamp is there.
    """

    __tablename__ = "draft_pdf"

    draft_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("draft.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    place: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(128))
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    sha512: Mapped[str] = mapped_column(String(128))
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)
    by_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(Moment)
    awaits_time: Mapped[bool]


class RecordExtension(Reached, Base):
    """A filed record with validation data and a timestamp for the long term (B-LTA), in a later version of its object.

    `renew_at` is when it needs the next timestamp, `ends_at` after when that would be too late.
    """

    reached_by = "object_id"
    __tablename__ = "record_extension"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("text_record.object_id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    sha512: Mapped[str] = mapped_column(String(128))
    renew_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    ends_at: Mapped[datetime | None] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)
    at: Mapped[datetime] = mapped_column(Moment)


class ItemText(Reached, Base):
    """The text of a document, read out of it to be searched and shown: of an evidence item or of a text record.

    Derived, and made again from the original at any time. `language` is `zh`, `en` or unknown; `is_cut` says that the
    document holds more text than is kept; `tool` read it.
    """

    reached_by = "object_id"
    __tablename__ = "item_text"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(String(8))
    is_cut: Mapped[bool]
    tool: Mapped[str] = mapped_column(String(100))
    extracted_at: Mapped[datetime] = mapped_column(Moment)
