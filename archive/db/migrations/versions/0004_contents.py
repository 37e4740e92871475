"""Pages, texts and contents of documents and archives.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the texts of documents."""
    op.create_table(
        "item_text",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=True),
        sa.Column("is_cut", sa.Boolean(), nullable=False),
        sa.Column("tool", sa.String(length=100), nullable=False),
        sa.Column("extracted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_item_text_object_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_item_text")),
    )
