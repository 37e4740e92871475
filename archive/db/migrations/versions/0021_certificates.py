"""The register of certificates that sign documents.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "key_certificate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.Column("place", sa.String(length=16), nullable=False),
        sa.Column("handle", sa.String(length=300), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_by", sa.Uuid(), nullable=False),
        sa.Column("replaced_by", sa.Uuid(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revocation_reason", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["replaced_by"], ["key_certificate.id"], name=op.f("fk_key_certificate_replaced_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_certificate")),
        sa.UniqueConstraint("sha256", name=op.f("uq_key_certificate_sha256")),
    )
    op.create_index("ix_key_certificate_holder_id_purpose", "key_certificate", ["holder_id", "purpose"])
    op.create_index("ix_key_certificate_serial", "key_certificate", ["serial"])
    op.create_table(
        "key_use",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("ref_kind", sa.String(length=16), nullable=False),
        sa.Column("ref_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["key_certificate.id"], name=op.f("fk_key_use_certificate_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_key_use_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_key_use")),
    )
    op.create_index("ix_key_use_certificate_id_at", "key_use", ["certificate_id", "at"])
    op.create_index("ix_key_use_ref_id", "key_use", ["ref_id"])
    op.create_table(
        "key_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=True),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.Column("place", sa.String(length=16), nullable=True),
        sa.Column("handle", sa.String(length=300), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("revocation_reason", sa.String(length=32), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["key_certificate.id"], name=op.f("fk_key_request_certificate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_request")),
    )
    op.create_index("ix_key_request_state", "key_request", ["state"])
