"""Planning: how far it is, what locks were held against plans, legal holds of stores; plans only grow.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db import only_grows

revision = "0035"
down_revision = "0033"
branch_labels = None
depends_on = None

_IS_LOCK_DUE = sa.text("lock_due")
_HAS_HOLD = sa.text("has_hold")


def upgrade() -> None:
    """Add table, columns and triggers."""
    op.create_table(
        "planning_state",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("scanned", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("swept", sa.String(length=64), nullable=True),
        sa.Column("sweeping", sa.String(length=64), nullable=True),
        sa.Column("swept_to", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_planning_state")),
    )
    op.add_column("retention_plan", sa.Column("waits_for", sa.String(length=64), nullable=True))
    op.add_column("retention_plan", sa.Column("lock_due", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.create_index(
        "ix_retention_plan_lock_due",
        "retention_plan",
        ["object_id"],
        sqlite_where=_IS_LOCK_DUE,
        postgresql_where=_IS_LOCK_DUE,
    )
    op.add_column("object_lock", sa.Column("has_hold", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_object_lock_has_hold", "object_lock", ["object_id"], sqlite_where=_HAS_HOLD, postgresql_where=_HAS_HOLD
    )
    for name in ("has_hold", "lock_due"):
        op.add_column("object_copy", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))
        where = sa.text(name)
        op.create_index(
            f"ix_object_copy_{name}",
            "object_copy",
            ["place_id", "object_id"],
            sqlite_where=where,
            postgresql_where=where,
        )
    only_grows.protect(op.get_bind())
