"""Reading evidence items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.custody.events import ObjectNotFound, kept_object
from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem, ItemLook, Rendition
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
    """Return one item. Raises: ObjectNotFound, ObjectDestroyed."""
    item = tx.get(EvidenceItem, object_id)
    original = kept_object(tx, object_id)
    if item is None:
        raise ObjectNotFound(object_id=object_id)
    renditions = tx.scalars(select(Rendition).where(Rendition.object_id == object_id).order_by(Rendition.kind))
    return ItemView(item, original, list(renditions))


def looks(tx: Session, object_id: ObjectId) -> Mapping[str, ItemLook]:
    """Return what each look into an item found, by the look's name; empty where nobody has looked, or for no item."""
    rows = tx.scalars(select(ItemLook).where(ItemLook.object_id == object_id))
    return {row.look: row for row in rows}


def item_ids(tx: Session) -> Sequence[ObjectId]:
    """Return the ids of all items, oldest first."""
    return [ObjectId(found) for found in tx.scalars(select(EvidenceItem.object_id).order_by(EvidenceItem.object_id))]
