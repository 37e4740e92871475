"""Fixity rounds: places, checks, batches that were told, damage, mended blobs, reports.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import BigInt, Moment

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    _checks()
    _damage()
    op.create_table(
        "fixity_report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("made_at", Moment(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fixity_report")),
        sa.UniqueConstraint("month", name=op.f("uq_fixity_report_month")),
    )


def _checks() -> None:
    op.create_table(
        "fixity_place",
        sa.Column("place", sa.String(length=36), nullable=False),
        sa.Column("scanned", BigInt, nullable=False),
        sa.Column("credit_bytes", BigInt, nullable=False),
        sa.Column("credited_at", Moment(), nullable=False),
        sa.Column("size_bytes", BigInt, nullable=False),
        sa.Column("trouble", sa.String(length=64), nullable=True),
        sa.Column("trouble_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_fixity_place")),
    )
    op.create_table(
        "fixity_check",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(length=36), nullable=False),
        sa.Column("since", Moment(), nullable=True),
        sa.Column("asked_at", Moment(), nullable=True),
        sa.Column("read_at", Moment(), nullable=True),
        sa.Column("read_bytes", BigInt, nullable=True),
        sa.Column("read_head", sa.Integer(), nullable=True),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("checked_at", Moment(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("entry_id", sa.Uuid(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", Moment(), nullable=True),
        sa.Column("trouble", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_fixity_check_entry_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_fixity_check_object_id")),
        sa.PrimaryKeyConstraint("object_id", "place", name=op.f("pk_fixity_check")),
    )
    op.create_index("ix_fixity_check_since", "fixity_check", ["place", "since", "object_id", "checked_at"])
    is_unread = sa.text("tries > 0")
    op.create_index(
        "ix_fixity_check_unread", "fixity_check", ["place"], sqlite_where=is_unread, postgresql_where=is_unread
    )
    for name, column, partner in (("asked", "asked_at", "object_id"), ("read", "read_at", "read_at")):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_fixity_check_{name}", "fixity_check", ["place", partner], sqlite_where=where, postgresql_where=where
        )
    op.create_table(
        "fixity_batch",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(length=36), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("size_bytes", BigInt, nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_fixity_batch_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_fixity_batch")),
    )
    op.create_index("ix_fixity_batch_place_at", "fixity_batch", ["place", "at"])


def _damage() -> None:
    op.create_table(
        "fixity_damage",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("found_at", Moment(), nullable=False),
        sa.Column("quarantined_at", Moment(), nullable=True),
        sa.Column("good_place", sa.String(length=36), nullable=True),
        sa.Column("repaired_at", Moment(), nullable=True),
        sa.Column("trouble", sa.String(length=64), nullable=True),
        sa.Column("tried_at", Moment(), nullable=True),
        sa.Column("told_at", Moment(), nullable=True),
        sa.Column("told_trouble", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_fixity_damage_object_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fixity_damage")),
    )
    op.create_index("ix_fixity_damage_object_id", "fixity_damage", ["object_id"])
    op.create_index("ix_fixity_damage_found_at", "fixity_damage", ["found_at", "id"])
    is_open, is_untold = sa.text("repaired_at IS NULL"), sa.text("told_at IS NULL")
    op.create_index(
        "ix_fixity_damage_open",
        "fixity_damage",
        ["object_id", "place"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_index(
        "ix_fixity_damage_untold", "fixity_damage", ["found_at"], sqlite_where=is_untold, postgresql_where=is_untold
    )
    op.create_table(
        "fixity_mend",
        sa.Column("place", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=1100), nullable=False),
        sa.Column("version", sa.String(length=1024), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_fixity_mend_entry_id")),
        sa.PrimaryKeyConstraint("place", "key", name=op.f("pk_fixity_mend")),
    )
