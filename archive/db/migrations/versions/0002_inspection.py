"""What a look through the frames finds.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what looks into an item found."""
    op.create_table(
        "item_look",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("look", sa.String(length=32), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["evidence_item.object_id"], name=op.f("fk_item_look_object_id")),
        sa.PrimaryKeyConstraint("object_id", "look", name=op.f("pk_item_look")),
    )
