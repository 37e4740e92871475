"""What one dock may send, what docks announce, how far the disk was filled, and the trace that a job belongs to.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import BigInt, Moment

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("job", sa.Column("ran_ms", BigInt, nullable=True))
    op.add_column("job", sa.Column("traceparent", sa.String(length=55), nullable=True))
    for name, kind in (
        ("most_bytes_per_day", BigInt),
        ("most_bytes_per_s", BigInt),
        ("most_uploads", sa.Integer()),
    ):
        op.add_column("dock", sa.Column(name, kind, nullable=True))
    op.create_table(
        "dock_pace",
        sa.Column("dock_id", sa.Uuid(), nullable=False),
        sa.Column("ahead_bytes", BigInt, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["dock_id"], ["dock.id"], name=op.f("fk_dock_pace_dock_id")),
        sa.PrimaryKeyConstraint("dock_id", name=op.f("pk_dock_pace")),
    )
    op.create_table(
        "waiting_recording",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dock_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("size_bytes", BigInt, nullable=False),
        sa.Column("device_serial", sa.String(length=128), nullable=True),
        sa.Column("begins_at", Moment(), nullable=True),
        sa.Column("ends_at", Moment(), nullable=True),
        sa.Column("announced_at", Moment(), nullable=False),
        sa.Column("left_at", Moment(), nullable=True),
        sa.Column("upload_id", sa.Uuid(), nullable=True),
        sa.Column("wished_at", Moment(), nullable=True),
        sa.Column("wished_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["dock_id"], ["dock.id"], name=op.f("fk_waiting_recording_dock_id")),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_waiting_recording_upload_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_recording")),
        sa.UniqueConstraint("dock_id", "key", name=op.f("uq_waiting_recording_dock_id_key")),
    )
    op.create_index(op.f("ix_waiting_recording_left_at"), "waiting_recording", ["left_at"])
    op.create_index(op.f("ix_waiting_recording_upload_id"), "waiting_recording", ["upload_id"])
    op.drop_index(op.f("ix_upload_dock_id"), "upload")
    op.create_index(op.f("ix_upload_dock_id_created_at"), "upload", ["dock_id", "created_at"])
    op.create_index(op.f("ix_upload_finished_at"), "upload", ["finished_at"])
    op.create_table(
        "room_sample",
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("free_bytes", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("place", "at", name=op.f("pk_room_sample")),
    )
