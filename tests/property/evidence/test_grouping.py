"""Whatever arrives in whatever order: the recordings in the catalogue are those of the pure rule over all files."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, select

from archive.custody.models import CustodyEvent, PreservedObject
from archive.db.database import Database
from archive.db.migrate import migrate
from archive.evidence.grouping import (
    Ground,
    Placed,
    RecordingRules,
    Take,
    as_instant,
    as_ms,
    device_key,
    grouped,
    take_of,
)
from archive.evidence.models import Clip, EvidenceItem, Recording
from archive.evidence.regrouping import group_item
from archive.fsck.recordings import check_recordings
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId, new_uuid7

RULES = replace(RecordingRules.load(), most_chapter_gap_ms=30_000)
START_MS = as_ms(datetime(2026, 3, 2, 1, 30, tzinfo=UTC))
_names = itertools.count()


@st.composite
def takes(draw: st.DrawFn, *, most: int = 12) -> list[Take]:
    """Files of one device, close together so that they touch, rival and contradict each other."""
    found = []
    for number in range(draw(st.integers(1, most))):
        series = draw(st.sampled_from([None, None, "a", "b"]))
        found.append(
            Take(
                object_id=UUID(int=number),
                sha512=f"{draw(st.integers(0, 2**32)):032x}{number:08x}",
                stated_ms=START_MS + 500 * draw(st.integers(0, 240)),
                duration_ms=draw(st.one_of(st.none(), st.integers(0, 60).map(lambda length: 500 * length))),
                series=series,
                sequence=draw(st.one_of(st.none(), st.integers(1, 6))) if series is None else draw(st.integers(1, 6)),
            )
        )
    return found


def shape(recordings: Sequence[Sequence[Placed]]) -> set[tuple[tuple[UUID, int, int | None], ...]]:
    return {
        tuple((clip.take.object_id, clip.starts_ms, clip.gap_before_ms) for clip in recording)
        for recording in recordings
    }


@given(takes(), st.randoms(use_true_random=False), st.sampled_from(Ground))
def test_the_order_of_the_files_has_no_effect(found: list[Take], chance: object, ground: Ground) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert shape(grouped(found, ground=ground, rules=RULES)) == shape(grouped(shuffled, ground=ground, rules=RULES))


@given(takes(), st.sampled_from(Ground))
def test_every_file_has_one_place_and_clips_do_not_go_back(found: list[Take], ground: Ground) -> None:
    recordings = grouped(found, ground=ground, rules=RULES)
    placed = [clip.take.object_id for recording in recordings for clip in recording]
    assert sorted(placed) == sorted(take.object_id for take in found)
    for recording in recordings:
        assert recording[0].gap_before_ms is None
        for before, clip in itertools.pairwise(recording):
            assert before.starts_ms <= clip.starts_ms
            assert clip.gap_before_ms in {None, clip.starts_ms - before.ends_ms}
            same = before.take.series is not None and before.take.series == clip.take.series
            if same and (clip.take.sequence or 0) > (before.take.sequence or 0):
                continue
            # No number holds them together, so it is their times.
            assert abs(clip.starts_ms - before.ends_ms) <= RULES.tolerance_ms


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = Database(f"sqlite+pysqlite:///{tmp_path_factory.mktemp('grouping') / 'db.sqlite3'}")
    # Hundreds of small transactions, none of which has to outlive the machine.
    event.listen(made.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    migrate(made)
    yield made
    made.close()


def add_items(database: Database, found: Sequence[Take], ground: Ground) -> list[ObjectId]:
    """Write these files down as items of a device that no other example has."""
    name, dock_id = f"device {next(_names)}", new_uuid7()
    ids = []
    with database.begin() as tx:
        for take in found:
            object_id = ObjectId(new_uuid7())
            start = as_instant(take.stated_ms)
            tx.execute(
                insert(PreservedObject).values(
                    id=object_id, kind="item", name="a.mp4", content_path="x", media_type="video/mp4", size_bytes=1,
                    sha256="0", sha512=take.sha512, preserved_at=start,
                )
            )  # fmt: skip
            tx.execute(
                insert(EvidenceItem).values(
                    object_id=object_id, sha512=f"{dock_id}{take.sha512}", kind="footage", dock_id=dock_id,
                    device_serial=name if ground is Ground.SERIAL else None, source_kind="body_worn",
                    channel="F" if ground is Ground.CHANNEL else None, series=take.series, sequence=take.sequence,
                    recorded_at=start + timedelta(milliseconds=700), recorded_from="name", clock_offset_ms=700,
                    received_at=start, duration_ms=take.duration_ms, play_state="playable",
                )
            )  # fmt: skip
            ids.append(object_id)
    return ids


def grouped_rows(database: Database, ids: Sequence[ObjectId]) -> set[tuple[tuple[UUID, int, int | None], ...]]:
    with database.read() as tx:
        clips = tx.scalars(select(Clip).where(Clip.object_id.in_(ids)).order_by(Clip.recording_id, Clip.position)).all()
        kept = set(tx.scalars(select(Recording.id).where(Recording.id.in_({clip.recording_id for clip in clips}))))
    assert {clip.recording_id for clip in clips} == kept
    rows = []
    for _, group in itertools.groupby(clips, key=lambda clip: clip.recording_id):
        members = list(group)
        assert [clip.position for clip in members] == list(range(1, len(members) + 1))
        rows.append(tuple((clip.object_id, as_ms(clip.starts_at), clip.gap_before_ms) for clip in members))
    return set(rows)


@settings(max_examples=60)
@given(takes(most=8), st.randoms(use_true_random=False), st.sampled_from(Ground))
def test_the_order_of_arrival_has_no_effect(
    database: Database, found: list[Take], chance: object, ground: Ground
) -> None:
    ids = add_items(database, found, ground)
    with database.read() as tx:
        items = [tx.get_one(EvidenceItem, object_id) for object_id in ids]
    keys = {device_key(item, rules=RULES) for item in items}
    assert len(keys) == 1
    expected = shape(grouped([take for item in items if (take := take_of(item))], ground=ground, rules=RULES))
    order = list(ids)
    chance.shuffle(order)  # type: ignore[attr-defined]
    for object_id in order:
        with database.begin() as tx:
            group_item(tx, object_id, rules=RULES, at=datetime.now(UTC))
    assert grouped_rows(database, ids) == expected
    for object_id in ids:
        with database.begin() as tx:
            assert not group_item(tx, object_id, rules=RULES, at=datetime.now(UTC)), "once more changes nothing"


def test_every_change_of_the_examples_above_is_on_record(database: Database) -> None:
    found = [
        Take(UUID(int=number), f"{number:032x}", START_MS + 10_000 * number, 10_000, None, None) for number in range(4)
    ]
    ids = add_items(database, found, Ground.SERIAL)
    for object_id in (ids[0], ids[3], ids[1], ids[2]):
        with database.begin() as tx:
            group_item(tx, object_id, rules=RULES, at=datetime.now(UTC))
    with database.read() as tx:
        events = tx.scalars(select(CustodyEvent.object_id).where(CustodyEvent.object_id.in_(ids))).all()
        faults = [finding for finding in check_recordings(tx.connection()) if finding.outcome is not Outcome.VALID]
    # The last one joined two recordings: that which is younger ends in the older one.
    assert sorted(events) == sorted([*ids, ids[3]])
    assert faults == []
