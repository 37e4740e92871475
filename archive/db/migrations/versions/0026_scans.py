"""What was seen of scanned papers.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "record_scan",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("tool", sa.String(length=100), nullable=False),
        sa.Column("made_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["text_record.object_id"], name=op.f("fk_record_scan_object_id")),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_record_scan")),
    )
