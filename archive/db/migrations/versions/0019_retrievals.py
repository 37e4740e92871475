"""Looks, requests for a retrieval, what was unusual; grants say for which case or task they are.

Looks that were before are read out of the log. There is no way back: a downgrade would drop evidence. Restore a backup
instead.
"""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_LOOKS = {"access.view", "access.export", "access.identifier", "access.list_exported"}
_BATCH = 1000


def upgrade() -> None:
    """Add the tables, and what is known of records."""
    _looks()
    _requests()
    op.add_column(
        "retrieval_grant", sa.Column("reference", sa.String(length=100), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("retrieval_grant", sa.Column("request_id", sa.Uuid(), nullable=True))
    op.add_column("retrieval_grant", sa.Column("is_emergency", sa.Boolean(), server_default=sa.false(), nullable=False))
    _read_looks()


def _looks() -> None:
    op.create_table(
        "access_record",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("ref_kind", sa.String(length=16), nullable=True),
        sa.Column("ref_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_judged", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["log_entry.id"], name=op.f("fk_access_record_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_access_record")),
    )
    op.create_index("ix_access_record_actor_id_at", "access_record", ["actor_id", "at"])
    op.create_index("ix_access_record_at", "access_record", ["at", "entry_id"])
    op.create_index("ix_access_record_ref_id_at", "access_record", ["ref_id", "at"])
    op.create_index(
        "ix_access_record_not_judged",
        "access_record",
        ["at"],
        sqlite_where=sa.text("NOT is_judged"),
        postgresql_where=sa.text("NOT is_judged"),
    )
    op.create_table(
        "unusual_access",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_by", sa.Uuid(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("words", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["access_record.entry_id"], name=op.f("fk_unusual_access_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", "rule", name=op.f("pk_unusual_access")),
    )


def _requests() -> None:
    op.create_table(
        "retrieval_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("purpose", sa.String(length=500), nullable=False),
        sa.Column("reference", sa.String(length=100), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decide_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_retrieval_request_account_id")),
        sa.ForeignKeyConstraint(["object_id"], ["preserved_object.id"], name=op.f("fk_retrieval_request_object_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrieval_request")),
    )
    op.create_index("ix_retrieval_request_object_id", "retrieval_request", ["object_id"])
    op.create_index("ix_retrieval_request_account_id_object_id", "retrieval_request", ["account_id", "object_id"])
    op.create_index("ix_retrieval_request_state_decide_by", "retrieval_request", ["state", "decide_by"])


def _read_looks() -> None:
    """Write the row of every record that is in the log; the rules of what is unusual came later than these."""
    connection = op.get_bind()
    entry = sa.table("log_entry", sa.column("id", sa.Uuid()), sa.column("body", sa.LargeBinary()))
    record = sa.table(
        "access_record",
        *(sa.column(name, sa.Uuid()) for name in ("entry_id", "actor_id", "ref_id")),
        *(sa.column(name, sa.String()) for name in ("type", "ref_kind")),
        sa.column("at", sa.DateTime(timezone=True)),
        sa.column("is_judged", sa.Boolean()),
    )
    last: UUID | None = None
    while True:
        query = sa.select(entry.c.id, entry.c.body).order_by(entry.c.id).limit(_BATCH)
        rows = connection.execute(query if last is None else query.where(entry.c.id > last)).all()
        if not rows:
            return
        found = [_look(row.id, json.loads(row.body)) for row in rows if b'"access.' in bytes(row.body)]
        records = [values for values in found if values["type"] in _LOOKS]
        if records:
            connection.execute(sa.insert(record), records)
        last = rows[-1].id


def _look(entry_id: UUID, told: dict[str, Any]) -> dict[str, Any]:
    target = told.get("obj")
    return {
        "entry_id": entry_id,
        "type": told["type"],
        "actor_id": UUID(told["actor"]),
        "ref_kind": None if target is None else target["kind"],
        "ref_id": None if target is None else UUID(target["id"]),
        "at": datetime.fromisoformat(told["t"]),
        "is_judged": True,
    }
