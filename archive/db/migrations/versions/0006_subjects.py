"""Subjects with identifiers, and merges.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_subject_created_at"), "subject", ["created_at"], unique=False)
    op.create_table(
        "subject_identifier",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("whole_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("last_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_subject_identifier_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject_identifier")),
        sa.UniqueConstraint("whole_index", name=op.f("uq_subject_identifier_whole_index")),
    )
    op.create_index(op.f("ix_subject_identifier_subject_id"), "subject_identifier", ["subject_id"], unique=False)
    op.create_index(op.f("ix_subject_identifier_last_index"), "subject_identifier", ["last_index"], unique=False)
    op.create_table(
        "subject_merge",
        sa.Column("gone_id", sa.Uuid(), nullable=False),
        sa.Column("keep_id", sa.Uuid(), nullable=False),
        sa.Column("root_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("merged_by", sa.Uuid(), nullable=False),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_subject_merge_entry_id")),
        sa.ForeignKeyConstraint(["gone_id"], ["subject.id"], name=op.f("fk_subject_merge_gone_id")),
        sa.ForeignKeyConstraint(["keep_id"], ["subject.id"], name=op.f("fk_subject_merge_keep_id")),
        sa.ForeignKeyConstraint(["root_id"], ["subject.id"], name=op.f("fk_subject_merge_root_id")),
        sa.PrimaryKeyConstraint("gone_id", name=op.f("pk_subject_merge")),
    )
    op.create_index(op.f("ix_subject_merge_root_id"), "subject_merge", ["root_id"], unique=False)
