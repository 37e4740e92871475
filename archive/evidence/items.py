"""Reading evidence items."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.events import ObjectNotFound
from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem, Rendition
from archive.kernel.ids import ObjectId


@dataclass(frozen=True, slots=True)
class ItemView:
    """An evidence item with its preserved original and its renditions."""

    item: EvidenceItem
    original: PreservedObject
    renditions: Sequence[Rendition]

    def rendition(self, kind: str) -> Rendition | None:
        """Return the rendition of this kind, if it exists."""
        return next((rendition for rendition in self.renditions if rendition.kind == kind), None)


def evidence_item(tx: Session, object_id: ObjectId) -> ItemView:
    """Return one item. Raises: ObjectNotFound."""
    item = tx.get(EvidenceItem, object_id)
    original = tx.get(PreservedObject, object_id)
    if item is None or original is None:
        raise ObjectNotFound(object_id=object_id)
    renditions = tx.scalars(select(Rendition).where(Rendition.object_id == object_id).order_by(Rendition.kind))
    return ItemView(item, original, list(renditions))
