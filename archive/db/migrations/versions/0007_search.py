"""The search index.

There is no way back: a downgrade would drop evidence. Restore a backup instead.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "search_document",
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref_id", sa.Uuid(), nullable=False),
        sa.Column("depth", sa.String(length=16), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("facets", sa.JSON(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("places", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("tokens", ARRAY(sa.BigInteger()).with_variant(sa.Text(), "sqlite"), nullable=True),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_search_document")),
        sa.UniqueConstraint("ref_id", "depth", name=op.f("uq_search_document_ref_id_depth")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Without the list of what is not yet in the index, which every search would have to go through.
        op.create_index(
            op.f("ix_search_document_tokens"),
            "search_document",
            ["tokens"],
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        )
        return
    # No text is kept in it (`content`), nor lengths, which only a ranking would need; tokens are given as they are.
    op.execute(
        "CREATE VIRTUAL TABLE search_index USING fts5("
        "words, codes, facets, content='', columnsize=0, detail=full, prefix='1', tokenize='ascii')"
    )
