"""The pages that `millions` asks for, and where they begin in the middle of a list."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self
from urllib.parse import quote, urlencode
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.access.callers import Caller, caller_as
from archive.access.models import Account
from archive.access.policy import Capability
from archive.cases.slices import cursor_of
from archive.custody.models import AccessRecord, CustodyEvent
from archive.db.sight import EVERYBODYS, Reach, moment
from archive.evidence.models import Clip
from archive.kernel.instants import BUREAU_ZONE, format_instant
from archive.ledger.proofs import head
from archive.search.queries import Filters, found_ids
from archive.web.pages.asked import depth_of
from archive.wiring import Services
from ingest.models import Dock
from tests.support.bulk import words
from tests.support.bulk.maker import Made

Address = str
_TARGETS: Final = 40
"""Different things that one kind of page is asked for."""
_HITS: Final = 50
_OLDEST: Final = 30
"""How many accesses are older than the cursor of the oldest."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who looks, and the party through which this person sees most."""

    name: str
    caller: Caller
    party: int

    @classmethod
    def of(cls, services: Services, name: str) -> Self:
        """Find somebody."""
        at = services.clock.now()
        with services.database.read() as tx:
            account = tx.scalars(select(Account).where(Account.username == name)).one()
            caller = caller_as(tx, account, auth="session:bench", at=at)
            counts = {
                party: tx.scalar(
                    select(func.count()).select_from(Reach).where(Reach.party == party, Reach.kind == "case")
                )
                for party in caller.sight.parties - {EVERYBODYS}
            }
        return cls(name, caller, max(counts, key=lambda party: counts[party] or 0))


class _Pages:
    def __init__(self, tx: Session, person: Person, made: Made) -> None:
        self._tx, self._person, self._made = tx, person, made
        self.found: dict[str, Sequence[Address]] = {}

    def add(self, page: str, *addresses: Address | None) -> None:
        known = [address for address in addresses if address is not None]
        if known:
            self.found[page] = known

    def sample(self, kind: str) -> Sequence[UUID]:
        """Return things that the person sees, all over the archive."""
        span: tuple[int | None, int | None] = self._tx.execute(
            select(func.min(Reach.at), func.max(Reach.at)).where(Reach.party == self._person.party, Reach.kind == kind)
        ).one()
        first, last = span
        if first is None or last is None:
            return []
        chance, found = random.Random(7), dict[UUID, None]()
        for _ in range(_TARGETS):
            near = self._tx.scalar(
                select(Reach.ref_id)
                .where(
                    Reach.party == self._person.party, Reach.kind == kind, Reach.classes == 0,
                    Reach.at >= chance.randint(first, last),
                )
                .order_by(Reach.at, Reach.ref_id)
                .limit(1)
            )  # fmt: skip
            if near is not None:
                found[near] = None
        return list(found)

    def middle(self, kind: str, listing: str) -> str | None:
        """Return the cursor of the middle of a list; None where all of it is on the first page."""
        of_kind = (Reach.party == self._person.party, Reach.kind == kind)
        count = self._tx.scalar(select(func.count()).select_from(Reach).where(*of_kind)) or 0
        if count <= 2 * _HITS:
            return None
        row = self._tx.execute(
            select(Reach.at, Reach.ref_id).where(*of_kind).order_by(Reach.at.desc()).offset(count // 2).limit(1)
        ).one()
        return cursor_of(listing, moment(row.at), row.ref_id)

    def deep(self, query: str) -> str | None:
        """Return the cursor of the twentieth page of what is found."""
        depth = depth_of(self._person.caller.roles)
        return found_ids(self._tx, query, filters=Filters(), depth=depth, cursor=None, limit=19 * _HITS)[1]


def pages_of(services: Services, made: Made, people: Sequence[Person]) -> Mapping[str, Mapping[str, Sequence[Address]]]:
    """Return the addresses of each page, by page and person."""
    found: dict[str, dict[str, Sequence[Address]]] = defaultdict(dict)
    for person in people:
        with services.database.seen_by(person.caller.sight).read() as tx:
            pages = _Pages(tx, person, made)
            _lists(pages)
            _searches(pages, tx, made)
            _things(pages, tx, person, made)
            _house(pages, tx, person)
        for page, addresses in pages.found.items():
            found[page][person.name] = addresses
    return found


def _address(path: str, **given: str | None) -> Address | None:
    """Return an address; None where one of what is given is not there."""
    told = {name: value for name, value in given.items() if value is not None}
    return None if len(told) < len(given) else path + (f"?{urlencode(told)}" if told else "")


def _lists(pages: _Pages) -> None:
    pages.add("Cases", "/")
    pages.add("Cases, from the middle", _address("/", cursor=pages.middle("case", "cases")))
    pages.add("Cases, with a common word", _address("/", q=words.COMMON))
    pages.add("Items", "/items")
    pages.add("Items, from the middle", _address("/items", cursor=pages.middle("item", "items")))
    pages.add("Items, of a camera", _address("/items", q="BWC-0203"))
    pages.add("Inbox: filed nowhere", "/unlinked")
    pages.add("Inbox, from the middle", _address("/unlinked", cursor=pages.middle("item", "unlinked")))
    pages.add("Inbox, with a word", _address("/unlinked", q="BWC-02"))
    pages.add("Subjects", "/subjects")
    pages.add("Subjects, from the middle", _address("/subjects", cursor=pages.middle("subject", "subjects")))
    pages.add("Subjects, with a word", _address("/subjects", q="小吃店"))
    for which in ("all", "open", "waiting", "late", "filed"):
        pages.add(f"Ledger: {which}", _address("/ledger", which=which))
    pages.add("Ledger, from the middle", _address("/ledger", cursor=pages.middle("case", "ledger")))


def _searches(pages: _Pages, tx: Session, made: Made) -> None:
    pages.add("Search: a common word", _address("/search", q=words.COMMON))
    pages.add("Search: a common word, page 20", _address("/search", q=words.COMMON, cursor=pages.deep(words.COMMON)))
    pages.add("Search: a rare word", _address("/search", q=words.RARE))
    pages.add("Search: two words", _address("/search", q=f"{words.COMMON} {words.STREET}"))
    pages.add("Search: two common words that never meet", _address("/search", q=" ".join(words.APART)))
    pages.add("Search: a word that is nowhere", _address("/search", q=words.NEVER))
    pages.add("Search: two characters", _address("/search", q="官渡"))
    pages.add("Search: one character", _address("/search", q="店"))
    pages.add("Search: a serial", _address("/search", q="BWC-0203"))
    pages.add("Search: part of a number", _address("/search", q="第001"))
    for kind in ("case", "subject", "officer", "record", "item"):
        word = {"officer": "王", "subject": "小吃店", "item": words.STREET}.get(kind, words.COMMON)
        pages.add(f"Search: a word, kind {kind}", _address("/search", q=word, kind=kind))
    dock = tx.scalars(select(Dock.id).order_by(Dock.enrolled_at).limit(1)).one()
    newest = tx.scalar(select(func.max(Reach.at)).where(Reach.party == EVERYBODYS, Reach.kind == "item")) or 0
    day = moment(newest).astimezone(BUREAU_ZONE).date()
    since, until = (day - timedelta(days=4)).isoformat(), (day - timedelta(days=2)).isoformat()
    for name, given in {
        "media": {"kind": "item", "media": "footage"}, "state": {"kind": "item", "state": "damaged"},
        "filed nowhere": {"kind": "item", "linked": "no"}, "dock": {"kind": "item", "dock": str(dock)},
        "category": {"kind": "case", "category": "coercion"}, "form": {"kind": "record", "form": "penalty_decision"},
        "device": {"device": "BWC-0203"}, "place": {"place": words.STREET}, "officer": {"officer": "2053020003"},
        "case": {"case": str(UUID(made.large_case))}, "days it happened": {"since": since, "until": until},
        "days it was taken in": {"since": since, "until": until, "by": "taken"},
        "a word and its days": {"q": words.COMMON, "since": since, "until": until},
    }.items():  # fmt: skip
        pages.add(f"Search, filter: {name}", _address("/search", **given))


def _things(pages: _Pages, tx: Session, person: Person, made: Made) -> None:
    cases, items = pages.sample("case"), pages.sample("item")
    pages.add("Case", *(f"/cases/{each}" for each in cases))
    pages.add("Case file", *(f"/cases/{each}/file" for each in cases))
    pages.add("Item", *(f"/items/{each}" for each in items))
    pages.add("Custody list of an item", *(f"/objects/{each}/trail" for each in items))
    pages.add("Log entries of an item", *(f"/objects/{each}/entries" for each in items))
    entries = [
        (each, tx.scalars(select(CustodyEvent.entry_id).where(CustodyEvent.object_id == each).limit(1)).first())
        for each in items
    ]
    pages.add("Proof of an entry", *(f"/objects/{each}/entries/{entry}/proof" for each, entry in entries))
    recordings = tx.scalars(select(Clip.recording_id).where(Clip.object_id.in_(items))).all()
    pages.add("Recording", *(f"/recordings/{each}" for each in recordings))
    subjects = pages.sample("subject")
    pages.add("Subject", *(f"/subjects/{each}" for each in subjects))
    records = pages.sample("record")
    pages.add("Text record", *(f"/records/{each}" for each in records))
    if person.name != "officer":
        pages.add("Item that was looked at often", f"/items/{UUID(made.looked_at_item)}")


def _house(pages: _Pages, tx: Session, person: Person) -> None:
    caller = person.caller
    for which in ["mine", *(["accesses", "copies", "unusual"] if caller.may(Capability.READ_TRACE) else [])]:
        pages.add(f"Trace: {which}", _address("/trace", which=which))
    if caller.may(Capability.READ_LOG):
        newest = head(tx)
        assert newest is not None
        chance = random.Random(9)
        places = [chance.randrange(newest.size) for _ in range(_TARGETS)]
        pages.add("Log", "/log")
        pages.add("Log, from the middle", *(f"/log?before={place + 1}" for place in places))
        pages.add("Log: proof of a place", *(f"/log/proofs/{place}" for place in places))
        oldest = select(AccessRecord.at, AccessRecord.entry_id).order_by(AccessRecord.at, AccessRecord.entry_id)
        record = tx.execute(oldest.offset(_OLDEST).limit(1)).one()
        cursor = quote(f"trace-accesses~{format_instant(record.at)}~{record.entry_id}")
        pages.add("Trace: accesses, the oldest", f"/trace?which=accesses&cursor={cursor}")
    if caller.may(Capability.READ_LOG_HEALTH):
        pages.add("Log: its health", "/log/health")
    if person.name == "supervisor":
        pages.add("Ledger of a unit", f"/ledger?unit={caller.unit_id}")
    pages.add("Notices", "/notices")
    for capability, page, address in (
        (Capability.FILE_CASES, "Devices", "/devices"),
        (Capability.VIEW_CONTENT, "Retrievals", "/retrievals"),
        (Capability.UPLOAD, "Upload", "/upload"),
    ):
        if caller.may(capability):
            pages.add(page, address)
