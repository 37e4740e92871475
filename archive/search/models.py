"""The table of what can be found. Its words stand in an index that each database has in a form of its own.

SQLite: the FTS5 table `search_index`, which no model describes; it keeps tokens and no text. PostgreSQL: the column
`tokens` under a GIN index; SQLite leaves it empty.
"""

import uuid
from datetime import datetime
from typing import Final

from sqlalchemy import JSON, BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from archive.db.base import Base, BigInt, Moment

FTS_TABLE: Final = "search_index"


class SearchDocument(Base):
    """One thing that can be found, as deep as whoever asks may look (`depth`).

    `place` orders what is found, greatest first, and is the row number in the FTS5 table. `fields` is what is shown:
    pairs of name and text, the title first. `folded` is what is searched in.
    """

    __tablename__ = "search_document"
    __table_args__ = (
        UniqueConstraint("ref_id", "depth"),
        Index(
            "ix_search_document_tokens", "tokens", postgresql_using="gin", postgresql_with={"fastupdate": "off"}
        ).ddl_if(dialect="postgresql"),
    )

    place: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    ref_id: Mapped[uuid.UUID]
    depth: Mapped[str] = mapped_column(String(16))
    fields: Mapped[list[list[str]]] = mapped_column(JSON)
    facets: Mapped[list[list[str]]] = mapped_column(JSON)
    taken_at: Mapped[datetime] = mapped_column(Moment)
    happened_at: Mapped[datetime] = mapped_column(Moment)
    device: Mapped[str] = mapped_column(Text)
    places: Mapped[str] = mapped_column(Text)
    folded: Mapped[str] = mapped_column(Text)
    tokens: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger).with_variant(Text, "sqlite"))
