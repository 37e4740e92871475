"""Segments of the encrypted journal, and which details were erased.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.append_only import protect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables; rows are only ever inserted. The triggers of `log_detail` let go what was erased."""
    op.create_table(
        "log_segment",
        sa.Column("size", _BIG, autoincrement=False, nullable=False),
        sa.Column("previous_size", _BIG, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["log_checkpoint.size"], name=op.f("fk_log_segment_size")),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_segment")),
        sa.UniqueConstraint("previous_size", name=op.f("uq_log_segment_previous_size")),
    )
    op.create_table(
        "log_erasure",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("told_by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_log_erasure_entry_id")),
        sa.ForeignKeyConstraint(["told_by"], ["log_entry.id"], name=op.f("fk_log_erasure_told_by")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_log_erasure")),
        sa.UniqueConstraint("told_by", name=op.f("uq_log_erasure_told_by")),
    )
    protect(op.get_bind())
