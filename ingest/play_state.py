"""What an item counts as once its pictures and sound have been decoded: playable, or playable with damage."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from archive.cases.indexing import index_objects
from archive.evidence.models import EvidenceItem, ItemLook
from archive.kernel.ids import ObjectId
from ingest.media.running import seconds

DAMAGE: Final = "damage"
"""The look that decodes everything."""
_MOST_TOLD: Final = 20
_MOST_NOTE: Final = 500


def tell_damage(tx: Session, object_id: ObjectId, found: Mapping[str, Any]) -> bool:
    """Have an item that counts as playable count as damaged where decoding complained; return whether that changed."""
    complaints = int(found.get("complaints", 0))
    if not complaints:
        return False
    places = [seconds(int(at_ms)) for at_ms in found.get("places_ms", [])[:_MOST_TOLD]]
    note = f"{complaints} errors while decoding, soon after " + ", ".join(places)
    if not places:
        note = f"{complaints} errors while decoding"
    changed = tx.execute(
        update(EvidenceItem)
        .where(EvidenceItem.object_id == object_id, EvidenceItem.play_state == "playable")
        .values(play_state="damaged", play_reason="media.damaged", play_note=note[:_MOST_NOTE])
    )
    index_objects(tx, [object_id])
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def tell_known_damage(tx: Session, object_id: ObjectId) -> None:
    """Remind an item that was made playable anew of what decoding once complained about."""
    known = tx.get(ItemLook, (object_id, DAMAGE))
    if known is not None:
        tell_damage(tx, object_id, known.found)
