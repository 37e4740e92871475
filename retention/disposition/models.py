"""Tables of lists of what may be destroyed, of who decided on them, of tombstones and certificates."""

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment
from archive.db.sight import Reached

_IS_OPEN: Final = text("state IN ('listed', 'begun')")


class DispositionList(Reached, Base):
    """A list of objects whose time is over (鉴定处置清册), frozen as it was proposed.

    `sha256` is the digest of its canonical content (`retention.disposition.freezing`). `recovers_until` is when the
    recovery period ends, known once both supervisors have agreed. `balance` says what there was, what went and what
    was left, once it was carried out; `certificate_id` is the object that its certificate is or will be.
    `trouble` is the code of what keeps it from going on, since `trouble_at`.
    """

    reached_by = "id"
    __tablename__ = "disposition_list"
    __table_args__ = (
        UniqueConstraint("year", "serial"),
        Index("ix_disposition_list_state", "state", "recovers_until"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    year: Mapped[int]
    serial: Mapped[int]
    number: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(String(1000))
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(String(64))
    objects: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInt)
    proposed_by: Mapped[uuid.UUID]
    proposed_at: Mapped[datetime] = mapped_column(Moment)
    period_days: Mapped[int]
    recovers_until: Mapped[datetime | None] = mapped_column(Moment)
    begun_at: Mapped[datetime | None] = mapped_column(Moment)
    done_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_by: Mapped[uuid.UUID | None]
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    end_reason: Mapped[str | None] = mapped_column(String(1000))
    balance: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    certificate_id: Mapped[uuid.UUID | None]
    trouble: Mapped[str | None] = mapped_column(String(64))
    trouble_at: Mapped[datetime | None] = mapped_column(Moment)


class DispositionItem(Reached, Base):
    """An object on a list, with what was known of it when the list was frozen.

    `state` is listed, struck, left, begun or destroyed, `step` how far its destruction is. `reason` says why an
    appraiser struck it; `stops` (kinds) what it was left out for. `before` is what there was of it in each store when
    the list began to be carried out, `found` the same just before it was destroyed.
    """

    reached_by = "list_id"
    __tablename__ = "disposition_item"
    __table_args__ = (
        UniqueConstraint("list_id", "position"),
        Index("ix_disposition_item_object_id", "object_id"),
        Index("ix_disposition_item_open", "list_id", "position", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
    )

    list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("disposition_list.id"), primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    position: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    size_bytes: Mapped[int] = mapped_column(BigInt)
    sha256: Mapped[str] = mapped_column(String(64))
    sha512: Mapped[str] = mapped_column(String(128))
    retain_until: Mapped[datetime] = mapped_column(Moment)
    rule: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    step: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(500))
    stops: Mapped[list[str] | None] = mapped_column(JSON)
    state_at: Mapped[datetime | None] = mapped_column(Moment)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    found: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class DispositionPart(Reached, Base):
    """What one person did about a list: proposed, appraised, approved or supervised it. Nobody has two parts.

    `roles` are those of that moment; `opinion` is an appraiser's; `entry_id` is the log entry that tells of it.
    """

    reached_by = "list_id"
    __tablename__ = "disposition_part"

    list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("disposition_list.id"), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    part: Mapped[str] = mapped_column(String(16))
    roles: Mapped[str] = mapped_column(String(300))
    opinion: Mapped[str | None] = mapped_column(String(16))
    words: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)


class Tombstone(Base):
    """That an object was destroyed, when and on which list, and what it was: its digests stay for ever.

    Everybody may read it; it says nothing of anybody. `gone` is what was destroyed in each store. Never changed.
    """

    __tablename__ = "tombstone"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("disposition_list.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    size_bytes: Mapped[int] = mapped_column(BigInt)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    sha512: Mapped[str] = mapped_column(String(128))
    sm3: Mapped[str | None] = mapped_column(String(64))
    preserved_at: Mapped[datetime] = mapped_column(Moment)
    retain_until: Mapped[datetime] = mapped_column(Moment)
    rule: Mapped[str | None] = mapped_column(String(64))
    gone: Mapped[dict[str, Any]] = mapped_column(JSON)
    begun_at: Mapped[datetime] = mapped_column(Moment)
    destroyed_at: Mapped[datetime] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)


class DisposalCertificate(Reached, Base):
    """The certificate of a list (销毁证明书): a signed PDF that is a preserved object of its own.

    `number` 1 is the original; later ones are the same with a newer timestamp, in later versions of the object.
    `renew_at` is when it needs the next one, `ends_at` after when that would be too late.
    """

    reached_by = "list_id"
    __tablename__ = "disposal_certificate"

    list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("disposition_list.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), index=True)
    path: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    sha512: Mapped[str] = mapped_column(String(128))
    renew_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    ends_at: Mapped[datetime | None] = mapped_column(Moment)
    at: Mapped[datetime] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)
