"""Disposition: lists, parts, tombstones, certificates; which objects are gone; since when somebody has the own roles.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.append_only import protect
from archive.db.base import BigInt, Moment

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_IS_OPEN = sa.text("state IN ('listed', 'begun')")


def upgrade() -> None:
    """Add the tables and columns."""
    op.add_column("preserved_object", sa.Column("destroyed_at", Moment(), nullable=True))
    op.add_column("account", sa.Column("roles_since", Moment(), nullable=True))
    op.create_table(
        "disposition_list",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("size_bytes", BigInt, nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("proposed_at", Moment(), nullable=False),
        sa.Column("period_days", sa.Integer(), nullable=False),
        sa.Column("recovers_until", Moment(), nullable=True),
        sa.Column("begun_at", Moment(), nullable=True),
        sa.Column("done_at", Moment(), nullable=True),
        sa.Column("ended_by", sa.Uuid(), nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("end_reason", sa.String(length=1000), nullable=True),
        sa.Column("balance", sa.JSON(), nullable=True),
        sa.Column("certificate_id", sa.Uuid(), nullable=True),
        sa.Column("trouble", sa.String(length=64), nullable=True),
        sa.Column("trouble_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disposition_list")),
        sa.UniqueConstraint("number", name=op.f("uq_disposition_list_number")),
        sa.UniqueConstraint("year", "serial", name=op.f("uq_disposition_list_year_serial")),
    )
    op.create_index("ix_disposition_list_state", "disposition_list", ["state", "recovers_until"])
    op.create_index("ix_disposition_list_unit_id", "disposition_list", ["unit_id"])
    op.create_table(
        "disposition_item",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("size_bytes", BigInt, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sha512", sa.String(length=128), nullable=False),
        sa.Column("retain_until", Moment(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("stops", sa.JSON(), nullable=True),
        sa.Column("state_at", Moment(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("found", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["list_id"], ["disposition_list.id"], name=op.f("fk_disposition_item_list_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_disposition_item_object_id")),
        sa.PrimaryKeyConstraint("list_id", "object_id", name=op.f("pk_disposition_item")),
        sa.UniqueConstraint("list_id", "position", name=op.f("uq_disposition_item_list_id_position")),
    )
    op.create_index("ix_disposition_item_object_id", "disposition_item", ["object_id"])
    op.create_index(
        "ix_disposition_item_open",
        "disposition_item",
        ["list_id", "position"],
        sqlite_where=_IS_OPEN,
        postgresql_where=_IS_OPEN,
    )
    op.create_table(
        "disposition_part",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("roles", sa.String(length=300), nullable=False),
        sa.Column("opinion", sa.String(length=16), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["disposition_list.id"], name=op.f("fk_disposition_part_list_id")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_disposition_part_account_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_disposition_part_entry_id")),
        sa.PrimaryKeyConstraint("list_id", "account_id", name=op.f("pk_disposition_part")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_disposition_part_entry_id")),
    )
    op.create_table(
        "tombstone",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("size_bytes", BigInt, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sha512", sa.String(length=128), nullable=False),
        sa.Column("sm3", sa.String(length=64), nullable=True),
        sa.Column("preserved_at", Moment(), nullable=False),
        sa.Column("retain_until", Moment(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=True),
        sa.Column("gone", sa.JSON(), nullable=False),
        sa.Column("begun_at", Moment(), nullable=False),
        sa.Column("destroyed_at", Moment(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_tombstone_object_id")),
        sa.ForeignKeyConstraint(["list_id"], ["disposition_list.id"], name=op.f("fk_tombstone_list_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_tombstone_entry_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_tombstone")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_tombstone_entry_id")),
    )
    op.create_index("ix_tombstone_list_id", "tombstone", ["list_id"])
    op.create_index("ix_tombstone_sha256", "tombstone", ["sha256"])
    op.create_table(
        "disposal_certificate",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sha512", sa.String(length=128), nullable=False),
        sa.Column("renew_at", Moment(), nullable=True),
        sa.Column("ends_at", Moment(), nullable=True),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["disposition_list.id"], name=op.f("fk_disposal_certificate_list_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_disposal_certificate_object_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_disposal_certificate_entry_id")),
        sa.PrimaryKeyConstraint("list_id", "number", name=op.f("pk_disposal_certificate")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_disposal_certificate_entry_id")),
    )
    op.create_index("ix_disposal_certificate_object_id", "disposal_certificate", ["object_id"])
    op.create_index("ix_disposal_certificate_renew_at", "disposal_certificate", ["renew_at"])
    protect(op.get_bind())
