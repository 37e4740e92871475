"""Tables of events and the webhooks that want them, and of notices to people and how they want them."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    or_,
)
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached, Sees


class OutboxEvent(Reached, Base):
    """Something that happened to an item, as other systems are told it; written in the transaction of the change.

    `sequence` counts the events of one `about_id`. `external` holds, by integration, what that system calls the things
    in `data`: each system is told its own names only.
    """

    __tablename__ = "event_outbox"
    __table_args__ = (UniqueConstraint("about_id", "sequence"), Index("ix_event_outbox_at_id", "at", "id"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(40))
    about_id: Mapped[uuid.UUID]
    sequence: Mapped[int]
    at: Mapped[datetime] = mapped_column(Moment)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    external: Mapped[dict[str, Any]] = mapped_column(JSON)

    @classmethod
    def seen_if(cls, sees: Sees, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that its item is seen; an upload that became none is nobody's."""
        return or_(sees(table.c.about_id), table.c.type == "item.quarantined")


class EventCount(Base):
    """How many events there are of one thing: the row that two transactions wait at, so that each has its number."""

    __tablename__ = "event_count"

    about_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    last: Mapped[int]


class Webhook(Base):
    """An address of an integration that is told of events.

    The secret is derived from the archive's key, the id and `secret_version`; only its SHA-256 is kept, to notice when
    that key is another one. After a failure nothing is sent before `quiet_until`.
    """

    __tablename__ = "webhook"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    integration_id: Mapped[uuid.UUID] = mapped_column(index=True)
    url: Mapped[str] = mapped_column(String(1000))
    types: Mapped[list[str]] = mapped_column(JSON)
    secret_version: Mapped[int]
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    rotated_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)
    removed_at: Mapped[datetime | None] = mapped_column(Moment)
    failures: Mapped[int] = mapped_column(default=0)
    quiet_until: Mapped[datetime | None] = mapped_column(Moment)
    last_delivered_at: Mapped[datetime | None] = mapped_column(Moment)


class WebhookDelivery(Base):
    """One event on its way to one webhook. `state` is waiting, delivered, dead, or dropped.

    It is dropped with its webhook, and where the webhook's system does not see the item.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("ix_webhook_delivery_webhook_id_state", "webhook_id", "state"),)

    webhook_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("webhook.id"), primary_key=True)
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_outbox.id"), primary_key=True, index=True)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    first_at: Mapped[datetime] = mapped_column(Moment)
    tried_at: Mapped[datetime | None] = mapped_column(Moment)
    next_at: Mapped[datetime | None] = mapped_column(Moment)
    status: Mapped[int | None]
    cause: Mapped[str | None] = mapped_column(String(64))


class Notice(Base):
    """Something that a person is told of. The text is made of kind and parameters when it is read.

    `params` hold nothing that this person may not see. `mail_state` is none, waiting, sent, refused or dropped.
    """

    __tablename__ = "notice"
    __table_args__ = (
        Index("ix_notice_account_id_made_at_id", "account_id", "made_at", "id"),
        Index("ix_notice_account_id_read_at", "account_id", "read_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(String(40))
    params: Mapped[dict[str, Any]] = mapped_column(JSON)
    link: Mapped[str] = mapped_column(String(300))
    made_at: Mapped[datetime] = mapped_column(Moment)
    read_at: Mapped[datetime | None] = mapped_column(Moment)
    mail_state: Mapped[str] = mapped_column(String(8), server_default="none")
    mail_attempts: Mapped[int] = mapped_column(server_default="0")


class NoticeChoice(Base):
    """That a person wants notices of a kind by mail too; without a row they stand in the page only."""

    __tablename__ = "notice_choice"

    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)


class MailAddress(Base):
    """Where a person gets mail, and in which language; used once a code that was sent there has come back.

    The code is kept as its SHA-256, made anew with every attempt to send it.
    """

    __tablename__ = "mail_address"

    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(254))
    language: Mapped[str] = mapped_column(String(8))
    asked_at: Mapped[datetime] = mapped_column(Moment)
    verified_at: Mapped[datetime | None] = mapped_column(Moment)
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    code_until: Mapped[datetime | None] = mapped_column(Moment)
    wrong_codes: Mapped[int] = mapped_column(server_default="0")
