"""What several web processes share: where staged bytes lie, judgements that are kept for an hour, drawn allowances.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and tables."""
    for table in ("upload", "axis_object"):
        op.add_column(table, sa.Column("place", sa.String(length=32), server_default=sa.text("''"), nullable=False))
    op.create_table(
        "kept_judgement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("made_at", Moment(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("judgement", sa.LargeBinary(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_judgement")),
    )
    op.create_index(op.f("ix_kept_judgement_made_at"), "kept_judgement", ["made_at"])
    op.create_table(
        "allowance",
        sa.Column("meter", sa.String(length=16), nullable=False),
        sa.Column("who", sa.LargeBinary(length=16), nullable=False),
        sa.Column("left", sa.Float(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "who", name=op.f("pk_allowance")),
    )
    op.create_index(op.f("ix_allowance_at"), "allowance", ["at"])
