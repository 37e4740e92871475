"""Pushing acts: each belongs to one case for good, and is carried out by officers."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.external_ids import ExternalKind, bound_id
from archive.cases.act_officers import set_act_officers
from archive.cases.changes import change_act
from archive.cases.filing import write_act
from archive.cases.models import Act
from archive.cases.systems.push import Outcome, Pushed, Pusher, Wish, bind, name_of, referred, require_version, settled
from archive.cases.systems.reading import facts_of
from archive.cases.terms import Stage
from archive.kernel.errors import Conflict
from archive.kernel.ids import ActId, CaseId, OfficerId
from archive.kernel.instants import Instant

_KIND = ExternalKind.ACT


class ActOfOtherCase(Conflict):
    """This act belongs to another case, and an act does not change its case."""

    code = "cases.act_of_other_case"


@dataclass(frozen=True, slots=True)
class ActFacts:
    """What a system says of an act. `case` and `officers` are external ids; officers that are None stay as they are."""

    case: str
    stage: Stage
    place: str
    started_at: Instant
    ended_at: Instant | None = None
    officers: Sequence[str] | None = None


def push_act(pusher: Pusher, external_id: str, facts: ActFacts, wish: Wish) -> Pushed:
    """Create or update an act by its external id. Idempotent.

    Raises: UnknownReference for a case or officer that was not pushed, ActOfOtherCase, VersionMismatch, InvalidInput.
    """

    def work(tx: Session) -> Pushed:
        found = bound_id(tx, pusher.integration_id, _KIND, external_id, locked=True)
        case_id = CaseId(referred(tx, pusher, ExternalKind.CASE, facts.case))
        described = {
            "stage": facts.stage,
            "place": facts.place,
            "started_at": facts.started_at,
            "ended_at": facts.ended_at,
        }
        if found is not None:
            act_id = ActId(found)
            require_version(wish, facts_of(tx, pusher.vault, pusher.integration_id, _KIND, act_id))
            _require_case(tx, pusher, act_id, case_id)
            is_changed = change_act(tx, case_id, act_id, **described, by=pusher.by, at=pusher.at)  # type: ignore[arg-type]
            is_changed = _set_officers(tx, pusher, case_id, act_id, facts.officers) or is_changed
            outcome = Outcome.CHANGED if is_changed else Outcome.UNCHANGED
        else:
            require_version(wish, None)
            outcome = Outcome.CREATED
            act_id = write_act(tx, case_id, **described, by=pusher.by, at=pusher.at)  # type: ignore[arg-type]
            bind(tx, pusher, _KIND, external_id, act_id, case_id=case_id)
            _set_officers(tx, pusher, case_id, act_id, facts.officers)
        return Pushed(outcome, act_id, facts_of(tx, pusher.vault, pusher.integration_id, _KIND, act_id))

    return settled(pusher, work)


def _require_case(tx: Session, pusher: Pusher, act_id: ActId, case_id: CaseId) -> None:
    of_case = tx.scalars(select(Act.case_id).where(Act.id == act_id)).one()
    if of_case != case_id:
        raise ActOfOtherCase(case_id=of_case, **name_of(tx, pusher, ExternalKind.CASE, of_case))


def _set_officers(tx: Session, pusher: Pusher, case_id: CaseId, act_id: ActId, officers: Sequence[str] | None) -> bool:
    """Write down who carries the act out; return whether that is different now. Raises: UnknownReference."""
    if officers is None:
        return False
    wanted = {OfficerId(referred(tx, pusher, ExternalKind.OFFICER, officer)) for officer in officers}
    return set_act_officers(tx, case_id, act_id, wanted, by=pusher.by, at=pusher.at)
