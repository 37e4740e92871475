"""Case files: volumes with their lines, what people chose, checks; the day on which a case was closed.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns."""
    op.add_column("case_file", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("case_link", sa.Column("volume_id", sa.Uuid(), nullable=True))
    op.create_index("ix_case_link_volume_id", "case_link", ["volume_id"])
    op.create_table(
        "volume",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("object_id", sa.Uuid(), nullable=True),
        sa.Column("file_number", sa.String(length=100), nullable=True),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("serial", sa.Integer(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        sa.Column("file_by", sa.Date(), nullable=True),
        sa.Column("lines", sa.Integer(), nullable=True),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("root", sa.String(length=64), nullable=True),
        sa.Column("index_sha256", sa.String(length=64), nullable=True),
        sa.Column("retention", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_volume_case_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_volume_object_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volume")),
        sa.UniqueConstraint("case_id", "kind", "sequence", name=op.f("uq_volume_case_id_kind_sequence")),
        sa.UniqueConstraint("file_number", name=op.f("uq_volume_file_number")),
        sa.UniqueConstraint("object_id", name=op.f("uq_volume_object_id")),
        sa.UniqueConstraint("year", "serial", name=op.f("uq_volume_year_serial")),
    )
    op.create_index("ix_volume_closed_at", "volume", ["closed_at"])
    op.create_table(
        "volume_line",
        sa.Column("volume_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("section", sa.String(length=100), nullable=False),
        sa.Column("title", sa.String(length=1024), nullable=False),
        sa.Column("first_page", sa.Integer(), nullable=True),
        sa.Column("last_page", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_volume_line_object_id")),
        sa.ForeignKeyConstraint(["volume_id"], ["volume.id"], name=op.f("fk_volume_line_volume_id")),
        sa.PrimaryKeyConstraint("volume_id", "number", name=op.f("pk_volume_line")),
    )
    op.create_index("ix_volume_line_object_id", "volume_line", ["object_id"])
    op.create_table(
        "volume_place",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=True),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_volume_place_case_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_volume_place_object_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volume_place")),
    )
    op.create_index("ix_volume_place_case_id_object_id", "volume_place", ["case_id", "object_id"])
    op.create_table(
        "volume_closing",
        sa.Column("volume_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("remarks", sa.String(length=1000), nullable=False),
        sa.Column("inspector", sa.String(length=100), nullable=False),
        sa.Column("begun_by", sa.Uuid(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_volume_closing_case_id")),
        sa.PrimaryKeyConstraint("volume_id", name=op.f("pk_volume_closing")),
        sa.UniqueConstraint("case_id", "kind", name=op.f("uq_volume_closing_case_id_kind")),
        sa.UniqueConstraint("year", "serial", name=op.f("uq_volume_closing_year_serial")),
    )
    op.create_table(
        "volume_check",
        sa.Column("volume_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("path", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_volume_check_entry_id")),
        sa.ForeignKeyConstraint(["volume_id"], ["volume.id"], name=op.f("fk_volume_check_volume_id")),
        sa.PrimaryKeyConstraint("volume_id", "number", name=op.f("pk_volume_check")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_volume_check_entry_id")),
    )
