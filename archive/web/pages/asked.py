"""What a search asks for: read from an address or a form, and told again as one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final, Self
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy.orm import Session

from archive.access.policy import Capability, Role, may
from archive.kernel.instants import BUREAU_ZONE, Instant
from archive.search.documents import Depth, Kind
from archive.search.queries import Filters, search

MOST_OFFICERS: Final = 20
_FACETS: Final = ("media", "category", "state", "linked", "form", "dock", "case")
_MOST_VALUE: Final = 200
_MOST_WORDS: Final = 4096  # longer than what finds anything, so that too much is told as nothing found

Value = Annotated[str, Query(max_length=_MOST_VALUE)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The words and filters of a search, as a person gave them; empty where nothing was given.

    `by` is `taken` for a period in which the archive took things in, else the period is that of what happened. `since`
    and `until` are days in the bureau's zone, both included.
    """

    q: str = ""
    kind: str = ""
    media: str = ""
    category: str = ""
    state: str = ""
    linked: str = ""
    form: str = ""
    dock: str = ""
    case: str = ""
    device: str = ""
    place: str = ""
    officer: str = ""
    by: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def from_form(cls, values: Mapping[str, str]) -> Self:
        """Read the fields of a posted form; longer than any of ours is nothing."""
        most = {"q": _MOST_WORDS}
        given = {part.name: values.get(part.name, "") for part in fields(cls)}
        return cls(**{name: text for name, text in given.items() if len(text) <= most.get(name, _MOST_VALUE)})

    @property
    def is_nothing(self) -> bool:
        """Whether nothing at all is asked for."""
        return not any(value.strip() for name, value in self.given().items() if name != "by")

    @property
    def narrowing_count(self) -> int:
        """How many filters stand beside the words and the kind."""
        return sum(1 for name, value in self.given().items() if value.strip() and name not in {"q", "kind", "by"})

    def given(self) -> Mapping[str, str]:
        """Return what was given, by name."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in values.items() if value}

    def address(self, **changed: str) -> str:
        """Return the address of this search, with something changed."""
        values = {name: value for name, value in {**self.given(), **changed}.items() if value}
        return "/search" + (f"?{urlencode(values, errors='replace')}" if values else "")

    @property
    def words_alone(self) -> str:
        """The address of a search for the same words without filters."""
        return Asked(q=self.q).address()

    def filters(self, tx: Session) -> Filters:
        """Return the filters in the terms of the index. What is no day and no kind does not narrow."""
        kind = Kind(self.kind) if self.kind in set(Kind) else None
        facets = tuple((name, getattr(self, name)) for name in _FACETS if getattr(self, name))
        return Filters(
            kind=kind,
            facets=facets,
            any_of=self._officers(tx),
            device=self.device,
            place=self.place,
            since=_start(self.since, days=0),
            until=_start(self.until, days=1),
            by_taken=self.by == "taken",
        )

    def _officers(self, tx: Session) -> tuple[tuple[str, str], ...]:
        """Return every way in which things may name the officers that are meant, and the words themselves."""
        if not self.officer.strip():
            return ()
        meant = search(tx, self.officer, filters=Filters(kind=Kind.OFFICER), limit=MOST_OFFICERS)
        return ("officer", self.officer.strip()), *(facet for hit in meant.hits for facet in hit.facets)


def asked_in_address(
    q: Annotated[str, Query(max_length=_MOST_WORDS)] = "",
    kind: Value = "",
    media: Value = "",
    category: Value = "",
    state: Value = "",
    linked: Value = "",
    form: Value = "",
    dock: Value = "",
    case: Value = "",
    device: Value = "",
    place: Value = "",
    officer: Value = "",
    by: Value = "",
    since: Value = "",
    until: Value = "",
) -> Asked:
    """Return what the address asks for."""
    return Asked(q, kind, media, category, state, linked, form, dock, case, device, place, officer, by, since, until)


def depth_of(roles: Collection[Role]) -> Depth:
    """Return how deep these roles may look: the text inside documents is for those who may view them."""
    return Depth.CONTENT if may(roles, Capability.VIEW_CONTENT) else Depth.CATALOGUE


def _start(text: str, *, days: int) -> Instant | None:
    """Return when a day begins in the bureau's zone, `days` after it."""
    try:
        day = date.fromisoformat(text.strip()) + timedelta(days=days)
        return datetime.combine(day, time(), BUREAU_ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
