"""What a list says, as the bytes whose digest everybody decides about: nothing on it changes without being noticed."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.kernel.canonical import canonical_json
from archive.kernel.instants import format_instant
from retention.disposition.models import DispositionItem, DispositionList
from retention.disposition.terms import ItemState


def content_of(row: DispositionList, items: Sequence[DispositionItem]) -> Mapping[str, Any]:
    """Return what a list says, in the order of its objects. No names: they stand in the catalogue alone."""
    return {
        "v": 1,
        "id": str(row.id),
        "number": row.number,
        "title": row.title,
        "reason": row.reason,
        "unit": str(row.unit_id),
        "proposed_by": str(row.proposed_by),
        "proposed_at": format_instant(row.proposed_at),
        "period_days": row.period_days,
        "items": [
            {
                "object": str(item.object_id),
                "kind": item.kind,
                "size": item.size_bytes,
                "sha256": item.sha256,
                "sha512": item.sha512,
                "retain_until": format_instant(item.retain_until),
                "rule": item.rule,
            }
            for item in sorted(items, key=lambda item: item.position)
        ],
    }


def digest_of_content(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a list says."""
    return hashlib.sha256(canonical_json(dict(content))).hexdigest()


def digest_of_standing(object_ids: Collection[UUID]) -> str:
    """Return the SHA-256 of which objects are left on a list: what is approved and supervised, and nothing else."""
    return hashlib.sha256(canonical_json(sorted(str(each) for each in object_ids))).hexdigest()


def items_of(tx: Session, list_id: UUID) -> Sequence[DispositionItem]:
    """Return everything that was ever on a list, in its order."""
    return tx.scalars(
        select(DispositionItem).where(DispositionItem.list_id == list_id).order_by(DispositionItem.position)
    ).all()


def standing_ids(items: Sequence[DispositionItem]) -> Sequence[UUID]:
    """Return what nobody struck. What was left out later, or is gone, was decided on all the same."""
    return [item.object_id for item in items if item.state != ItemState.STRUCK.value]
