"""Tables of devices and of the ledger of who handed them to whom."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, Moment
from archive.db.sight import Reached


class Device(Reached, Base):
    """A camera or another source, by its serial number. `holder_id` is the officer who has it; None is the store."""

    reached_by = "id"
    __tablename__ = "device"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    serial: Mapped[str] = mapped_column(String(128), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(100))
    firmware: Mapped[str] = mapped_column(String(100))
    unit_id: Mapped[uuid.UUID] = mapped_column(index=True)
    holder_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("officer.id"), index=True)
    state: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(String(500))
    recorded_at: Mapped[datetime] = mapped_column(Moment)


class DeviceHandover(Reached, Base):
    """One line of the ledger (交接登记): from whom to whom, None being the store, and the check before duty.

    Units: percent; MiB; seconds that the device's clock is ahead of true time.
    """

    reached_by = "device_id"
    __tablename__ = "device_handover"
    __table_args__ = (Index("ix_device_handover_device_id_at", "device_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id"))
    at: Mapped[datetime] = mapped_column(Moment)
    from_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("officer.id"))
    to_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("officer.id"))
    battery_percent: Mapped[int | None]
    free_mib: Mapped[int | None]
    clock_offset_s: Mapped[int | None]
    remarks: Mapped[str] = mapped_column(String(500))
    by_id: Mapped[uuid.UUID]
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"))
