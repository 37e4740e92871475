"""Subjects with identifiers, and merges.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
