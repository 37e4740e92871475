"""Officers, case systems, webhooks.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
