"""The page of a recording: its clips, what is missing between them, and one grant for all."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from archive.access.policy import Role
from archive.evidence.recordings import RecordingView, recording_of
from archive.kernel.ids import ObjectId
from archive.retrieval.models import Grant
from archive.web.app import create_app
from tests.integration.web.conftest import HTMX, signed_in, words
from tests.support import footage, hostile, seed
from tests.support.seed import Bureau

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DEVICE = {"source": "body_worn", "officer": "012345", "channel": "F", "series": "20260302093000"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """Four clips of one recording: the second follows, the fourth comes later and cannot be played, the third lacks."""
    folder = tmp_path_factory.mktemp("recording")
    bureau = seed.new_bureau(folder / "home")
    dock = seed.new_dock(bureau, "采集站")
    clip = footage.make_clip(folder / "clip.mp4", seconds=1, size=(160, 120))
    broken = hostile.without_index(clip, folder / "broken.mp4").read_bytes()
    for number, after_s, data in ((1, 0, clip.read_bytes()), (2, 1, clip.read_bytes() + b"\0"), (4, 91, broken)):
        bureau.items[str(number)] = seed.deliver(
            bureau, dock, data, f"DSJ-1_{number}.mp4", device="DSJ-1", source={**DEVICE, "sequence": number},
            recorded_at=START + timedelta(seconds=after_s), clock_offset_ms=0,
        )  # fmt: skip
    bureau.items["alone"] = seed.deliver(
        bureau, dock, clip.read_bytes() + b"alone", "alone.mp4", device="DSJ-2", recorded_at=START
    )
    seed.work(bureau)
    seed.sequence(bureau)
    yield bureau
    bureau.services.close()


@pytest.fixture(scope="module")
def address(scene: Bureau) -> Iterator[str]:
    with seed.listening(create_app(scene.services)) as base:
        yield base


@pytest.fixture
def supervisor(address: str) -> Iterator[httpx.Client]:
    with closing(signed_in(address, Role.SUPERVISOR)) as client:
        yield client


def recording(scene: Bureau, name: str = "1") -> RecordingView:
    with scene.services.database.read() as tx:
        view = recording_of(tx, ObjectId(scene.items[name]))
    assert view is not None
    return view


def test_the_page_shows_every_clip_and_what_lies_between(supervisor: httpx.Client, scene: Bureau) -> None:
    view = recording(scene)
    page = supervisor.get(f"/recordings/{view.recording.id}")
    assert page.status_code == 200
    said = words(page)
    assert [said.index(f"DSJ-1_{number}.mp4") for number in (1, 2, 4)] == sorted(
        said.index(f"DSJ-1_{number}.mp4") for number in (1, 2, 4)
    )
    for part in (
        "执法记录仪",
        "012345",
        "2026-03-02 09:30:00",
        "中断 1:29；按文件编号，此处缺少 1 段",
        "3 段",
        "1 处中断",
    ):
        assert part in said
    assert page.text.count("<rect ") == 3
    assert page.text.count("axis-mute") == 1
    english = words(supervisor.get(f"/recordings/{view.recording.id}", headers={"Accept-Language": "en"}))
    assert "Gap of 1:29" in english
    assert "1 clip is missing here, by the numbers of the files" in english
    assert supervisor.get(f"/recordings/{uuid4()}").status_code == 404
    assert supervisor.get("/recordings/x").status_code == 404


def test_an_item_shows_its_place_and_leads_to_its_neighbours(supervisor: httpx.Client, scene: Bureau) -> None:
    page = supervisor.get(f"/items/{scene.items['2']}")
    said = words(page)
    for part in ("第 2 段，共 3 段", "1 处中断", "执法记录仪", "警号/工号 012345", "采集站所报"):
        assert part in said
    assert f'rel="prev" href="/items/{scene.items["1"]}"' in page.text
    assert f'rel="next" href="/items/{scene.items["4"]}"' in page.text
    assert f'href="/recordings/{recording(scene).recording.id}"' in page.text
    alone = supervisor.get(f"/items/{scene.items['alone']}")
    assert "/recordings/" not in alone.text, "a recording of one clip is its item"
    assert supervisor.get(f"/recordings/{recording(scene, 'alone').recording.id}").status_code == 200


def test_one_purpose_grants_each_clip_that_can_be_played(supervisor: httpx.Client, scene: Bureau) -> None:
    view = recording(scene)
    path = f"/recordings/{view.recording.id}/play"
    refused = supervisor.post(path, data={"purpose": " ", "reference": "任务 1"})
    assert refused.status_code == 422
    with scene.services.database.read() as tx:
        assert tx.scalars(select(Grant)).all() == []
    part = supervisor.post(path, data={"purpose": "案卷评查", "reference": "任务 1"}, headers=HTMX)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert part.text.count("data-clip=") == 2
    assert "无法播放的片段会跳过" in words(part)
    with scene.services.database.read() as tx:
        grants = tx.scalars(select(Grant)).all()
    assert {grant.object_id for grant in grants} == {scene.items["1"], scene.items["2"]}
    assert {(grant.kind, grant.purpose) for grant in grants} == {("view", "案卷评查")}
    for grant in grants:
        assert supervisor.get(f"/content/{grant.id}/playable", headers={"Range": "bytes=0-9"}).status_code == 206
    whole = supervisor.post(path, data={"purpose": "案卷评查", "reference": "任务 1"})
    assert "<html" in whole.text
    assert whole.text.count("data-clip=") == 2
    trail = words(supervisor.get(f"/items/{scene.items['1']}"))
    assert trail.count("调阅查看") == 2


def test_who_may_not_see_content_sees_the_clips_and_no_player(address: str, scene: Bureau) -> None:
    view = recording(scene)
    with closing(signed_in(address, Role.AUDITOR)) as auditor:
        page = auditor.get(f"/recordings/{view.recording.id}")
        assert "DSJ-1_1.mp4" in page.text
        assert "/play" not in page.text
        assert (
            auditor.post(
                f"/recordings/{view.recording.id}/play", data={"purpose": "x", "reference": "任务 1"}
            ).status_code
            == 403
        )
