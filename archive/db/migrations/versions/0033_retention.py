"""Retention: versions of the schedule, what was planned, marks and holds.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_IS_STALE = sa.text("stale_since IS NOT NULL")
_IS_PLACED = sa.text("released_at IS NULL")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "retention_schedule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("saved_by", sa.Uuid(), nullable=False),
        sa.Column("saved_at", Moment(), nullable=False),
        sa.Column("put_in_force_by", sa.Uuid(), nullable=True),
        sa.Column("put_in_force_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_schedule")),
    )
    op.create_table(
        "retention_plan",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("retain_until", Moment(), nullable=True),
        sa.Column("is_permanent", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("is_waiting", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=True),
        sa.Column("basis", sa.String(length=16), nullable=True),
        sa.Column("basis_at", Moment(), nullable=True),
        sa.Column("schedule_id", sa.Uuid(), nullable=True),
        sa.Column("planned_at", Moment(), nullable=False),
        sa.Column("stale_since", Moment(), nullable=True),
        sa.Column("entry_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_retention_plan")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_retention_plan_retain_until", "retention_plan", ["retain_until", "object_id"])
    op.create_index(
        "ix_retention_plan_stale",
        "retention_plan",
        ["stale_since"],
        sqlite_where=_IS_STALE,
        postgresql_where=_IS_STALE,
    )
    op.create_table(
        "retention_mark",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ref_kind", sa.String(length=16), nullable=False),
        sa.Column("ref_id", sa.Uuid(), nullable=False),
        sa.Column("mark", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("set_by", sa.Uuid(), nullable=False),
        sa.Column("set_at", Moment(), nullable=False),
        sa.Column("removed_by", sa.Uuid(), nullable=True),
        sa.Column("removed_at", Moment(), nullable=True),
        sa.Column("removed_reason", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_mark")),
    )
    op.create_index("ix_retention_mark_ref_id", "retention_mark", ["ref_id"])
    op.create_table(
        "hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("ref_id", sa.Uuid(), nullable=True),
        sa.Column("query", sa.Text(), nullable=True),
        sa.Column("authority", sa.String(length=300), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("placed_by", sa.Uuid(), nullable=False),
        sa.Column("placed_at", Moment(), nullable=False),
        sa.Column("scanned_at", Moment(), nullable=True),
        sa.Column("released_by", sa.Uuid(), nullable=True),
        sa.Column("released_at", Moment(), nullable=True),
        sa.Column("release_reason", sa.String(length=1000), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sa.UniqueConstraint("number", name=op.f("uq_hold_number")),
    )
    op.create_index("ix_hold_ref_id", "hold", ["ref_id"])
    op.create_index("ix_hold_unit_id", "hold", ["unit_id"])
    op.create_index("ix_hold_review_on", "hold", ["review_on"], sqlite_where=_IS_PLACED, postgresql_where=_IS_PLACED)
    op.create_table(
        "held_object",
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name=op.f("fk_held_object_hold_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_held_object_object_id")),
        sa.PrimaryKeyConstraint("hold_id", "object_id", name=op.f("pk_held_object")),
    )
    op.create_index("ix_held_object_object_id", "held_object", ["object_id"])
