"""Holds: their reviews, their numbers, and who was told of a review; one standing mark of a kind for each thing.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

_STANDS = sa.text("removed_at IS NULL")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "hold_review",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("was_on", sa.Date(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_hold_review_entry_id")),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name=op.f("fk_hold_review_hold_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_hold_review")),
    )
    op.create_index("ix_hold_review_hold_id_at", "hold_review", ["hold_id", "at"])
    op.create_table(
        "hold_count",
        sa.Column("series", sa.String(length=64), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series", name=op.f("pk_hold_count")),
    )
    op.create_table(
        "hold_alarm",
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name=op.f("fk_hold_alarm_hold_id")),
        sa.PrimaryKeyConstraint("hold_id", "review_on", "level", name=op.f("pk_hold_alarm")),
    )
    op.create_index(
        "uq_retention_mark_standing",
        "retention_mark",
        ["ref_id", "mark"],
        unique=True,
        sqlite_where=_STANDS,
        postgresql_where=_STANDS,
    )
