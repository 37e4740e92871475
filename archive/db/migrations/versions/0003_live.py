"""Renditions that play while they are made.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
