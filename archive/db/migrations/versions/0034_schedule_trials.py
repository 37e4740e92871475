"""Retention schedules: how one was withdrawn, and what it would change.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("retention_schedule", sa.Column("withdrawn_by", sa.Uuid(), nullable=True))
    op.add_column("retention_schedule", sa.Column("withdrawn_at", Moment(), nullable=True))
    op.add_column("retention_schedule", sa.Column("withdrawal_reason", sa.String(length=500), nullable=True))
    op.create_table(
        "schedule_trial",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.Column("now_id", sa.Uuid(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", Moment(), nullable=False),
        sa.Column("total", _BIG, nullable=False),
        sa.Column("position", sa.Uuid(), nullable=True),
        sa.Column("tally", sa.Text(), nullable=False),
        sa.Column("done_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["schedule_id"], ["retention_schedule.id"], name=op.f("fk_schedule_trial_schedule_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_trial")),
    )
    op.create_index("ix_schedule_trial_schedule_id", "schedule_trial", ["schedule_id"])
