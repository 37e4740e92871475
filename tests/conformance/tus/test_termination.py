"""Extension termination: DELETE."""

import pytest

from tests.conformance.tus.client import TusClient, Upload, due
from tests.conformance.tus.wire import Wire, stalled_patch

pytestmark = pytest.mark.extension("termination")


def assert_gone(client: TusClient, upload: Upload) -> None:
    answer = client.head(upload.url)
    due(answer, 404, 410)
    assert "Upload-Offset" not in answer.headers
    due(client.patch(upload, 0), 404, 410)
    due(client.call("DELETE", upload.url), 404, 410)


@pytest.mark.parametrize("sent_bytes", [0, 40], ids=["new", "begun"])
def test_unfinished_upload(client: TusClient, sent_bytes: int) -> None:
    """DELETE of an unfinished upload answers 204, and from then on the upload is gone.

    Source: tus 1.0.0, Termination, DELETE (MUST: 204; SHOULD: 404 or 410 afterwards).
    """
    upload = client.new(100)
    if sent_bytes:
        client.send(upload, 0, sent_bytes)
    due(client.call("DELETE", upload.url), 204)
    assert_gone(client, upload)


def test_finished_upload(client: TusClient) -> None:
    """DELETE of a finished upload answers 204, and from then on the upload is gone.

    Source: tus 1.0.0, Termination (a way to terminate completed and unfinished uploads).
    """
    upload = client.new(100)
    client.send(upload, 0)
    due(client.call("DELETE", upload.url), 204)
    assert_gone(client, upload)


def test_unknown_upload(client: TusClient) -> None:
    """DELETE of an upload that is not there says so.

    Source: tus 1.0.0, Termination, DELETE (SHOULD: 404 or 410).
    """
    due(client.call("DELETE", client.unknown_url()), 404, 410)


def test_other_uploads_stay(client: TusClient) -> None:
    """DELETE of one upload leaves another one of the same bytes as it is.

    Source: tus 1.0.0, Termination, DELETE (frees the resources of this upload).
    """
    doomed = client.new(100)
    other = client.create(doomed.content)
    client.send(doomed, 0, 40)
    client.send(other, 0, 40)
    due(client.call("DELETE", doomed.url), 204)
    client.unchanged(other, 40)


def test_upload_in_flight(client: TusClient) -> None:
    """DELETE ends an upload whose client has stalled in the middle of a PATCH.

    Source: tus 1.0.0, Termination, DELETE (MUST: 204; beyond the letter: in spite of a half-open connection).
    """
    upload = client.new(200_000)
    with Wire(client.target, upload.url) as stalled:
        stalled_patch(stalled, upload, sent_bytes=100_000)
        due(client.call("DELETE", upload.url), 204)
        assert_gone(client, upload)
        stalled.send(upload.content[100_000:])
        stalled.settle()
    assert_gone(client, upload)
