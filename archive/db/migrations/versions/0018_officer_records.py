"""Portraits, training and examinations of officers; reviewers and lawyers; what the log tells of each of them.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import json
import uuid
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_OFFICER = "admin.officer_recorded"


def upgrade() -> None:
    """Add the tables; what the log tells of officers already becomes their history."""
    op.create_table(
        "officer_photo",
        sa.Column("officer_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["officer_id"], ["officer.id"], name=op.f("fk_officer_photo_officer_id")),
        sa.PrimaryKeyConstraint("officer_id", name=op.f("pk_officer_photo")),
    )
    op.create_index(op.f("ix_officer_photo_key_id"), "officer_photo", ["key_id"], unique=False)
    op.create_table(
        "officer_record",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("officer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("hours_tenths", sa.Integer(), nullable=True),
        sa.Column("score_tenths", sa.Integer(), nullable=True),
        sa.Column("result", sa.String(length=8), nullable=True),
        sa.Column("organiser", sa.String(length=200), nullable=False),
        sa.Column("certificate_number", sa.String(length=64), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawal_reason", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["officer_id"], ["officer.id"], name=op.f("fk_officer_record_officer_id")),
        sa.ForeignKeyConstraint(["replaces_id"], ["officer_record.id"], name=op.f("fk_officer_record_replaces_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_officer_record")),
        sa.UniqueConstraint("replaces_id", name=op.f("uq_officer_record_replaces_id")),
    )
    op.create_index(
        "ix_officer_record_officer_id_held_on", "officer_record", ["officer_id", "held_on"], unique=False
    )  # fmt: skip
    op.create_table(
        "legal_staff",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("agency", sa.String(length=200), nullable=False),
        sa.Column("unit", sa.String(length=200), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("qualification_number", sa.String(length=64), nullable=True),
        sa.Column("qualified_on", sa.Date(), nullable=True),
        sa.Column("licence_number", sa.String(length=64), nullable=True),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("end_reason", sa.String(length=500), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_staff")),
        sa.UniqueConstraint("account_id", name=op.f("uq_legal_staff_account_id")),
        sa.UniqueConstraint("number", name=op.f("uq_legal_staff_number")),
    )
    op.create_index(op.f("ix_legal_staff_unit_id"), "legal_staff", ["unit_id"], unique=False)
    op.create_table(
        "staff_event",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_staff_event_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_staff_event")),
    )
    op.create_index(
        "ix_staff_event_person_id_entry_id", "staff_event", ["person_id", "entry_id"], unique=False
    )  # fmt: skip
    _fill_history(op.get_bind())


def _fill_history(connection: sa.Connection) -> None:
    """Write down which entries are about an officer; the database looks for them in the bytes."""
    entry = sa.table("log_entry", sa.column("id", sa.Uuid()), sa.column("body", sa.LargeBinary()))
    event = sa.table(
        "staff_event",
        sa.column("entry_id", sa.Uuid()),
        sa.column("person_id", sa.Uuid()),
        sa.column("type", sa.String()),
        sa.column("actor_id", sa.Uuid()),
        sa.column("at", sa.DateTime(timezone=True)),
    )
    is_sqlite = connection.dialect.name == "sqlite"
    wanted = sa.literal(f'"type":"{_OFFICER}"'.encode(), sa.LargeBinary())
    place = sa.func.instr(entry.c.body, wanted) if is_sqlite else sa.func.position(wanted.op("IN")(entry.c.body))
    found = connection.execute(sa.select(entry.c.id, entry.c.body).where(place > 0)).all()
    rows = []
    for entry_id, body in found:
        told = json.loads(bytes(body))
        at = datetime.fromisoformat(told["t"])
        rows.append(
            {
                "entry_id": entry_id,
                "person_id": uuid.UUID(told["obj"]["id"]),
                "type": _OFFICER,
                "actor_id": uuid.UUID(told["actor"]),
                "at": at.replace(tzinfo=None) if is_sqlite else at,
            }
        )
    if rows:
        connection.execute(sa.insert(event), rows)
