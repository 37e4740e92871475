"""Tables of text records and of the texts of documents."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached


class TextRecord(Reached, Base):
    """A preserved document with its kind (文书类型) and title."""

    reached_by = "object_id"
    __tablename__ = "text_record"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    form: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(300))
    filed_by: Mapped[uuid.UUID]
    filed_at: Mapped[datetime] = mapped_column(Moment)


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
