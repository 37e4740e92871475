"""A bureau in which seven people decide about a list of what may go, and the worker that carries it out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.kernel.ids import DispositionId, ObjectId
from retention.disposition.confirming import Confirmed, confirm
from retention.disposition.deciding import appraise, decide, supervise
from retention.disposition.models import DispositionItem, DispositionList, Tombstone
from retention.disposition.proposing import Wanted, propose_list
from retention.disposition.rules import DisposalRules
from retention.disposition.terms import ListState, Opinion
from tests.support.archive_home import PASSWORD, ArchiveHome, EnrolledDock
from tests.support.due import due

SEASON = timedelta(days=8)
"""Longer than the recovery period, which is 7 days."""
_ALL = Wanted()
_PEOPLE = {
    "keeper": Role.RECORDS_MANAGER,
    "first": Role.LEGAL_REVIEWER,
    "second": Role.LEGAL_REVIEWER,
    "third": Role.UNIT_HEAD,
    "head": Role.UNIT_HEAD,
    "watcher": Role.UNIT_HEAD,
    "archivist": Role.RECORDS_MANAGER,
}


@dataclass
class Disposal:
    """The people by name, and what they do. All have had their roles for long enough."""

    home: ArchiveHome
    people: dict[str, Caller] = field(default_factory=dict)

    @property
    def rules(self) -> DisposalRules:
        return self.home.services.disposal_rules

    def confirmed(self, name: str) -> Confirmed:
        """Somebody, signed in just now, whose password was right."""
        caller = self.home.signed_in(name)
        return confirm(self.home.services.sign_ins, caller, PASSWORD, at=self.home.clock.now())

    def propose(self, wanted: Wanted = _ALL, *, by: str = "keeper") -> DispositionId:
        return propose_list(
            self.home.database,
            self.rules,
            wanted,
            title="Recordings of nobody",
            reason="Their time is over",
            by=self.confirmed(by),
            at=self.home.clock.now(),
        )

    def appraise(
        self,
        list_id: DispositionId,
        by: str,
        *,
        opinion: Opinion = Opinion.DESTROY,
        struck: dict[ObjectId, str] | None = None,
    ) -> None:
        appraise(
            self.home.database,
            self.rules,
            list_id,
            opinion,
            words="looked at each",
            struck=struck,
            by=self.confirmed(by),
            at=self.home.clock.now(),
        )

    def decide(self, list_id: DispositionId, *, by: str = "head", approves: bool = True) -> None:
        decide(
            self.home.database,
            self.rules,
            list_id,
            approves=approves,
            words="so be it",
            by=self.confirmed(by),
            at=self.home.clock.now(),
        )

    def supervise(self, list_id: DispositionId, by: str) -> Any:
        return supervise(
            self.home.database,
            self.rules,
            list_id,
            words="I was there",
            by=self.confirmed(by),
            at=self.home.clock.now(),
        )

    def agree(self, list_id: DispositionId) -> None:
        """Everybody agrees; the recovery period has begun."""
        for name in ("first", "second", "third"):
            self.appraise(list_id, name)
        self.decide(list_id)
        self.supervise(list_id, "watcher")
        assert self.supervise(list_id, "archivist") is not None

    def agreed(self, wanted: Wanted = _ALL) -> DispositionId:
        """Return a list that everybody agreed to, whose recovery period is over and whose entries are in the log."""
        list_id = self.propose(wanted)
        self.agree(list_id)
        self.home.clock.step(SEASON)
        self.home.sequence()
        return list_id

    def work(self, rounds: int = 8) -> None:
        """Let the worker go on, with the sequencer between."""
        for _ in range(rounds):
            self.home.services.dispositions.go_on()
            self.home.sequence()

    def row(self, list_id: UUID) -> DispositionList:
        with self.home.database.read() as tx:
            return tx.get_one(DispositionList, list_id)

    def state(self, list_id: UUID) -> ListState:
        return ListState(self.row(list_id).state)

    def items(self, list_id: UUID) -> Sequence[DispositionItem]:
        with self.home.database.read() as tx:
            query = select(DispositionItem).where(DispositionItem.list_id == list_id)
            return tx.scalars(query.order_by(DispositionItem.position)).all()

    def tombstone(self, object_id: UUID) -> Tombstone | None:
        with self.home.database.read() as tx:
            return tx.get(Tombstone, object_id)


def new_disposal(home: ArchiveHome) -> Disposal:
    """Make the people, and wait until they have had their roles for long enough.

    What comes from now on is not locked as it comes: a server with Object Lock goes by its own clock, which no test
    moves, and nothing of it could be destroyed for months.
    """
    if home.settings.store == "s3":
        home.settings = home.settings.model_copy(update={"lock_days": 0})
        home.reopen()
    people = {name: home.person(role, name) for name, role in _PEOPLE.items()}
    home.clock.step(SEASON)
    return Disposal(home, people)


def destroy_one(home: ArchiveHome, dock: EnrolledDock, content: bytes = b"what is destroyed") -> ObjectId:
    """Deliver a recording, and let the people agree to its end; return it when its tombstone is up."""
    disposal = new_disposal(home)
    gone = home.deliver(dock, content, "gone.mp4", device={"serial": "GONE-1"})  # of no device that a scene holds
    home.sequence()
    due(home, gone)
    list_id = disposal.agreed()
    disposal.work()
    assert disposal.tombstone(gone) is not None, disposal.row(list_id).trouble
    return gone
