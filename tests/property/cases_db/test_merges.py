"""Merges of subjects, in any order of making and undoing: what holds is what the merges that remain would have made."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from archive.cases.listings import case_view
from archive.cases.merges import (
    NotMerged,
    SubjectMerged,
    members,
    merge_subjects,
    resolved_subject,
    separate_subjects,
)
from archive.cases.subject_things import ThingKind, subject_things
from archive.cases.subjects import KnownSubject, NewSubject, record_subject
from archive.cases.terms import SubjectKind
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, SubjectId
from archive.ledger.entries import OPERATOR
from tests.support.archive_home import ArchiveHome, make_home

HOW_MANY = 6
_numbers = itertools.count()
some = st.integers(0, HOW_MANY - 1)


class Merges(RuleBasedStateMachine):
    """Six subjects with a case each. `edges` is the model: who stands directly under whom."""

    home: ClassVar[ArchiveHome]

    def __init__(self) -> None:
        super().__init__()
        self.people = [self._person() for _ in range(HOW_MANY)]
        self.cases = [{self._case(subject_id)} for subject_id in self.people]
        self.edges: dict[int, int] = {}

    def _person(self) -> SubjectId:
        given = NewSubject(f"人{next(_numbers)}", SubjectKind.PERSON)
        return record_subject(self.home.database, self.home.services.identifiers, given, by=OPERATOR, at=self.now)

    def _case(self, subject_id: SubjectId) -> CaseId:
        return self.home.case(f"案{next(_numbers)}", subject=KnownSubject(subject_id))

    @property
    def now(self) -> Any:
        return self.home.clock.now()

    def root(self, number: int) -> int:
        while number in self.edges:
            number = self.edges[number]
        return number

    def group(self, number: int) -> set[int]:
        return {other for other in range(HOW_MANY) if self.root(other) == number}

    @rule(keep=some, gone=some)
    def merge(self, keep: int, gone: int) -> None:
        def act() -> None:
            merge_subjects(
                self.home.database, self.people[keep], self.people[gone], reason="同一人", by=OPERATOR, at=self.now
            )

        if keep == gone:
            refused(InvalidInput, act)
        elif keep in self.edges or gone in self.edges:
            refused(SubjectMerged, act)
        else:
            act()
            self.edges[gone] = keep

    @rule(gone=some)
    def separate(self, gone: int) -> None:
        def act() -> None:
            separate_subjects(self.home.database, self.people[gone], reason="不是同一人", by=OPERATOR, at=self.now)

        if gone in self.edges:
            act()
            del self.edges[gone]
        else:
            refused(NotMerged, act)

    @rule(number=some)
    def open_case(self, number: int) -> None:
        """A case that is opened meanwhile stays with whom it was opened under."""
        self.cases[number].add(self._case(self.people[number]))

    @invariant()
    def everybody_stands_where_the_merges_lead(self) -> None:
        with self.home.database.read() as tx:
            for number, subject_id in enumerate(self.people):
                assert resolved_subject(tx, subject_id) == self.people[self.root(number)]
                under = {self.people[other] for other in self.group(number)} | {subject_id}
                assert set(members(tx, subject_id)) == under

    def teardown(self) -> None:
        """What holds now is what the remaining merges alone make of six others, and every case is found under it."""
        fresh = [self._person() for _ in range(HOW_MANY)]
        for gone, keep in self.edges.items():
            merge_subjects(self.home.database, fresh[keep], fresh[gone], reason="x", by=OPERATOR, at=self.now)
        with self.home.database.read() as tx:
            for number in range(HOW_MANY):
                was = self.people.index(resolved_subject(tx, self.people[number]))
                assert fresh.index(resolved_subject(tx, fresh[number])) == was
                assert {case_view(tx, case).subject.id for case in self.cases[number]} == {self.people[was]}
                found = subject_things(tx, self.people[number], kind=ThingKind.CASE, limit=1000).rows
                everybody = self.group(number) | {number}
                assert {thing.id for thing in found} == set[CaseId]().union(*(self.cases[other] for other in everybody))


def refused(cause: type[Exception], act: Callable[[], None]) -> None:
    try:
        act()
    except cause:
        return
    raise AssertionError(f"{cause.__name__} was not raised")


def test_what_holds_depends_on_the_merges_that_remain(database_url: str, tmp_path: Path) -> None:
    Merges.home = make_home(tmp_path, database_url)
    try:
        run_state_machine_as_test(Merges, settings=settings(max_examples=12, stateful_step_count=25, deadline=None))
        Merges.home.sequence()
        Merges.home.assert_sound()
    finally:
        Merges.home.services.close()
