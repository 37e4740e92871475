"""Acts are looked for by their time.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_act_started_at"), "act", ["started_at"], unique=False)
