"""Moves of all objects to another store; renewals of what signs and was signed.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import BigInt, Moment
from archive.db.store_guard import FUNCTION_SQL

revision = "0039"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and what tells on PostgreSQL which store is in use."""
    _moves()
    _renewals()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(FUNCTION_SQL)


def _moves() -> None:
    op.create_table(
        "store_move",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("from_place", sa.String(length=300), nullable=False),
        sa.Column("to_place", sa.String(length=300), nullable=False),
        sa.Column("from_settings", sa.Text(), nullable=False),
        sa.Column("to_settings", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("keep_days", sa.Integer(), nullable=False),
        sa.Column("begun_by", sa.Uuid(), nullable=False),
        sa.Column("begun_at", Moment(), nullable=False),
        sa.Column("scanned", BigInt, nullable=False),
        sa.Column("journal_size", BigInt, nullable=False),
        sa.Column("switched_at", Moment(), nullable=True),
        sa.Column("keep_until", Moment(), nullable=True),
        sa.Column("settled_at", Moment(), nullable=True),
        sa.Column("released_at", Moment(), nullable=True),
        sa.Column("abandoned_at", Moment(), nullable=True),
        sa.Column("report", sa.LargeBinary(), nullable=True),
        sa.Column("report_signature", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_move")),
    )
    op.create_table(
        "moved_object",
        sa.Column("move_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("fault", sa.String(length=64), nullable=True),
        sa.Column("fault_at", sa.String(length=1100), nullable=True),
        sa.Column("tried_at", Moment(), nullable=True),
        sa.Column("verified_at", Moment(), nullable=True),
        sa.Column("locked_until", Moment(), nullable=True),
        sa.Column("is_held", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("settled_at", Moment(), nullable=True),
        sa.Column("rechecked_at", Moment(), nullable=True),
        sa.Column("cleared_at", Moment(), nullable=True),
        sa.Column("kept_until", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["move_id"], ["store_move.id"], name=op.f("fk_moved_object_move_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_moved_object_object_id")),
        sa.PrimaryKeyConstraint("move_id", "object_id", name=op.f("pk_moved_object")),
    )
    op.create_index("ix_moved_object_state", "moved_object", ["move_id", "state", "object_id"])
    op.create_index("ix_moved_object_object_id", "moved_object", ["object_id"])


def _renewals() -> None:
    op.create_table(
        "object_renewal",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sha512", sa.String(length=128), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("stamped_at", Moment(), nullable=False),
        sa.Column("renew_at", Moment(), nullable=False),
        sa.Column("ends_at", Moment(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_object_renewal_object_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_object_renewal_entry_id")),
        sa.PrimaryKeyConstraint("object_id", "number", name=op.f("pk_object_renewal")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_object_renewal_entry_id")),
    )
    op.create_index("ix_object_renewal_renew_at", "object_renewal", ["renew_at"])
    op.create_index("ix_object_renewal_at", "object_renewal", ["at"])
    op.create_table(
        "own_certificate",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", Moment(), nullable=False),
        sa.Column("not_after", Moment(), nullable=False),
        sa.Column("used_since", Moment(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_own_certificate_entry_id")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_own_certificate")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_own_certificate_entry_id")),
    )
    op.create_table(
        "renewal_fault",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("tried_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "ref", name=op.f("pk_renewal_fault")),
    )
    # How many objects a signed manifest of a time has is asked by the time that they came.
    op.create_index("ix_preserved_object_preserved_at", "preserved_object", ["preserved_at", "id"])
