"""What stops the disposition of an object, whatever was filed, held, planned and released before, in any order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from archive.cases.merges import merge_subjects, resolved_subject, separate_subjects
from archive.cases.models import Case
from archive.cases.subjects import KnownSubject, NewSubject, record_subject
from archive.cases.terms import SubjectKind
from archive.db.sight import FIRST_UNIT
from archive.kernel.ids import CaseId, HoldId, ObjectId, SubjectId, new_uuid7
from archive.ledger.entries import OPERATOR, Actor
from retention.holding.hold_queries import HoldQuery
from retention.holding.models import Hold
from retention.holding.terms import HoldScope
from retention.planning.models import RetentionPlan
from retention.schedules.algebra import Rule
from retention.stops import Stop, StopKind
from tests.support.archive_home import make_home
from tests.support.holding_scene import HoldingScene, holding_scene
from tests.support.planned import CASE_FILE, FOR_EVER, LATER, OVER

HOW_MANY = 4
SECOND_PERSON = Actor(new_uuid7())
NAMED = {StopKind.HOLD: Hold, StopKind.OPEN_CASE: Case}
OF_PLAN = {StopKind.NO_RULE, StopKind.NOT_DUE, StopKind.PERMANENT, StopKind.CLOCK_NOT_BEGUN}
some = st.integers(0, HOW_MANY - 1)
one_of_two = st.integers(0, 1)


class Keeping(RuleBasedStateMachine):
    """Four objects, two cases of two subjects, and any number of holds.

    The model: where each object is filed and was filed since when, what each hold has had written down, what the plans
    say: none of their ends comes sooner than before.
    """

    scene: ClassVar[HoldingScene]

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.objects = [self.scene.item() for _ in range(HOW_MANY)]
        self.people = [self._person() for _ in range(2)]
        self.cases = [self.scene.case(subject=KnownSubject(person)) for person in self.people]
        self.is_merged = False
        self.filed: set[tuple[ObjectId, CaseId]] = set()
        self.filings: list[tuple[int, ObjectId, CaseId]] = []
        self.closed: set[CaseId] = set()
        self.holds: dict[HoldId, tuple[HoldScope, Any, int]] = {}
        self.written: dict[HoldId, set[ObjectId]] = {}
        self.told: dict[HoldId, set[UUID]] = {}
        self.plans: dict[ObjectId, frozenset[StopKind]] = dict.fromkeys(self.objects, frozenset({StopKind.NOT_PLANNED}))
        self.stale: set[ObjectId] = set()

    def _person(self) -> SubjectId:
        given = NewSubject("某人", SubjectKind.PERSON)
        home = self.scene.home
        return record_subject(home.database, home.services.identifiers, given, by=OPERATOR, at=self.scene.now)

    # ---- what people do --------------------------------------------------------------------------------------------

    @rule(number=some, of=one_of_two)
    def file(self, number: int, of: int) -> None:
        pair = self.objects[number], self.cases[of]
        if pair not in self.filed:
            self.scene.link(pair[1], pair[0])
            self.steps += 1
            self.filed.add(pair)
            self.filings.append((self.steps, *pair))

    @rule(number=some, of=one_of_two)
    def take_out(self, number: int, of: int) -> None:
        pair = self.objects[number], self.cases[of]
        if pair in self.filed:
            self.scene.unlink(pair[1], pair[0])
            self.filed.discard(pair)

    @rule(of=one_of_two)
    def close(self, of: int) -> None:
        if self.cases[of] not in self.closed:
            self.scene.close(self.cases[of])
            self.closed.add(self.cases[of])

    @rule()
    def merge_or_separate(self) -> None:
        database, keep, gone = self.scene.home.database, *self.people
        if self.is_merged:
            separate_subjects(database, gone, reason="不是同一人", by=OPERATOR, at=self.scene.now)
        else:
            merge_subjects(database, keep, gone, reason="同一人", by=OPERATOR, at=self.scene.now)
        self.is_merged = not self.is_merged

    @rule(number=some, rules=st.sets(st.sampled_from([OVER, LATER, CASE_FILE]), max_size=2) | st.just({FOR_EVER}))
    def plan(self, number: int, rules: set[Rule]) -> None:
        object_id = self.objects[number]
        self.scene.plan(object_id, by=tuple(rules))
        self.stale.discard(object_id)
        before, cases = self.plans[object_id], {case_id for found, case_id in self.filed if found == object_id}
        if FOR_EVER in rules or StopKind.PERMANENT in before:
            self.plans[object_id] = frozenset({StopKind.PERMANENT})
            return
        waits = CASE_FILE in rules and not (cases and cases <= self.closed)
        is_later = LATER in rules or (CASE_FILE in rules and not waits) or StopKind.NOT_DUE in before
        missing = {StopKind.CLOCK_NOT_BEGUN} if waits else set() if rules else {StopKind.NO_RULE}
        self.plans[object_id] = frozenset(missing | ({StopKind.NOT_DUE} if is_later else set()))

    @rule(number=some)
    def change(self, number: int) -> None:
        """Something changes that schedules ask about; what has no plan is planned soon anyway."""
        self.scene.mark_stale(self.objects[number])
        if StopKind.NOT_PLANNED not in self.plans[self.objects[number]]:
            self.stale.add(self.objects[number])

    @rule(scope=st.sampled_from(HoldScope), number=some)
    def hold(self, scope: HoldScope, number: int) -> None:
        what = {
            HoldScope.OBJECT: self.objects[number],
            HoldScope.CASE: self.cases[number % 2],
            HoldScope.SUBJECT: self.people[number % 2],
            HoldScope.QUERY: HoldQuery(FIRST_UNIT, number_prefix=self._number(number % 2)),
        }[scope]
        self.steps += 1
        hold_id = self.scene.hold(scope, what)
        self.holds[hold_id] = (scope, what, self.steps)
        self.written[hold_id], self.told[hold_id] = self.live(hold_id), set()

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        hold_id = data.draw(st.sampled_from(sorted(self.holds)))
        self.scene.release(hold_id, by=SECOND_PERSON)
        del self.holds[hold_id]

    @rule()
    def scan(self) -> None:
        self.scene.home.services.holding.scans.scan(is_whole=True)
        for hold_id in self.holds:
            self.written[hold_id] |= self.live(hold_id)

    def teardown(self) -> None:
        """Leave nothing placed, so that the next scans have as much to do as these had; then nothing is held."""
        for hold_id in self.holds:
            self.scene.release(hold_id, by=SECOND_PERSON)
        assert {stop.kind for stops in self.stops().values() for stop in stops}.isdisjoint({StopKind.HOLD})

    # ---- what holds then -------------------------------------------------------------------------------------------

    def _number(self, of: int) -> str:
        with self.scene.home.database.read() as tx:
            return tx.get_one(Case, self.cases[of]).number

    def live(self, hold_id: HoldId) -> set[ObjectId]:
        """Return what a hold covers by what the catalogue says, whether a scan has seen it or not."""
        scope, what, since = self.holds[hold_id]
        match scope:
            case HoldScope.OBJECT:
                return {what}
            case HoldScope.QUERY:
                asked = [case_id for of, case_id in enumerate(self.cases) if self._number(of) == what.number_prefix]
                return {object_id for object_id, case_id in self.filed if case_id in asked}
            case HoldScope.CASE:
                cases = {what}
            case _:
                cases = set(self.cases) if self.is_merged else {self.cases[self.people.index(what)]}
        now = {object_id for object_id, case_id in self.filed if case_id in cases}
        return now | {object_id for step, object_id, case_id in self.filings if step > since and case_id in cases}

    def stops(self) -> dict[ObjectId, tuple[Stop, ...]]:
        found = self.scene.all_stops(self.objects)
        return {object_id: found[object_id] for object_id in self.objects}

    @invariant()
    def each_stop_is_told_and_nothing_else(self) -> None:
        for object_id, stops in self.stops().items():
            held = {hold_id for hold_id in self.holds if object_id in self.written[hold_id] | self.live(hold_id)}
            assert {stop.ref_id for stop in stops if stop.kind is StopKind.HOLD} == held
            open_ones = {case_id for found, case_id in self.filed if found == object_id} - self.closed
            assert {stop.ref_id for stop in stops if stop.kind is StopKind.OPEN_CASE} == open_ones
            others = {stop.kind for stop in stops} - set(NAMED)
            assert others == self.plans[object_id] | ({StopKind.NOT_PLANNED} if object_id in self.stale else set())
            assert len(stops) == len(set(stops))

    @invariant()
    def a_hold_wins_over_everything(self) -> None:
        """Whatever else is said of an object: while a hold covers it, it is stopped, and was not freed by others."""
        for object_id, stops in self.stops().items():
            for stop in stops:
                if stop.kind is StopKind.HOLD:
                    self.told[HoldId(stop.ref_id)].add(object_id)  # type: ignore[arg-type]
            for hold_id, (scope, _, _) in self.holds.items():
                if scope in {HoldScope.OBJECT, HoldScope.CASE} and object_id in self.told[hold_id]:
                    assert Stop(StopKind.HOLD, hold_id) in stops

    @invariant()
    def what_is_not_due_has_a_stop_and_each_stop_names_what_there_is(self) -> None:
        with self.scene.home.database.read() as tx:
            for object_id, stops in self.stops().items():
                assert stops or not (self.plans[object_id] or object_id in self.stale)
                for stop in stops:
                    if stop.kind in NAMED:
                        assert tx.get(NAMED[stop.kind], stop.ref_id) is not None
                    plan = tx.get(RetentionPlan, object_id)
                    if stop.kind in OF_PLAN:
                        assert plan is not None
                        assert stop.until == (plan.retain_until if stop.kind is StopKind.NOT_DUE else None)

    @invariant()
    def subjects_are_as_the_model_says(self) -> None:
        with self.scene.home.database.read() as tx:
            assert resolved_subject(tx, self.people[1]) == self.people[0 if self.is_merged else 1]


def scene_at(folder: Path) -> HoldingScene:
    return holding_scene(make_home(folder, f"sqlite+pysqlite:///{folder / 'keeping.sqlite3'}"))


def test_stops(tmp_path: Path) -> None:
    Keeping.scene = scene_at(tmp_path)
    run_state_machine_as_test(Keeping, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
    Keeping.scene.home.sequence()
    Keeping.scene.home.assert_sound()
    Keeping.scene.home.services.close()


def test_the_order_of_placing_does_not_matter(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    items = [scene.due() for _ in range(HOW_MANY)]
    cases = [scene.case(*items[:2]), scene.case(*items[1:3])]
    for case_id in cases:
        scene.close(case_id)
    place: list[Callable[[], HoldId]] = [
        lambda: scene.hold(HoldScope.OBJECT, items[0]),
        lambda: scene.hold(HoldScope.CASE, cases[0]),
        lambda: scene.hold(HoldScope.CASE, cases[1]),
        lambda: scene.hold(HoldScope.QUERY, HoldQuery(FIRST_UNIT, device_serial="CAM-0042")),
    ]
    covers = [{0}, {0, 1}, {1, 2}, set(range(HOW_MANY))]

    @settings(max_examples=20, deadline=None)
    @given(order=st.permutations(range(len(place))), kept=st.sets(st.integers(0, len(place) - 1)), scans=st.booleans())
    def placed(order: list[int], kept: set[int], scans: bool) -> None:
        holds = {which: place[which]() for which in order}
        if scans:
            scene.home.services.holding.scans.scan(is_whole=True)
        for which in set(holds) - kept:
            scene.release(holds[which], by=SECOND_PERSON)
        try:
            for number, item in enumerate(items):
                assert scene.held_by(item) == {holds[which] for which in kept if number in covers[which]}
        finally:
            for which in kept:
                scene.release(holds[which], by=SECOND_PERSON)
        assert scene.stops(items[0]) == []

    placed()
    scene.home.services.close()
