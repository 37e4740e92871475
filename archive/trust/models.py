"""Tables of certificates: what was signed with them, what a second person must agree to, what the log tells of them."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment


class KeyCertificate(Base):
    """A certificate that signs documents. Its private key is never here: `place` says where, `handle` which one.

    `certificate` is DER, `serial` in hexadecimal; `holder_id` is an officer, an agency's root unit, or nobody where it
    is the archive's own. `revoked_at` is since when it must not be believed, which may lie before the revocation.
    """

    __tablename__ = "key_certificate"
    __table_args__ = (Index("ix_key_certificate_holder_id_purpose", "holder_id", "purpose"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    holder_id: Mapped[uuid.UUID | None]
    place: Mapped[str] = mapped_column(String(16))
    handle: Mapped[str] = mapped_column(String(300))
    certificate: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    serial: Mapped[str] = mapped_column(String(64), index=True)
    not_before: Mapped[datetime] = mapped_column(Moment)
    not_after: Mapped[datetime] = mapped_column(Moment)
    registered_at: Mapped[datetime] = mapped_column(Moment)
    registered_by: Mapped[uuid.UUID]
    replaced_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("key_certificate.id"))
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    revocation_reason: Mapped[str | None] = mapped_column(String(32))


class KeyUse(Base):
    """That something was signed with a certificate; `entry_id` is the log entry that tells it."""

    __tablename__ = "key_use"
    __table_args__ = (Index("ix_key_use_certificate_id_at", "certificate_id", "at"),)

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("key_certificate.id"))
    ref_kind: Mapped[str] = mapped_column(String(16))
    ref_id: Mapped[uuid.UUID] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(Moment)


class KeyEvent(Base):
    """That a log entry is about a certificate, or about a request for an act with one; its words stand in the entry."""

    __tablename__ = "key_event"
    __table_args__ = (Index("ix_key_event_ref_id_entry_id", "ref_id", "entry_id"),)

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    ref_id: Mapped[uuid.UUID]
    type: Mapped[str] = mapped_column(String(40))
    actor_id: Mapped[uuid.UUID]
    at: Mapped[datetime] = mapped_column(Moment)


class KeyRequest(Base):
    """That somebody asks for an act with a certificate to which a second person must agree.

    `certificate_id` is the one that is replaced or revoked; `certificate` (DER), `holder_id`, `place` and `handle` are
    those of one that is registered.
    """

    __tablename__ = "key_request"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    act: Mapped[str] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(16))
    certificate_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("key_certificate.id"))
    certificate: Mapped[bytes | None] = mapped_column(LargeBinary)
    holder_id: Mapped[uuid.UUID | None]
    place: Mapped[str | None] = mapped_column(String(16))
    handle: Mapped[str | None] = mapped_column(String(300))
    reason: Mapped[str] = mapped_column(String(500))
    revocation_reason: Mapped[str | None] = mapped_column(String(32))
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    state: Mapped[str] = mapped_column(String(16), index=True)
    asked_by: Mapped[uuid.UUID]
    asked_at: Mapped[datetime] = mapped_column(Moment)
    decided_by: Mapped[uuid.UUID | None]
    decided_at: Mapped[datetime | None] = mapped_column(Moment)
    answer: Mapped[str | None] = mapped_column(String(500))
