"""Notices by page and mail; complaints and reports; the register of devices, and what a dock tells of itself.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    _notices()
    _complaints()
    _devices()


def _notices() -> None:
    op.create_table(
        "mail_address",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("code_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wrong_codes", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_mail_address_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_mail_address")),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("link", sa.String(length=300), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mail_state", sa.String(length=8), server_default="none", nullable=False),
        sa.Column("mail_attempts", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_notice_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    op.create_index("ix_notice_account_id_made_at_id", "notice", ["account_id", "made_at", "id"], unique=False)
    op.create_index("ix_notice_account_id_read_at", "notice", ["account_id", "read_at"], unique=False)
    op.create_table(
        "notice_choice",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_notice_choice_account_id")),
        sa.PrimaryKeyConstraint("account_id", "kind", name=op.f("pk_notice_choice")),
    )


def _complaints() -> None:
    op.create_table(
        "complaint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("classes", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("accept_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rules_from", sa.Date(), nullable=False),
        sa.Column("responsible_id", sa.Uuid(), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_by", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("contact_sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaint")),
        sa.UniqueConstraint("number", name=op.f("uq_complaint_number")),
    )
    op.create_index("ix_complaint_due_at", "complaint", ["due_at"], unique=False)
    op.create_index(op.f("ix_complaint_key_id"), "complaint", ["key_id"], unique=False)
    op.create_index("ix_complaint_state_due_at", "complaint", ["state", "due_at"], unique=False)
    op.create_index(op.f("ix_complaint_unit_id"), "complaint", ["unit_id"], unique=False)
    op.create_table(
        "complaint_count",
        sa.Column("series", sa.String(length=100), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series", name=op.f("pk_complaint_count")),
    )
    op.create_table(
        "complaint_alarm",
        sa.Column("complaint_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaint.id"], name=op.f("fk_complaint_alarm_complaint_id")),
        sa.PrimaryKeyConstraint("complaint_id", "due_at", "level", name=op.f("pk_complaint_alarm")),
    )
    op.create_table(
        "complaint_object",
        sa.Column("complaint_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaint.id"], name=op.f("fk_complaint_object_complaint_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_complaint_object_object_id")),
        sa.PrimaryKeyConstraint("complaint_id", "object_id", name=op.f("pk_complaint_object")),
    )
    op.create_index(op.f("ix_complaint_object_object_id"), "complaint_object", ["object_id"], unique=False)
    op.create_table(
        "complaint_officer",
        sa.Column("complaint_id", sa.Uuid(), nullable=False),
        sa.Column("officer_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaint.id"], name=op.f("fk_complaint_officer_complaint_id")),
        sa.ForeignKeyConstraint(["officer_id"], ["officer.id"], name=op.f("fk_complaint_officer_officer_id")),
        sa.PrimaryKeyConstraint("complaint_id", "officer_id", name=op.f("pk_complaint_officer")),
    )
    op.create_index(op.f("ix_complaint_officer_officer_id"), "complaint_officer", ["officer_id"], unique=False)
    op.create_table(
        "complaint_step",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("complaint_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaint.id"], name=op.f("fk_complaint_step_complaint_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_complaint_step_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaint_step")),
    )
    op.create_index("ix_complaint_step_complaint_id_at", "complaint_step", ["complaint_id", "at"], unique=False)
    op.create_table(
        "complaint_case",
        sa.Column("complaint_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_complaint_case_case_id")),
        sa.ForeignKeyConstraint(["complaint_id"], ["complaint.id"], name=op.f("fk_complaint_case_complaint_id")),
        sa.PrimaryKeyConstraint("complaint_id", "case_id", name=op.f("pk_complaint_case")),
    )
    op.create_index(op.f("ix_complaint_case_case_id"), "complaint_case", ["case_id"], unique=False)


def _devices() -> None:
    op.create_table(
        "device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("serial", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("firmware", sa.String(length=100), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["holder_id"], ["officer.id"], name=op.f("fk_device_holder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
        sa.UniqueConstraint("serial", name=op.f("uq_device_serial")),
    )
    op.create_index(op.f("ix_device_holder_id"), "device", ["holder_id"], unique=False)
    op.create_index(op.f("ix_device_unit_id"), "device", ["unit_id"], unique=False)
    op.create_table(
        "device_handover",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=True),
        sa.Column("to_id", sa.Uuid(), nullable=True),
        sa.Column("battery_percent", sa.Integer(), nullable=True),
        sa.Column("free_mib", sa.Integer(), nullable=True),
        sa.Column("clock_offset_s", sa.Integer(), nullable=True),
        sa.Column("remarks", sa.String(length=500), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_device_handover_device_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_device_handover_entry_id")),
        sa.ForeignKeyConstraint(["from_id"], ["officer.id"], name=op.f("fk_device_handover_from_id")),
        sa.ForeignKeyConstraint(["to_id"], ["officer.id"], name=op.f("fk_device_handover_to_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_handover")),
    )
    op.create_index("ix_device_handover_device_id_at", "device_handover", ["device_id", "at"], unique=False)
    op.add_column("dock", sa.Column("firmware", sa.String(length=100), nullable=True))
