"""Tables of the log. All but `log_pending` are only ever inserted into; `log_detail` loses what was erased."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment


class LogEntry(Base):
    """An entry, verbatim: the bytes whose hash is the leaf."""

    __tablename__ = "log_entry"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class LogDetail(Base):
    """What an entry commits to with `detail_c`. May be erased (`LogErasure`); the leaf stays valid."""

    __tablename__ = "log_detail"

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    detail: Mapped[bytes] = mapped_column(LargeBinary)


class LogErasure(Base):
    """A detail that was erased, and the entry that tells of it. The row is what lets the detail's row go."""

    __tablename__ = "log_erasure"

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)
    told_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)


class LogPending(Base):
    """An entry that has no index yet. The sequencer deletes the row in the transaction that gives one."""

    __tablename__ = "log_pending"

    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), primary_key=True)


class LogLeaf(Base):
    """The place of an entry in the log."""

    __tablename__ = "log_leaf"

    index: Mapped[int] = mapped_column("leaf_index", BigInt, primary_key=True, autoincrement=False)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("log_entry.id"), unique=True)


class LogNode(Base):
    """The hash of a complete subtree of 2^level leaves; level 0 is the leaf hashes."""

    __tablename__ = "log_node"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class LogCheckpoint(Base):
    """A signed tree head. The unique `previous_size` is the compare-and-swap: two heads cannot follow one."""

    __tablename__ = "log_checkpoint"

    size: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    previous_size: Mapped[int | None] = mapped_column(BigInt, unique=True)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    note: Mapped[str] = mapped_column(Text)
    issued_at: Mapped[datetime] = mapped_column(Moment)


class LogSegment(Base):
    """A segment of the encrypted journal, durable before this row: the details of the entries up to `size`."""

    __tablename__ = "log_segment"

    size: Mapped[int] = mapped_column(ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False)
    previous_size: Mapped[int] = mapped_column(BigInt, unique=True)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)


class LogCosignature(Base):
    """A witness's signature line on one of our checkpoints, verified before it was stored.

    `key` is the witness's key as `<name>+<key ID>`; `time_s` the POSIX time that the witness states.
    """

    __tablename__ = "log_cosignature"

    size: Mapped[int] = mapped_column(ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    time_s: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    line: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(Moment)
