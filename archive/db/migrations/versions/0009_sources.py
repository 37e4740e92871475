"""Doors beside the docks.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
