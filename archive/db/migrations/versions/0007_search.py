"""The search index.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
