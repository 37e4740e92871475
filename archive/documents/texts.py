"""The texts of documents: of text records and of evidence items that are documents."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.documents.models import ItemText
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant

READ_RECORD: Final = "read_record"
"""The job that reads the text out of a record; it is added by the transaction that files it."""


@dataclass(frozen=True, slots=True)
class FoundText:
    """What was read out of a document, and by which program."""

    text: str
    language: str | None
    is_cut: bool
    tool: str


def extracted_text(tx: Session, object_id: ObjectId) -> str | None:
    """Return the text of a document; None where nothing was read yet, empty where it holds none."""
    return tx.scalar(select(ItemText.text).where(ItemText.object_id == object_id))


def text_of(tx: Session, object_id: ObjectId) -> ItemText | None:
    """Return the text of a document with all that is known of it; None where nothing was read yet."""
    return tx.get(ItemText, object_id)


def keep_text(tx: Session, object_id: ObjectId, found: FoundText, *, at: Instant) -> None:
    """Keep the text of a document in place of an older one. The caller writes the log entry."""
    tx.execute(delete(ItemText).where(ItemText.object_id == object_id))
    insert_row(
        tx,
        ItemText,
        object_id=object_id,
        text=found.text,
        language=found.language,
        is_cut=found.is_cut,
        tool=found.tool,
        extracted_at=at,
    )
