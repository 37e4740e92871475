"""Damage as a stop: what is damaged and not repaired is not disposed of, nor is its other copy."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from retention.rounds.models import FixityDamage, counts
from retention.stops import Stop, StopKind

_AT_ONCE = 500


def damaged(tx: Session, object_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[Stop]]:
    """Return a stop for each damage of these objects that is open, in any place; objects without any are left out."""
    found: dict[UUID, list[Stop]] = defaultdict(list)
    for start in range(0, len(object_ids), _AT_ONCE):
        some = object_ids[start : start + _AT_ONCE]
        rows = select(FixityDamage.object_id, FixityDamage.id)
        rows = rows.where(FixityDamage.object_id.in_(some), counts())
        for object_id, damage_id in tx.execute(rows.order_by(FixityDamage.found_at, FixityDamage.id)):
            found[object_id].append(Stop(StopKind.DAMAGED, ref_id=damage_id))
    return found
