"""Tables of packages that are kept for download, and of who may fetch them."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment
from archive.db.sight import Reached


class CasePackage(Reached, Base):
    """A package of a case that somebody asked for. `state` is asked, ready or removed; its job tells how far it is.

    `name` is that of the ZIP without its ending, `size_bytes` the length of the ZIP. `entry_id` is the entry of the
    grant.
    """

    reached_by = "case_id"
    __tablename__ = "package"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    case_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("case_file.id"), index=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    purpose: Mapped[str] = mapped_column(String(500))
    with_renditions: Mapped[bool]
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"))
    asked_at: Mapped[datetime] = mapped_column(Moment)
    state: Mapped[str] = mapped_column(String(16), index=True)
    name: Mapped[str] = mapped_column(String(200))
    made_at: Mapped[datetime | None] = mapped_column(Moment)
    object_count: Mapped[int | None]
    checkpoint_size: Mapped[int | None] = mapped_column(BigInt)
    size_bytes: Mapped[int | None] = mapped_column(BigInt)
    removed_at: Mapped[datetime | None] = mapped_column(Moment)


class PackageDownload(Base):
    """The right of one account to fetch one package until it ends, with the entry that says so."""

    __tablename__ = "package_download"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    package_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("package.id"), index=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"))
    granted_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
