"""The table of text records."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment


class TextRecord(Base):
    """A preserved document with its kind (文书类型) and title."""

    __tablename__ = "text_record"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    form: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(300))
    filed_by: Mapped[uuid.UUID]
    filed_at: Mapped[datetime] = mapped_column(Moment)
