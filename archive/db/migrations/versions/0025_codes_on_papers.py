"""The digest that the code on a record's paper has, so that a record is found by its code.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_DRAFT = sa.table("draft", sa.column("id", sa.Uuid()), sa.column("values_sha256", sa.String()))
_PAPER = sa.table(
    "draft_pdf", sa.column("draft_id", sa.Uuid()), sa.column("number", sa.Integer()), sa.column("entry_id", sa.Uuid())
)
_TOLD = sa.table("log_detail", sa.column("entry_id", sa.Uuid()), sa.column("detail", sa.LargeBinary()))


def upgrade() -> None:
    """Add the column, with what the log says of papers that were set before; and what records are found by."""
    op.add_column("draft", sa.Column("values_sha256", sa.String(length=64), nullable=True))
    op.create_index("ix_draft_values_sha256", "draft", ["values_sha256"])
    op.create_index("ix_draft_number", "draft", ["number"])
    connection = op.get_bind()
    told = (
        sa.select(_PAPER.c.draft_id, _TOLD.c.detail)
        .join(_TOLD, _TOLD.c.entry_id == _PAPER.c.entry_id)
        .where(_PAPER.c.number == 0)
    )
    for draft_id, detail in connection.execute(told).all():
        digest = json.loads(detail)["values_sha256"]
        connection.execute(sa.update(_DRAFT).where(_DRAFT.c.id == draft_id).values(values_sha256=digest))
