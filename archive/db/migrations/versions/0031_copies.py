"""The second copy of every object, and the drills that show what it is worth.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DUE = sa.text("due_index IS NOT NULL")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "copy_place",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("scanned", _BIG, nullable=False),
        sa.Column("trouble", sa.String(length=64), nullable=True),
        sa.Column("trouble_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_copy_place")),
        sa.UniqueConstraint("place", name=op.f("uq_copy_place_place")),
    )
    op.create_table(
        "object_copy",
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("copied_at", Moment(), nullable=True),
        sa.Column("locked_until", Moment(), nullable=True),
        sa.Column("due_index", _BIG, nullable=True),
        sa.Column("due_since", Moment(), nullable=True),
        sa.Column("tried_at", Moment(), nullable=True),
        sa.Column("fault", sa.String(length=64), nullable=True),
        sa.Column("fault_at", sa.String(length=1100), nullable=True),
        sa.ForeignKeyConstraint(["place_id"], ["copy_place.id"], name=op.f("fk_object_copy_place_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_object_copy_object_id")),
        sa.PrimaryKeyConstraint("place_id", "object_id", name=op.f("pk_object_copy")),
    )
    op.create_index(
        "ix_object_copy_due",
        "object_copy",
        ["place_id", "due_since"],
        sqlite_where=_DUE,
        postgresql_where=_DUE,
    )
    op.create_index("ix_object_copy_place_id_locked_until", "object_copy", ["place_id", "locked_until"])
    op.create_table(
        "restore_drill",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("drilled_at", Moment(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restore_drill")),
    )
