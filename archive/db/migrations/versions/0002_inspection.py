"""What a look through the frames finds.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
