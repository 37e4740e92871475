"""What the log tells of certificates, found by the certificate.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import json
import uuid
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; what the log tells of certificates already becomes their history."""
    events = op.create_table(
        "key_event",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("ref_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_key_event_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_key_event")),
    )
    op.create_index("ix_key_event_ref_id_entry_id", "key_event", ["ref_id", "entry_id"])
    _fill_history(op.get_bind(), events)


def _fill_history(connection: sa.Connection, events: sa.Table) -> None:
    """Write down which entries are about certificates; the database looks for them in the bytes."""
    entry = sa.table("log_entry", sa.column("id", sa.Uuid()), sa.column("body", sa.LargeBinary()))
    is_sqlite = connection.dialect.name == "sqlite"
    wanted = sa.literal(b'"type":"admin.certificate_', sa.LargeBinary())
    place = sa.func.instr(entry.c.body, wanted) if is_sqlite else sa.func.position(wanted.op("IN")(entry.c.body))
    found = connection.execute(sa.select(entry.c.id, entry.c.body).where(place > 0)).all()
    rows = []
    for entry_id, body in found:
        told = json.loads(bytes(body))
        at = datetime.fromisoformat(told["t"])
        rows.append(
            {
                "entry_id": entry_id,
                "ref_id": uuid.UUID(told["obj"]["id"]),
                "type": told["type"],
                "actor_id": uuid.UUID(told["actor"]),
                "at": at.replace(tzinfo=None) if is_sqlite else at,
            }
        )
    if rows:
        connection.execute(sa.insert(events), rows)
