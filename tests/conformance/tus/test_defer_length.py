"""Extension creation-defer-length: the length comes later."""

import os

import pytest

from tests.conformance.tus.client import TusClient, Upload, due, refused

pytestmark = pytest.mark.extension("creation-defer-length")


def deferred(client: TusClient, content: bytes) -> Upload:
    headers = client.creation_headers(content)
    del headers["Upload-Length"]
    answer = client.post({**headers, "Upload-Defer-Length": "1"})
    due(answer, 201)
    return Upload(client.location(answer), content)


def test_head_says_that_the_length_is_not_known(client: TusClient) -> None:
    """HEAD tells Upload-Defer-Length and no length, until the length is known.

    Source: tus 1.0.0, Creation, POST (MUST set Upload-Defer-Length: 1 in all responses to HEAD).
    """
    answer = client.head(deferred(client, b"0123456789").url)
    due(answer, 200, 204)
    assert answer.headers.get("Upload-Defer-Length") == "1"
    assert "Upload-Length" not in answer.headers


def test_length_comes_with_a_patch(client: TusClient) -> None:
    """A PATCH sets the length, and from then on HEAD tells it.

    Source: tus 1.0.0, Creation, POST (the client MUST set Upload-Length in the next PATCH once it is known).
    """
    upload = deferred(client, os.urandom(100))
    client.send(upload, 0, 40)
    due(client.patch(upload, 40, 60, headers={"Upload-Length": "100"}), 204)
    answer = client.head(upload.url)
    assert answer.headers.get("Upload-Length") == "100"
    assert "Upload-Defer-Length" not in answer.headers
    client.holds(upload)


def test_length_is_set_once(client: TusClient) -> None:
    """A PATCH that would change a known length is refused without effect.

    Source: tus 1.0.0, Creation, POST (once set the length MUST NOT be changed).
    """
    upload = deferred(client, os.urandom(100))
    due(client.patch(upload, 0, 40, headers={"Upload-Length": "100"}), 204)
    refused(client.patch(upload, 40, 20, headers={"Upload-Length": "60"}))
    client.unchanged(upload, 40)


def test_length_below_the_offset(client: TusClient) -> None:
    """A PATCH that sets a length below what is already there is refused.

    Source: tus 1.0.0, Core Protocol, Upload-Length (the size of the entire upload).
    """
    upload = deferred(client, os.urandom(100))
    client.send(upload, 0, 40)
    refused(client.patch(upload, 40, 0, headers={"Upload-Length": "20"}))
    assert client.offset(upload) == 40


@pytest.mark.parametrize("value", ["0", "2", "yes", ""], ids=["zero", "two", "word", "empty"])
def test_other_value(client: TusClient, value: str) -> None:
    """POST with an Upload-Defer-Length other than 1 is a bad request.

    Source: tus 1.0.0, Creation, POST (should: 400).
    """
    headers = client.creation_headers(b"0123456789")
    del headers["Upload-Length"]
    due(client.post({**headers, "Upload-Defer-Length": value}), 400)


def test_both_lengths(client: TusClient) -> None:
    """POST with Upload-Length and Upload-Defer-Length contradicts itself and is refused.

    Source: tus 1.0.0, Creation, POST (MUST include one of them); Upload-Defer-Length (else MUST be omitted).
    """
    headers = {**client.creation_headers(b"0123456789"), "Upload-Defer-Length": "1"}
    refused(client.post(headers))
