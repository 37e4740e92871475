"""Who acted: from the ids in the trail to names."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from archive.access.integrations import integration_titles
from archive.access.listings import account_names
from archive.ledger.entries import ARCHIVE, OPERATOR
from archive.web.i18n import Catalogue
from ingest.listings import dock_names, door_kinds


def actor_names(tx: Session, ids: Collection[UUID], *, texts: Catalogue) -> Mapping[UUID, str]:
    """Return how each actor is called: a person's name, a dock's name, or the archive itself."""
    wanted = set(ids)
    kinds = door_kinds(tx, wanted)
    named = {
        ARCHIVE.id: texts.text("actor.archive"),
        OPERATOR.id: texts.text("actor.operator"),
        **account_names(tx, wanted),
        **integration_titles(tx, wanted),
        **{
            dock_id: dock_title(name, kinds.get(dock_id), texts=texts)
            for dock_id, name in dock_names(tx, wanted).items()
        },
    }
    return {actor_id: named.get(actor_id) or texts.text("actor.unknown", id=str(actor_id)[:8]) for actor_id in wanted}


def dock_title(name: str, door: str | None, *, texts: Catalogue) -> str:
    """Return how a dock is called where it acts; a door of the archive has a word for its kind."""
    if door is None:
        return texts.text("actor.dock", name=name)
    return texts.text(f"door.{door}", name=name)
