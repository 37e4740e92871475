"""Locks in the store, the probe that shows whether they hold, and uploads that go straight to it.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "worm_probe",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("probed_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worm_probe")),
    )
    op.create_table(
        "object_lock",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("locked_until", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_object_lock_object_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_object_lock")),
    )
    op.create_table(
        "direct_upload",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=1024), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("part_size_bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name=op.f("fk_direct_upload_upload_id")),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_direct_upload")),
    )
    op.create_index(op.f("ix_object_lock_locked_until"), "object_lock", ["locked_until"])
