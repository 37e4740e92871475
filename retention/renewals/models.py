"""Tables of renewals: of signed manifests, of the archive's own certificates, and of what could not be renewed."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached


class ObjectRenewal(Reached, Base):
    """A timestamp over the signed manifest of an object and all that lies beside it, in a later version of the object.

    Digests are those of its record, `token_sha256` that of its token; `ends_at` is the end of the authority's
    certificate, `renew_at` when the next renewal is due.
    """

    reached_by = "object_id"
    __tablename__ = "object_renewal"
    __table_args__ = (
        Index("ix_object_renewal_renew_at", "renew_at"),
        Index("ix_object_renewal_at", "at"),
    )

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    sha512: Mapped[str] = mapped_column(String(128))
    token_sha256: Mapped[str] = mapped_column(String(64))
    stamped_at: Mapped[datetime] = mapped_column(Moment)
    renew_at: Mapped[datetime] = mapped_column(Moment)
    ends_at: Mapped[datetime] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)
    at: Mapped[datetime] = mapped_column(Moment)


class OwnCertificate(Base):
    """A certificate of the archive's own: of its root, of the key that signs manifests, or of its authority of time.

    `kind` is root, manifest or timestamp. It is used since `used_since`, until there is a later one of its kind.
    """

    __tablename__ = "own_certificate"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    certificate: Mapped[bytes] = mapped_column(LargeBinary)
    not_before: Mapped[datetime] = mapped_column(Moment)
    not_after: Mapped[datetime] = mapped_column(Moment)
    used_since: Mapped[datetime] = mapped_column(Moment)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)


class RenewalFault(Base):
    """What could not be renewed, since when, and the code of why; gone once it could. `ref` is an id, or empty."""

    __tablename__ = "renewal_fault"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    ref: Mapped[str] = mapped_column(String(64), primary_key=True)
    code: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime] = mapped_column(Moment)
    tried_at: Mapped[datetime] = mapped_column(Moment)
