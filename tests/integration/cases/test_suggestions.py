"""Where an item may belong, filing many at once, and the time axis that shows the result."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from archive.cases.bulk import MOST_AT_ONCE, link_objects
from archive.cases.filing import CaseNotFound, link_object, record_act
from archive.cases.listings import case_view, unlinked_items
from archive.cases.models import ActOfficer
from archive.cases.suggestions import Sign, Suggestion, suggestions
from archive.cases.terms import Stage
from archive.cases.timeline import LaneKind, timeline
from archive.custody.events import ObjectNotFound
from archive.evidence.models import EvidenceItem, ItemLook
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ActId, CaseId, ObjectId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from tests.support.archive_home import ArchiveHome

Deliver = Callable[..., ObjectId]
# What the dock of these tests says of every recording; its device is 1.5 s slow.
RECORDED = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
TRUE_START = RECORDED + timedelta(seconds=1.5)


def act(home: ArchiveHome, case_id: CaseId, start: datetime, end: datetime | None, place: str = "滇池路") -> ActId:
    return record_act(
        home.database,
        case_id,
        stage=Stage.INSPECTION,
        place=place,
        started_at=start,
        ended_at=end,
        by=OPERATOR,
        at=home.clock.now(),
    )


def suggested(home: ArchiveHome, object_id: ObjectId) -> list[Suggestion]:
    with home.database.read() as tx:
        return list(suggestions(tx, [tx.get_one(EvidenceItem, object_id)])[object_id])


def told(home: ArchiveHome, object_id: ObjectId) -> list[tuple[str, list[Sign]]]:
    return [(one.case.number, list(one.signs)) for one in suggested(home, object_id)]


def link(home: ArchiveHome, case_id: CaseId, *object_ids: ObjectId, **more: Any) -> int:
    given: dict[str, Any] = {"act_id": None, "reason": "confirmed", "by": OPERATOR, "at": home.clock.now(), **more}
    return link_objects(home.database, case_id, object_ids, **given)


def change(home: ArchiveHome, object_id: ObjectId, **values: Any) -> None:
    with home.database.begin() as tx:
        tx.execute(update(EvidenceItem).where(EvidenceItem.object_id == object_id).values(**values))


def test_the_act_that_it_was_recorded_in_comes_before_the_one_nearby(home: ArchiveHome, deliver: Deliver) -> None:
    item = deliver(b"one")
    during, near, far = home.case("during"), home.case("near"), home.case("far")
    covering = act(home, during, TRUE_START - timedelta(minutes=5), TRUE_START + timedelta(minutes=5))
    act(home, during, TRUE_START - timedelta(minutes=40), TRUE_START - timedelta(minutes=20))
    act(home, near, TRUE_START + timedelta(minutes=20), TRUE_START + timedelta(minutes=50))
    act(home, far, TRUE_START + timedelta(hours=3), None)
    assert told(home, item) == [("during", [Sign.DURING_ACT]), ("near", [Sign.NEAR_ACT])]
    assert next(one.act.id for one in suggested(home, item) if one.act) == covering


def test_the_clock_of_the_device_is_corrected_first(home: ArchiveHome, deliver: Deliver) -> None:
    item = deliver(b"one")
    case_id = home.case("A")
    act(home, case_id, TRUE_START - timedelta(hours=3), TRUE_START - timedelta(hours=2))
    assert told(home, item) == []
    change(home, item, clock_offset_ms=int(timedelta(hours=2, minutes=30).total_seconds() * 1000))
    assert told(home, item) == [("A", [Sign.DURING_ACT])]


def test_the_officer_of_an_act_speaks_for_it(home: ArchiveHome, deliver: Deliver) -> None:
    item = deliver(b"one")
    change(home, item, officer_number="53010001")
    cases = [home.case(name) for name in "AB"]
    span = TRUE_START - timedelta(minutes=5), TRUE_START + timedelta(minutes=5)
    acts = [act(home, case_id, *span) for case_id in cases]
    facts = OfficerFacts("53010001", "李晓东", "官渡区综合行政执法局")
    officer_id = record_officer(home.database, facts, by=OPERATOR, at=home.clock.now())
    with home.database.begin() as tx:
        tx.execute(insert(ActOfficer).values(act_id=acts[0], officer_id=officer_id))
    assert told(home, item) == [("A", [Sign.DURING_ACT, Sign.OFFICER_OF_ACT]), ("B", [Sign.DURING_ACT])]
    with home.database.read() as tx:
        assert [one.name for one in case_view(tx, cases[0]).officers[acts[0]]] == ["李晓东"]
        assert case_view(tx, cases[1]).officers == {}


def test_what_lies_in_a_case_already_speaks_for_it(home: ArchiveHome, deliver: Deliver) -> None:
    item, same, other = deliver(b"one"), deliver(b"two"), deliver(b"three")
    change(home, item, officer_number="53010001")
    change(home, other, device_serial="CAM-9", officer_number="53010001")
    link(home, home.case("device"), same)
    link(home, home.case("officer"), other)
    assert sorted(told(home, item)) == [("device", [Sign.SAME_DEVICE]), ("officer", [Sign.SAME_OFFICER])]
    change(home, same, recorded_at=RECORDED - timedelta(hours=13))  # another duty
    assert told(home, item) == [("officer", [Sign.SAME_OFFICER])]


def test_places_are_compared_by_their_distance(home: ArchiveHome, deliver: Deliver) -> None:
    item, near, far = deliver(b"one"), deliver(b"two"), deliver(b"three")
    for object_id in (near, far):
        change(home, object_id, device_serial=None)
    places = {item: (250_389_000, 1_027_183_000), near: (250_395_000, 1_027_190_000), far: (250_889_000, 1_027_183_000)}
    with home.database.begin() as tx:
        for object_id, (lat, lon) in places.items():
            found = {"points": [[0, lat, lon, 189_000, 0, ""]]}
            tx.execute(
                insert(ItemLook).values(
                    object_id=object_id, look="track", found=found, sha256="0" * 64, tool="", made_at=home.clock.now()
                )
            )
    link(home, home.case("near"), near)
    link(home, home.case("far"), far)
    assert told(home, item) == [("near", [Sign.SAME_PLACE])]


def test_a_number_in_the_file_name_speaks_loudest(home: ArchiveHome, dock: Any) -> None:
    item = home.deliver(dock, b"one", "CAM0042_昆综执罚〔2026〕12号_0001.mp4")
    act(home, home.case("during"), TRUE_START, TRUE_START + timedelta(minutes=5))
    home.case("昆综执罚〔2026〕12号")
    assert told(home, item) == [("昆综执罚〔2026〕12号", [Sign.NUMBER_IN_NAME]), ("during", [Sign.DURING_ACT])]


def test_without_a_time_and_without_signs_nothing_is_suggested(home: ArchiveHome, deliver: Deliver) -> None:
    item = deliver(b"one")
    change(home, item, recorded_at=None)
    act(home, home.case("A"), TRUE_START, None)
    assert told(home, item) == []


def test_many_are_filed_at_once_each_with_its_event(home: ArchiveHome, deliver: Deliver) -> None:
    items = [deliver(f"{number}".encode()) for number in range(4)]
    case_id = home.case("A")
    link_object(home.database, case_id, items[0], act_id=None, reason="before", by=OPERATOR, at=home.clock.now())
    assert link(home, case_id, *items) == 3
    with home.database.read() as tx:
        assert len(case_view(tx, case_id).items) == 4
        assert unlinked_items(tx).rows == []
    home.sequence()
    assert len(home.rows("SELECT entry_id FROM custody_event WHERE type = 'case.link'")) == 4
    home.assert_sound()


@pytest.mark.parametrize("what", ["none", "too many", "no case", "no item", "act of another case", "no reason"])
def test_what_cannot_be_filed_whole_is_not_filed_at_all(home: ArchiveHome, deliver: Deliver, what: str) -> None:
    items = [deliver(b"one"), deliver(b"two")]
    case_id, other = home.case("A"), home.case("B")
    with pytest.raises((InvalidInput, CaseNotFound, ObjectNotFound)):
        match what:
            case "none":
                link(home, case_id)
            case "too many":
                link(home, case_id, *(ObjectId(new_uuid7()) for _ in range(MOST_AT_ONCE + 1)))
            case "no case":
                link(home, CaseId(new_uuid7()), *items)
            case "no item":
                link(home, case_id, *items, ObjectId(new_uuid7()))
            case "act of another case":
                link(home, case_id, *items, act_id=act(home, other, TRUE_START, None))
            case _:
                link(home, case_id, *items, reason=" ")
    assert home.rows("SELECT * FROM case_link") == []


def test_the_axis_has_a_lane_for_acts_for_each_device_and_for_documents(home: ArchiveHome, deliver: Deliver) -> None:
    first, second, third = deliver(b"one"), deliver(b"two"), deliver(b"three")
    case_id = home.case("A")
    act(home, case_id, TRUE_START, TRUE_START + timedelta(minutes=5), place="南屏街")
    change(home, first, duration_ms=60_000)
    change(home, second, device_serial="CAM-1", recorded_at=RECORDED - timedelta(hours=1))
    change(home, third, device_serial=None, recorded_at=None)
    link(home, case_id, first, second, third)
    with home.database.read() as tx:
        lanes = timeline(case_view(tx, case_id))
    assert [(lane.kind, lane.name) for lane in lanes] == [
        (LaneKind.ACTS, ""),
        (LaneKind.DEVICE, "CAM-1"),
        (LaneKind.DEVICE, "CAM-0042"),
        (LaneKind.DEVICE, ""),
    ]
    span = lanes[2].spans[0]
    assert (span.starts_at, span.ends_at, span.is_sure) == (TRUE_START, TRUE_START + timedelta(minutes=1), True)
    assert not lanes[3].spans[0].is_sure
    assert lanes[0].spans[0].name == "南屏街"
