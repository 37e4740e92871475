"""What the search index says of officers."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.organisation.models import Officer
from archive.search.documents import OPEN_FACET, Document, Kind, index_documents


def index_officer(tx: Session, officer_id: UUID) -> None:
    """Bring what is found of an officer in step, at the end of the transaction that changed it."""
    index_documents(tx, [officer_id], lambda ids: officer_documents(tx, ids))


def officer_documents(tx: Session, ids: Sequence[UUID]) -> Iterable[Document]:
    """Yield the documents of these officers."""
    rows: Any = tx.execute(
        select(
            Officer.id, Officer.name, Officer.certificate_number, Officer.agency, Officer.unit, Officer.recorded_at
        ).where(Officer.id.in_(ids))
    )
    for officer_id, name, number, agency, unit, recorded_at in rows:
        fields = [("name", name), ("officer", number), ("agency", agency), ("unit", unit)]
        yield Document(
            kind=Kind.OFFICER,
            ref_id=officer_id,
            fields=[(what, text) for what, text in fields if text],
            facets=[OPEN_FACET, ("officer", str(officer_id)), ("officer", number)],
            taken_at=recorded_at,
            happened_at=recorded_at,
        )
