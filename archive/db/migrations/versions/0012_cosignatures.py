"""Cosignatures of witnesses on the log's checkpoints.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.append_only import protect

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; rows are only ever inserted."""
    op.create_table(
        "log_cosignature",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("time_s", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["log_checkpoint.size"], name=op.f("fk_log_cosignature_size")),
        sa.PrimaryKeyConstraint("size", "key", "time_s", name=op.f("pk_log_cosignature")),
    )
    protect(op.get_bind())
