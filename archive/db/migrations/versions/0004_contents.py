"""Pages, texts and contents of documents and archives.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
