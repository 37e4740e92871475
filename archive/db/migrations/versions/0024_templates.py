"""The register of templates of text records.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "record_template",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agency_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("form", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("is_shipped", sa.Boolean(), nullable=False),
        sa.Column("filed_with", sa.String(length=100), nullable=True),
        sa.Column("filing_number", sa.String(length=100), nullable=True),
        sa.Column("filed_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("saved_by", sa.Uuid(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_record_template_agency_id")),
        sa.ForeignKeyConstraint(["text_sha256"], ["template_text.sha256"], name=op.f("fk_record_template_text_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_template")),
    )
    for name, columns, has_agency in (
        ("uq_record_template_own_version", ["agency_id", "code", "version"], "NOT NULL"),
        ("uq_record_template_shared_version", ["code", "version"], "NULL"),
    ):
        where = sa.text(f"agency_id IS {has_agency} AND state <> 'dropped' AND NOT is_shipped")
        op.create_index(name, "record_template", columns, unique=True, sqlite_where=where, postgresql_where=where)
