"""Who acted: from the ids in the trail to names."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from archive.access.listings import account_names
from archive.ledger.entries import ARCHIVE, OPERATOR
from archive.web.i18n import Catalogue
from ingest.listings import dock_names


def actor_names(tx: Session, ids: Collection[UUID], *, texts: Catalogue) -> Mapping[UUID, str]:
    """Return how each actor is called: a person's name, a dock's name, or the archive itself."""
    wanted = set(ids)
    named = {
        ARCHIVE.id: texts.text("actor.archive"),
        OPERATOR.id: texts.text("actor.operator"),
        **account_names(tx, wanted),
        **{dock_id: texts.text("actor.dock", name=name) for dock_id, name in dock_names(tx, wanted).items()},
    }
    return {actor_id: named.get(actor_id) or texts.text("actor.unknown", id=str(actor_id)[:8]) for actor_id in wanted}
