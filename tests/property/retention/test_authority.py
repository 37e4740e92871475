"""Who may destroy: never one person, never who administers, whatever the order; and always enough different people."""

from collections import Counter
from itertools import permutations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from archive.access.policy import Role, separate
from retention.disposition.authority import LEAST_APPRAISERS, SUPERVISORS, Taken, is_sufficient, objection
from retention.disposition.terms import Part

ROLES = st.frozensets(st.sampled_from(Role), min_size=1, max_size=3)
PEOPLE = st.dictionaries(st.integers(1, 9).map(lambda number: UUID(int=number)), ROLES, min_size=1)


@st.composite
def attempts(draw: st.DrawFn) -> tuple[dict[UUID, frozenset[Role]], list[tuple[UUID, Part, bool]]]:
    """People with any roles, also ones that nobody gives together, who try any parts in any order."""
    people = draw(PEOPLE)
    ids = st.sampled_from(sorted(people))
    return people, draw(st.lists(st.tuples(ids, st.sampled_from(Part), st.booleans()), max_size=40))


def played(people: dict[UUID, frozenset[Role]], tries: list[tuple[UUID, Part, bool]]) -> list[Taken]:
    """What comes of tries, each of which is taken or refused."""
    taken: list[Taken] = []
    for person, part, agrees in tries:
        if objection(taken, person, part, people[person]) is None:
            taken.append(Taken(person, part, people[person], agrees or part is not Part.APPRAISE))
    return taken


FULL = [
    (Part.PROPOSE, Role.RECORDS_MANAGER),
    (Part.APPRAISE, Role.LEGAL_REVIEWER),
    (Part.APPRAISE, Role.UNIT_HEAD),
    (Part.APPRAISE, Role.SUPERVISOR),
    (Part.APPROVE, Role.UNIT_HEAD),
    (Part.SUPERVISE, Role.UNIT_HEAD),
    (Part.SUPERVISE, Role.RECORDS_MANAGER),
]
ENOUGH = [Taken(UUID(int=n), part, frozenset({role})) for n, (part, role) in enumerate(FULL, 1)]


@given(attempts())
def test_whoever_tries_what_seven_people_are_needed(
    given_: tuple[dict[UUID, frozenset[Role]], list[tuple[UUID, Part, bool]]],
) -> None:
    taken = played(*given_)
    assert len({each.person for each in taken}) == len(taken), "nobody has two parts"
    assert not any({Role.ADMINISTRATOR, Role.OPERATOR} & each.roles for each in taken)
    if is_sufficient(taken):
        parts = Counter(each.part for each in taken)
        assert len(taken) >= 7
        assert (parts[Part.PROPOSE], parts[Part.APPROVE], parts[Part.SUPERVISE]) == (1, 1, SUPERVISORS)
        assert parts[Part.APPRAISE] >= LEAST_APPRAISERS
        assert all(each.agrees for each in taken)
        assert any(Role.RECORDS_MANAGER in each.roles for each in taken if each.part is Part.SUPERVISE)


@given(st.lists(st.tuples(st.sampled_from(Part), st.booleans()), max_size=30), ROLES)
def test_one_person_alone_never_suffices(tries: list[tuple[Part, bool]], roles: frozenset[Role]) -> None:
    one = UUID(int=1)
    assert not is_sufficient(played({one: roles}, [(one, *each) for each in tries]))
    # Nor by rows that say that everybody was that one.
    assert not is_sufficient([Taken(one, each.part, roles) for each in ENOUGH])


@given(st.permutations(ENOUGH))
def test_enough_is_enough_in_any_order_and_not_without_anybody(taken: list[Taken]) -> None:
    assert is_sufficient(taken)
    for missing in range(len(taken)):
        assert not is_sufficient([*taken[:missing], *taken[missing + 1 :]])


@given(st.permutations(ENOUGH), st.integers(0, 6), st.sampled_from([Role.ADMINISTRATOR, Role.OPERATOR]))
def test_no_administrator_has_a_part_whatever_else_they_are(taken: list[Taken], which: int, role: Role) -> None:
    other = taken[which]
    bad = Taken(other.person, other.part, other.roles | {role})
    assert not separate(bad.roles), "nobody gives these roles together"
    assert not is_sufficient([*taken[:which], bad, *taken[which + 1 :]])
    before = [each for each in taken if each.person != other.person]
    assert objection(before, other.person, other.part, bad.roles) is not None


@given(st.permutations(ENOUGH), st.integers(0, 6), st.integers(0, 6))
def test_nobody_stands_for_two(taken: list[Taken], one: int, two: int) -> None:
    same = Taken(taken[one].person, taken[two].part, taken[two].roles)
    assert is_sufficient([*taken[:two], same, *taken[two + 1 :]]) == (one == two)


def test_parts_are_taken_in_their_order() -> None:
    roles = frozenset({Role.UNIT_HEAD})
    for order in permutations((Part.PROPOSE, Part.APPROVE, Part.SUPERVISE)):
        taken: list[Taken] = []
        for number, part in enumerate(order, 20):
            own = frozenset({Role.RECORDS_MANAGER}) if part is Part.PROPOSE else roles
            if objection(taken, UUID(int=number), part, own) is None:
                taken.append(Taken(UUID(int=number), part, own))
        assert [each.part for each in taken] == [Part.PROPOSE], "without opinions nothing is approved or supervised"


def test_one_who_is_against_it_keeps_a_list_from_being_approved() -> None:
    taken = [*ENOUGH[:4], Taken(UUID(int=9), Part.APPRAISE, frozenset({Role.LEGAL_REVIEWER}), agrees=False)]
    assert objection(taken, UUID(int=5), Part.APPROVE, {Role.UNIT_HEAD}) == "opposed"
    assert not is_sufficient([*taken, *ENOUGH[4:]])


def test_two_heads_do_not_supervise_without_records_management() -> None:
    taken = ENOUGH[:6]
    assert objection(taken, UUID(int=9), Part.SUPERVISE, {Role.UNIT_HEAD}) == "records_manager_missing"
    assert objection(taken, UUID(int=9), Part.SUPERVISE, {Role.RECORDS_MANAGER}) is None
    assert objection(taken, UUID(int=1), Part.SUPERVISE, {Role.RECORDS_MANAGER}) == "has_a_part"
