"""Doors beside the docks.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the kind of a dock, the person behind an upload, and what an Axis system transfers."""
    op.add_column("dock", sa.Column("kind", sa.String(length=16), server_default="station", nullable=False))
    op.add_column("upload", sa.Column("sender_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_upload_sender_id"), "upload", ["sender_id"], unique=False)
    op.create_table(
        "axis_token",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("dock_id", sa.Uuid(), nullable=False),
        sa.Column("key_prefix", sa.String(length=16), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["dock_id"], ["dock.id"], name=op.f("fk_axis_token_dock_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_axis_token")),
    )
    op.create_index(op.f("ix_axis_token_dock_id"), "axis_token", ["dock_id"], unique=False)
    op.create_table(
        "axis_container",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dock_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["dock_id"], ["dock.id"], name=op.f("fk_axis_container_dock_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_axis_container")),
        sa.UniqueConstraint("dock_id", "name", name=op.f("uq_axis_container_dock_id_name")),
    )
    op.create_table(
        "axis_object",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("container_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("content_type", sa.String(length=200), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("md5", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sha512", sa.String(length=128), nullable=False),
        sa.Column("sm3", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["container_id"], ["axis_container.id"], name=op.f("fk_axis_object_container_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_axis_object")),
        sa.UniqueConstraint("container_id", "name", name=op.f("uq_axis_object_container_id_name")),
    )
