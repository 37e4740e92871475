"""Core protocol: Tus-Resumable in requests and answers."""

import pytest

from tests.conformance.tus.client import CHUNK_TYPE, TusClient, due, refused
from tests.conformance.tus.target import VERSION, comma_list


def assert_version_refused(client: TusClient, method: str, url: str, headers: dict[str, str], body: bytes) -> None:
    answer = client.call(method, url, headers=headers, body=body or None, version="0.0.1")
    due(answer, 412)
    assert VERSION in comma_list(answer.headers.get("Tus-Version", "")), "a 412 answer names no Tus-Version"


def test_creation_in_another_version(client: TusClient) -> None:
    """POST in a version that the server does not speak is refused, and creates nothing.

    Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST: 412 with Tus-Version, not processed).
    """
    client.target.require("creation")
    answer = client.post(client.creation_headers(b"0123456789"), version="0.0.1")
    due(answer, 412)
    assert VERSION in comma_list(answer.headers.get("Tus-Version", "")), "a 412 answer names no Tus-Version"
    assert "Location" not in answer.headers


def test_head_in_another_version(client: TusClient) -> None:
    """HEAD in a version that the server does not speak is refused.

    Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST: 412 with Tus-Version, not processed).
    """
    assert_version_refused(client, "HEAD", client.new(100).url, {}, b"")


def test_patch_in_another_version(client: TusClient) -> None:
    """PATCH in a version that the server does not speak is refused, and the upload stays as it is.

    Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST: 412 with Tus-Version, not processed).
    """
    upload = client.new(100)
    headers = {"Content-Type": CHUNK_TYPE, "Upload-Offset": "0"}
    assert_version_refused(client, "PATCH", upload.url, headers, upload.content)
    client.unchanged(upload, 0)


@pytest.mark.extension("termination")
def test_delete_in_another_version(client: TusClient) -> None:
    """DELETE in a version that the server does not speak is refused, and the upload is still there.

    Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST: 412 with Tus-Version, not processed).
    """
    upload = client.new(100)
    assert_version_refused(client, "DELETE", upload.url, {}, b"")
    client.unchanged(upload, 0)


def test_another_version_is_not_processed(client: TusClient) -> None:
    """Whatever the server answers to a version that it does not speak, it takes no bytes.

    Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST NOT process the request).
    """
    upload = client.new(100)
    headers = {"Content-Type": CHUNK_TYPE, "Upload-Offset": "0"}
    refused(client.call("PATCH", upload.url, headers=headers, body=upload.content, version="0.0.1"))
    client.unchanged(upload, 0)


def test_patch_without_a_version(client: TusClient) -> None:
    """PATCH without Tus-Resumable is refused, and the upload stays as it is.

    Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST be included in every request).
    """
    upload = client.new(100)
    headers = {"Content-Type": CHUNK_TYPE, "Upload-Offset": "0"}
    refused(client.call("PATCH", upload.url, headers=headers, body=upload.content, version=None))
    client.unchanged(upload, 0)


class TestAnswersNameTheVersion:
    """Tus-Resumable stands in every answer, errors too."""

    def test_created(self, client: TusClient) -> None:
        """A 201 names the version. Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST)."""
        assert client.post(client.creation_headers(b"0123456789")).headers.get("Tus-Resumable") == VERSION

    def test_conflict(self, client: TusClient) -> None:
        """A 409 names the version. Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST)."""
        answer = client.patch_with(client.new(100), b"wrong", {"Upload-Offset": "7"})
        assert answer.headers.get("Tus-Resumable") == VERSION

    def test_unknown(self, client: TusClient) -> None:
        """A 404 names the version. Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST)."""
        assert client.head(client.unknown_url()).headers.get("Tus-Resumable") == VERSION

    def test_wrong_content_type(self, client: TusClient) -> None:
        """A refusal of a content type names the version. Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST)."""
        answer = client.patch(client.new(100), 0, headers={"Content-Type": "text/plain"})
        assert answer.headers.get("Tus-Resumable") == VERSION

    def test_wrong_version(self, client: TusClient) -> None:
        """A refusal of a version names the server's. Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST)."""
        answer = client.call("HEAD", client.new(100).url, version="0.0.1")
        assert answer.headers.get("Tus-Resumable") == VERSION

    def test_bad_length(self, client: TusClient) -> None:
        """A refusal of a length names the version. Source: tus 1.0.0, Core Protocol, Tus-Resumable (MUST)."""
        answer = client.post(client.creation_headers(b"", length="many"))
        assert answer.headers.get("Tus-Resumable") == VERSION
