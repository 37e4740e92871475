"""Recordings and their clips.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what a file says of its source, and recordings with their clips."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("evidence_item", sa.Column("source_kind", sa.String(length=16), nullable=True))
    op.add_column("evidence_item", sa.Column("officer_number", sa.String(length=32), nullable=True))
    op.add_column("evidence_item", sa.Column("channel", sa.String(length=32), nullable=True))
    op.add_column("evidence_item", sa.Column("series", sa.String(length=128), nullable=True))
    op.add_column("evidence_item", sa.Column("sequence", big, nullable=True))
    op.add_column("evidence_item", sa.Column("recorded_from", sa.String(length=16), nullable=True))
    op.create_index(op.f("ix_evidence_item_officer_number"), "evidence_item", ["officer_number"], unique=False)
    op.create_table(
        "recording",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device_key", sa.String(length=64), nullable=False),
        sa.Column("device_serial", sa.String(length=128), nullable=True),
        sa.Column("source_kind", sa.String(length=16), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clip_count", sa.Integer(), nullable=False),
        sa.Column("duration_ms", big, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recording")),
    )
    op.create_index("ix_recording_device_key_ended_at", "recording", ["device_key", "ended_at"], unique=False)
    op.create_index(op.f("ix_recording_device_serial"), "recording", ["device_serial"], unique=False)
    op.create_index(op.f("ix_recording_started_at"), "recording", ["started_at"], unique=False)
    op.create_table(
        "clip",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("recording_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", big, nullable=True),
        sa.Column("gap_before_ms", big, nullable=True),
        sa.ForeignKeyConstraint(["object_id"], ["evidence_item.object_id"], name=op.f("fk_clip_object_id")),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name=op.f("fk_clip_recording_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_clip")),
        sa.UniqueConstraint("recording_id", "position", name=op.f("uq_clip_recording_id_position")),
    )
