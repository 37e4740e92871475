"""Triggers refuse every change of what was logged.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

from alembic import op

from archive.db.append_only import protect

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    protect(op.get_bind())
