"""Reading text records."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.events import ObjectNotFound
from archive.custody.models import PreservedObject
from archive.documents.models import TextRecord
from archive.kernel.ids import ObjectId


@dataclass(frozen=True, slots=True)
class RecordView:
    """A text record with its preserved original."""

    record: TextRecord
    original: PreservedObject


def text_record(tx: Session, object_id: ObjectId) -> RecordView:
    """Return one text record. Raises: ObjectNotFound."""
    row = tx.execute(
        select(TextRecord, PreservedObject)
        .join(PreservedObject, PreservedObject.id == TextRecord.object_id)
        .where(TextRecord.object_id == object_id)
    ).one_or_none()
    if row is None:
        raise ObjectNotFound(object_id=object_id)
    return RecordView(*row)
