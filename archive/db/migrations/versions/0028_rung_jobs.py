"""When a worker was told of a job through a broker.

There is no way back: the schema goes forward only. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

from archive.db.base import Moment

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index of the few jobs that have something in it."""
    op.add_column("job", sa.Column("rung_at", Moment(), nullable=True))
    rung = sa.text("rung_at IS NOT NULL")
    op.create_index("ix_job_rung", "job", ["queue"], unique=False, sqlite_where=rung, postgresql_where=rung)
