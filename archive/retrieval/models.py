"""Tables of requests, grants, and accesses that were unusual."""

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, FromClause, Index, String, exists, false, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.custody.models import AccessRecord
from archive.db.base import Base, Moment
from archive.db.sight import Reached, Sees


class RetrievalRequest(Reached, Base):
    """That somebody asks to see (`view`), copy (`export`) or print one object, and what was decided.

    `state` is waiting, approved, refused, withdrawn, lapsed or ended. While it is approved and `until` is to come, its
    asker is granted that kind of retrieval as often as it is wanted.
    """

    reached_by = "object_id"
    __tablename__ = "retrieval_request"
    __table_args__ = (
        Index("ix_retrieval_request_account_id_object_id", "account_id", "object_id"),
        Index("ix_retrieval_request_state_decide_by", "state", "decide_by"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    purpose: Mapped[str] = mapped_column(String(500))
    reference: Mapped[str] = mapped_column(String(100))
    days: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    asked_at: Mapped[datetime] = mapped_column(Moment)
    decide_by: Mapped[datetime] = mapped_column(Moment)
    decided_by: Mapped[uuid.UUID | None]
    decided_at: Mapped[datetime | None] = mapped_column(Moment)
    reason: Mapped[str | None] = mapped_column(String(500))
    until: Mapped[datetime | None] = mapped_column(Moment)
    warned_at: Mapped[datetime | None] = mapped_column(Moment)


class Grant(Reached, Base):
    """The right of one account to see (`view`), copy (`export`) or print one object until it ends.

    `reference` is the number of the case or task that it is for. `request_id`: the approval that it stands on, if any.
    `is_emergency`: nobody was asked (break-glass).
    """

    reached_by = "object_id"
    __tablename__ = "retrieval_grant"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), index=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    purpose: Mapped[str] = mapped_column(String(500))
    reference: Mapped[str] = mapped_column(String(100), server_default=text("''"))
    request_id: Mapped[uuid.UUID | None]
    is_emergency: Mapped[bool] = mapped_column(default=False, server_default=false())
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"))
    granted_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class UnusualAccess(Reached, Base):
    """That a rule found an access unusual; `rule` is its name. `words` say what `checked_by` found of it."""

    __tablename__ = "unusual_access"

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("access_record.entry_id"), primary_key=True)
    rule: Mapped[str] = mapped_column(String(32), primary_key=True)
    found_at: Mapped[datetime] = mapped_column(Moment)
    checked_by: Mapped[uuid.UUID | None]
    checked_at: Mapped[datetime | None] = mapped_column(Moment)
    words: Mapped[str | None] = mapped_column(String(500))

    @classmethod
    def seen_if(cls, sees: Sees, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that the access is seen."""
        record = AccessRecord.__table__.alias("access_seen")
        return exists().where(record.c.entry_id == table.c.entry_id, AccessRecord.seen_if(sees, record))
