"""Renditions that play while they are made.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add encodes whose segments can be played already."""
    op.create_table(
        "live_encoding",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=True),
        sa.Column("viewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["object_id"], ["evidence_item.object_id"], name=op.f("fk_live_encoding_object_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_live_encoding")),
    )
