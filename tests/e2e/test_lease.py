"""Replay out of a bucket in a real browser: it goes on when the lease of an address ends, and ends when the grant does."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from sqlalchemy import update

from archive.adapters.s3_client import S3Place
from archive.adapters.s3_store import S3Store
from archive.retrieval.models import Grant
from archive.web.app import create_app
from tests.e2e.browser import until
from tests.e2e.test_live import opened, play
from tests.support import footage, seed
from tests.support.weed import REGION, Weed, start_weed

pytestmark = pytest.mark.e2e

_MEDIA = "document.querySelector('video')"
_LEASE_S = 10


@pytest.fixture
def weed() -> Iterator[Weed]:
    with tempfile.TemporaryDirectory(prefix="liuhen-weed-") as folder:
        started = start_weed(Path(folder) / "data")
        yield started
        started.stop()


def _wait_for_its_end(address: str) -> None:
    until_s = time.monotonic() + 60
    while httpx.get(address, headers={"Range": "bytes=0-0"}, trust_env=False).status_code != 403:
        assert time.monotonic() < until_s
        time.sleep(0.2)


@pytest.mark.long("waits for leases to end")
def test_playing_goes_on_over_leases_and_not_over_the_grant(chromium: Browser, weed: Weed, tmp_path: Path) -> None:
    bureau = seed.new_bureau(tmp_path / "home", find_damage="never")
    dock = seed.new_dock(bureau, "北市区中队采集站")
    # Too long to be held by a browser as a whole.
    recording = footage.make_recording(tmp_path / "long.mp4", seconds=120)
    item = seed.deliver(bureau, dock, recording.read_bytes(), "long.mp4")
    seed.work(bureau)
    (tmp_path / "s3.key").write_text(f"{weed.access_key}\n{weed.secret_key}\n")
    place = S3Place(weed.new_bucket(), endpoint=weed.endpoint, region=REGION, credentials_file=tmp_path / "s3.key")
    store, kept = S3Store(place, is_replaced=lambda _: False), bureau.services.renditions
    for key in list(kept.keys()):
        with kept.open(key) as source:
            store.put_once(key, source)
    given = {"send_bytes": "redirect", "replay_lease_s": _LEASE_S, "public_origin": "http://localhost"}
    settings = bureau.services.settings.model_copy(update=given)
    services = replace(bureau.services, settings=settings, renditions=store)  # type: ignore[arg-type]
    with seed.listening(create_app(services)) as base, opened(chromium, base) as (page, _):
        led: list[str] = []
        page.on("request", lambda asked: led.append(asked.url) if asked.url.startswith(weed.endpoint) else None)
        play(page, base, item)
        until(page, f"{_MEDIA}.currentTime > 0.3", timeout_s=60)
        first = led[-1]
        _wait_for_its_end(first)
        page.evaluate(f"{_MEDIA}.currentTime = 100")
        until(page, f"{_MEDIA}.currentTime > 100.3 && !{_MEDIA}.seeking && !{_MEDIA}.error", timeout_s=60)
        assert led[-1] != first
        assert page.evaluate("document.querySelector('[data-trouble]').hidden")

        with bureau.services.database.begin() as tx:
            ended = bureau.services.clock.now() - timedelta(seconds=1)
            tx.execute(update(Grant).values(expires_at=ended))
        _wait_for_its_end(led[-1])
        page.evaluate(f"{_MEDIA}.currentTime = 50")
        until(page, "!document.querySelector('[data-trouble]').hidden", timeout_s=60)
    store.close()
