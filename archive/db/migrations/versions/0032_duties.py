"""Indexes for what a device or an officer recorded within some hours, for acts that cover a moment, and for copies.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_LONGER = (
    ("evidence_item", "device_serial", "recorded_at"),
    ("evidence_item", "officer_number", "recorded_at"),
    ("act", "started_at", "ended_at"),
)

_IS_COPY = sa.text("type IN ('access.export', 'access.print', 'access.list_exported', 'access.draft_copied')")
_IN_VOLUME = sa.text("volume_id IS NOT NULL")


def upgrade() -> None:
    """Put longer indexes in the place of those of their first column; leave out of one what is in no volume."""
    for table, first, second in _LONGER:
        op.create_index(op.f(f"ix_{table}_{first}_{second}"), table, [first, second])
        op.drop_index(op.f(f"ix_{table}_{first}"), table)
    op.create_index(
        "ix_access_record_copies", "access_record", ["at", "entry_id"], sqlite_where=_IS_COPY, postgresql_where=_IS_COPY
    )
    op.drop_index(op.f("ix_case_link_volume_id"), "case_link")
    op.create_index(
        "ix_case_link_volume_id", "case_link", ["volume_id"], sqlite_where=_IN_VOLUME, postgresql_where=_IN_VOLUME
    )
