"""The tables of locks and of the probe that shows whether they hold."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment


class WormProbeRun(Base):
    """One try to get rid of what is locked. `findings` is canonical JSON."""

    __tablename__ = "worm_probe"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(String(300))
    outcome: Mapped[str] = mapped_column(String(16))
    findings: Mapped[str] = mapped_column(Text)
    probed_at: Mapped[datetime] = mapped_column(Moment)


class ObjectLock(Base):
    """Until when every version of an object is locked in the store, as it was read back."""

    __tablename__ = "object_lock"

    object_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("preserved_object.id"), primary_key=True)
    locked_until: Mapped[datetime] = mapped_column(Moment, index=True)
