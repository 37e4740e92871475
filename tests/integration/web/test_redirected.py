"""Replay out of a bucket: each request is led there for a short lease, and the grant is asked each time."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import update

from archive.access.policy import Role
from archive.adapters.s3_client import S3Place
from archive.adapters.s3_store import S3Store
from archive.doctor import replay_from_bucket
from archive.kernel.findings import Outcome
from archive.kernel.ids import GrantId
from archive.retrieval.models import Grant
from archive.settings import SettingsInvalid
from archive.web.app import create_app
from archive.wiring import Services
from tests.integration.web.conftest import signed_in
from tests.integration.web.test_content import _play, _rendition
from tests.support import seed
from tests.support.seed import Bureau
from tests.support.weed import REGION, Weed, start_weed

ORIGIN = "https://archive.example"
LEASE_S = 30


@pytest.fixture(scope="module")
def weed() -> Iterator[Weed]:
    with tempfile.TemporaryDirectory(prefix="liuhen-weed-") as folder:
        started = start_weed(Path(folder) / "data")
        yield started
        started.stop()


@pytest.fixture(scope="module")
def redirecting(bureau: Bureau, weed: Weed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The bureau with its renditions in a bucket."""
    credentials = tmp_path_factory.mktemp("key") / "s3.key"
    credentials.write_text(f"{weed.access_key}\n{weed.secret_key}\n")
    place = S3Place(weed.new_bucket(), endpoint=weed.endpoint, region=REGION, credentials_file=credentials)
    store = S3Store(place, is_replaced=lambda _: False)
    for key in list(bureau.services.renditions.keys()):
        with bureau.services.renditions.open(key) as source:
            store.put_once(key, source)
    given = {"send_bytes": "redirect", "replay_lease_s": LEASE_S, "public_origin": ORIGIN}
    settings = bureau.services.settings.model_copy(update=given)
    yield replace(bureau.services, settings=settings, renditions=store)  # type: ignore[arg-type]
    store.close()


@pytest.fixture(scope="module")
def viewer(redirecting: Services) -> Iterator[httpx.Client]:
    with seed.listening(create_app(redirecting)) as base, closing(signed_in(base, Role.SUPERVISOR)) as client:
        yield client


def test_each_request_is_led_to_the_bucket_anew(viewer: httpx.Client, bureau: Bureau, weed: Weed) -> None:
    item = bureau.items["video"]
    data, under = _rendition(bureau, item, "playable"), _play(viewer, item)
    led = viewer.get(f"{under}/playable", headers={"Range": "bytes=5-99"})
    assert (led.status_code, led.headers["cache-control"]) == (307, "no-store")
    address = urlsplit(led.headers["location"])
    assert f"{address.scheme}://{address.netloc}" == weed.endpoint
    assert parse_qs(address.query)["X-Amz-Expires"] == [str(LEASE_S)]
    found = httpx.get(led.headers["location"], headers={"Range": "bytes=5-99"}, trust_env=False)
    assert (found.status_code, found.content, found.headers["content-type"]) == (206, data[5:100], "video/mp4")
    assert "liuhen_session" not in str(led.headers)
    head = viewer.head(f"{under}/playable")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))
    poster = viewer.get(f"{under}/poster")
    assert (poster.status_code, poster.content) == (200, _rendition(bureau, item, "poster"))

    with bureau.services.database.begin() as tx:
        ended = bureau.services.clock.now() - timedelta(seconds=1)
        grant_id = GrantId(seed.UUID(under.rpartition("/")[2]))
        tx.execute(update(Grant).where(Grant.id == grant_id).values(expires_at=ended))
    assert viewer.get(f"{under}/playable").status_code == 404


def test_pages_may_fetch_media_from_that_bucket_and_nothing_else(viewer: httpx.Client, weed: Weed) -> None:
    policy = dict(part.strip().split(" ", 1) for part in viewer.get("/").headers["content-security-policy"].split(";"))
    assert policy["media-src"] == f"'self' blob: {weed.endpoint}"
    assert policy["connect-src"] == f"'self' {weed.endpoint}"
    assert weed.endpoint not in policy["script-src"] + policy["img-src"] + policy["default-src"]


def test_the_doctor_asks_the_bucket(redirecting: Services, weed: Weed) -> None:
    def outcome() -> Outcome:
        return replay_from_bucket(redirecting)[0].outcome

    bucket = redirecting.renditions._place.bucket  # type: ignore[attr-defined]
    # Without rules this server lets everybody.
    for origin, found in (("https://other.example", Outcome.INVALID), (ORIGIN, Outcome.VALID)):
        rule = {"AllowedOrigins": [origin], "AllowedMethods": ["GET", "HEAD"], "AllowedHeaders": ["range"]}
        weed.client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
        assert outcome() is found


def test_a_folder_cannot_be_led_to(bureau: Bureau) -> None:
    settings = bureau.services.settings.model_copy(update={"send_bytes": "redirect"})
    with pytest.raises(SettingsInvalid):
        create_app(replace(bureau.services, settings=settings))
