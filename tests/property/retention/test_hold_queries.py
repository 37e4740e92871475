"""A query says the same to the database and of facts that are known, and reads back as it was written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.cases.terms import Category
from archive.db.sight import FIRST_UNIT
from archive.evidence.models import EvidenceItem
from archive.kernel.ids import ObjectId
from archive.organisation.units import below
from retention.holding.hold_coverage import query_facts
from retention.holding.hold_queries import HoldQuery
from retention.holding.terms import HeldKind
from tests.support.archive_home import make_home
from tests.support.holding_scene import HoldingScene, holding_scene

START = datetime(2026, 3, 1, tzinfo=UTC)
SERIALS, OFFICERS = ["CAM-1", "CAM-2", "cam-1", "CAM-10"], ["530111001", "530111002"]
NUMBERS = ["官综〔2026〕1号", "官综〔2026〕10号", "官综执〔2026〕1号", "昆市监〔2026〕1号", "官"]
moments = st.integers(0, 6).map(lambda days: START + timedelta(days=days))
prefixes = st.sampled_from(NUMBERS).flatmap(lambda text: st.integers(1, len(text)).map(lambda end: text[:end]))


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


def queries(units: list[object]) -> st.SearchStrategy[HoldQuery]:
    def made(**parts: object) -> HoldQuery:
        times = sorted(parts.pop("times"))  # type: ignore[type-var, call-overload]
        since, until = times if len(times) == 2 else (times[0] if times else None, None)
        return HoldQuery(**parts, recorded_from=since, recorded_until=until)  # type: ignore[arg-type]

    return st.builds(
        made,
        unit_id=st.sampled_from(units),
        device_serial=maybe(st.sampled_from(SERIALS)),
        officer_number=maybe(st.sampled_from(OFFICERS)),
        times=st.sets(moments, max_size=2),
        category=maybe(st.sampled_from(Category)),
        number_prefix=maybe(prefixes),
        kind=maybe(st.sampled_from([HeldKind.OTHER, HeldKind.FOOTAGE, HeldKind.RECORD, HeldKind.VOLUME])),
    )


def filled(scene: HoldingScene) -> list[ObjectId]:
    """Deliver recordings of three units, four cameras and six days, and file them under cases of five numbers."""
    docks = [
        scene.dock,
        *(scene.home.dock(f"Dock {n}", unit_id=unit) for n, unit in enumerate((scene.team, scene.other_team))),
    ]
    items = []
    for number in range(12):
        recorded = START + timedelta(days=number % 6)
        times = {} if number == 5 else {"recorded": recorded.strftime("%Y-%m-%dT%H:%M:%SZ"), "clock_offset_ms": 0}
        items.append(
            scene.item(
                dock=docks[number % 3],
                device={"serial": SERIALS[number % 4], "officer": OFFICERS[number % 2]}
                if number % 5
                else {"serial": "CAM-1"},
                times={"signed": "2026-03-09T08:00:00Z", **times},
            )
        )
    for number, text in enumerate(NUMBERS):
        scene.case(*items[number::4], number=text)
    return items


def test_the_two_forms_agree(tmp_path: Path) -> None:
    scene = holding_scene(make_home(tmp_path, f"sqlite+pysqlite:///{tmp_path / 'queries.sqlite3'}"))
    items = filled(scene)
    database = scene.home.database
    with database.read() as tx:
        assert {row.device_serial for row in tx.query(EvidenceItem)} == set(SERIALS)
        assert {row.officer_number for row in tx.query(EvidenceItem)} == {None, *OFFICERS}
        assert {row.recorded_at is None for row in tx.query(EvidenceItem)} == {True, False}

    @settings(max_examples=300, deadline=None)
    @given(query=queries([FIRST_UNIT, scene.team, scene.other_team]))
    def agree(query: HoldQuery) -> None:
        assert HoldQuery.of(query.text) == query
        with database.read() as tx:
            found = set(tx.scalars(query.select(below(tx, query.unit_id))))
            known = query_facts(tx, items)
        assert found == {object_id for object_id, facts in known.items() if query.covers(facts)}
        if query.number_prefix is not None:
            wider = replace(query, number_prefix=query.number_prefix[:1])
            assert found <= {object_id for object_id, facts in known.items() if wider.covers(facts)}

    agree()
    scene.home.services.close()
