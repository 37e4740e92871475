"""Extension expiration: Upload-Expires."""

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.conformance.tus.client import TusClient, due

pytestmark = pytest.mark.extension("expiration")

IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)
WAIT_S = 10


def expiry(answer: httpx.Response) -> datetime:
    """Read Upload-Expires, which must be there and in the preferred form of HTTP dates."""
    value = answer.headers.get("Upload-Expires")
    assert value is not None, f"the answer to {answer.request.method} has no Upload-Expires"
    assert IMF_FIXDATE.fullmatch(value), f"Upload-Expires is {value!r}"
    return parsedate_to_datetime(value)


def test_patch_tells_it(client: TusClient) -> None:
    """PATCH tells when the unfinished upload expires, as an HTTP date that is to come.

    Source: tus 1.0.0, Expiration, Upload-Expires (MUST be in every PATCH response; RFC 9110 section 5.6.7).
    """
    answer = client.patch(client.new(100), 0, 40)
    due(answer, 204)
    assert expiry(answer) > datetime.now(UTC)


def test_creation_tells_it(client: TusClient) -> None:
    """POST tells when the unfinished upload expires, as an HTTP date that is to come.

    Source: tus 1.0.0, Expiration, Upload-Expires (MUST, if the expiration is known at the creation).
    """
    answer = client.post(client.creation_headers(b"0123456789"))
    due(answer, 201)
    assert expiry(answer) > datetime.now(UTC)


def test_upload_is_gone_afterwards(client: TusClient) -> None:
    """An upload that has expired can neither be asked for nor resumed.

    Source: tus 1.0.0, Expiration, Upload-Expires (SHOULD: 404 or 410).
    """
    upload = client.new(100)
    answer = client.patch(upload, 0, 40)
    due(answer, 204)
    left_s = (expiry(answer) - datetime.now(UTC)).total_seconds()
    if left_s > WAIT_S:
        pytest.skip(f"uploads of the target live longer than the {WAIT_S} s that the suite waits")
    time.sleep(max(0, left_s) + 2)
    due(client.head(upload.url), 404, 410)
    due(client.patch(upload, 40), 404, 410)
