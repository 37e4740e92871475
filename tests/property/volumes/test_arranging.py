"""Arranging: every paper once, pages without gap, the same order whatever came in first; people's places hold."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.cases.terms import RecordForm, Stage
from archive.ledger.tree import leaf_hash, node_hash
from archive.volumes.arranging import Paper, arrange, sections_of
from archive.volumes.index import VolumeEmpty, lines_root, make_index
from archive.volumes.rules import VolumeKind, VolumeRules

RULES = VolumeRules.load()
START = datetime(2026, 3, 2, tzinfo=UTC)


@st.composite
def papers(draw: st.DrawFn, *, chosen: bool = False) -> list[Paper]:
    """Papers and footage of a case, some of them put somewhere by people."""
    made = []
    for number in range(draw(st.integers(0, 12))):
        is_record = draw(st.booleans())
        made.append(
            Paper(
                object_id=UUID(int=number + 1),
                title=f"paper {number}",
                dated_at=START + timedelta(hours=draw(st.integers(0, 5))),
                form=draw(st.sampled_from(RecordForm)) if is_record else None,
                stage=None if is_record else draw(st.none() | st.sampled_from(Stage)),
                pages=draw(st.none() | st.integers(1, 30)) if is_record else None,
                volume=draw(st.none() | st.sampled_from(VolumeKind)) if chosen else None,
                place=draw(st.none() | st.integers(1, 15)) if chosen else None,
            )
        )
    return made


@given(papers(chosen=True), st.randoms(use_true_random=False))
def test_every_paper_stands_in_one_place_whatever_came_first(found: list[Paper], chance: object) -> None:
    arranged = arrange(found, RULES)
    lines = [line for volume in arranged.values() for line in volume.lines]
    assert sorted(line.paper.object_id for line in lines) == [paper.object_id for paper in found]
    for volume in arranged.values():
        assert [line.number for line in volume.lines] == list(range(1, len(volume.lines) + 1))
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert arrange(shuffled, RULES) == arranged


@given(papers(chosen=True))
def test_pages_run_through_a_volume_without_a_gap(found: list[Paper]) -> None:
    for volume in arrange(found, RULES).values():
        at = 0
        for line in volume.lines:
            if line.paper.pages is None:
                assert line.first_page is None
                assert line.last_page is None
            else:
                assert line.first_page == at + 1
                assert line.last_page == at + line.paper.pages
                at += line.paper.pages
        assert volume.pages == at
        assert {line.paper for line in volume.unpaged} == {
            line.paper for line in volume.lines if line.paper.is_record and line.paper.pages is None
        }


@given(papers())
def test_the_order_is_that_of_the_rules(found: list[Paper]) -> None:
    names = [section.name for section in RULES.sections]
    for volume in arrange(found, RULES).values():
        sections = sections_of(volume.lines)
        assert [names.index(name) for name, _ in sections] == sorted({names.index(name) for name, _ in sections})
        for _, lines in sections:
            kinds = [line.paper.is_record for line in lines if line.paper.form is not None or line.paper.stage]
            assert kinds == sorted(kinds, reverse=True)  # footage stands behind the papers
            for form in RecordForm:
                dates = [line.paper.dated_at for line in lines if line.paper.form is form]
                assert dates == sorted(dates)


@given(papers(), st.integers(1, 20))
def test_a_paper_that_people_put_somewhere_stands_there(found: list[Paper], place: int) -> None:
    moved = Paper(UUID(int=99), "moved", START, form=RecordForm.CLOSING_REPORT, volume=VolumeKind.MAIN, place=place)
    volume = arrange([*found, moved], RULES)[VolumeKind.MAIN]
    assert volume.lines[min(place, len(volume.lines)) - 1].paper is moved


def test_an_index_binds_its_lines_by_a_root_that_others_compute() -> None:
    lines = [{"n": 1, "title": "立案审批表"}, {"n": 2, "title": "询问笔录"}, {"n": 3, "title": "决定书"}]
    leaves = [leaf_hash(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()) for line in lines]
    root = node_hash(node_hash(leaves[0], leaves[1]), leaves[2])
    index = make_index({"case": "昆综执〔2026〕1号"}, lines)
    assert index.root == lines_root(lines) == root
    told = json.loads(index.body)
    assert (told["root"], told["size"], told["v"]) == (root.hex(), 3, 1)
    with pytest.raises(VolumeEmpty):
        make_index({}, [])
