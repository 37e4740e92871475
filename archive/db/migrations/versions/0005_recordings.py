"""Recordings and their clips.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
