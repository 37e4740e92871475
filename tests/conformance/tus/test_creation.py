"""Extension creation: POST, Location, Upload-Length, Tus-Max-Size."""

import pytest

from tests.conformance.tus.client import TusClient, due

pytestmark = pytest.mark.extension("creation")


def test_creates_an_upload(client: TusClient) -> None:
    """POST answers 201 with the URL of an upload that is there and empty.

    Source: tus 1.0.0, Creation, POST (MUST: 201 and Location, absolute or relative).
    """
    answer = client.post(client.creation_headers(b"0123456789"))
    due(answer, 201)
    head = client.head(client.location(answer))
    due(head, 200, 204)
    assert head.headers.get("Upload-Offset") == "0"
    assert head.headers.get("Upload-Length") == "10"


def test_location_stays_with_the_server(client: TusClient) -> None:
    """Location leads to the scheme and host that the client asked, so that its credentials go nowhere else.

    Source: tus 1.0.0, Creation, POST (Location is the URL of the created resource; beyond the letter: same origin).
    """
    answer = client.post(client.creation_headers(b"0123456789"))
    due(answer, 201)
    asked, given = answer.request.url, answer.request.url.join(answer.headers["Location"])
    assert (given.scheme, given.netloc) == (asked.scheme, asked.netloc)


def test_each_creation_is_a_new_upload(client: TusClient) -> None:
    """Two POSTs make two uploads that do not know each other, even for the same bytes.

    Source: tus 1.0.0, Creation, POST (requests a new upload resource).
    """
    first = client.new(100)
    second = client.create(first.content)
    assert first.url != second.url
    client.send(first, 0, 40)
    assert client.offset(second) == 0


def test_without_length(client: TusClient) -> None:
    """POST with neither Upload-Length nor Upload-Defer-Length is a bad request.

    Source: tus 1.0.0, Creation, POST (MUST include one of them).
    """
    headers = client.creation_headers(b"0123456789")
    del headers["Upload-Length"]
    answer = client.post(headers)
    due(answer, 400)
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "length",
    ["-1", "ten", "10.0", "", "0x0a", "1e1", "10, 10", "٣"],
    ids=["negative", "letters", "fraction", "empty", "hexadecimal", "exponent", "list", "arabic-digit"],
)
def test_length_that_is_no_number(client: TusClient, length: str) -> None:
    """POST with an Upload-Length that is not a non-negative integer is a bad request.

    Source: tus 1.0.0, Core Protocol, Upload-Length (MUST be a non-negative integer).
    """
    headers = {**client.creation_headers(b"0123456789"), "Upload-Length": length.encode().decode("latin-1")}
    answer = client.post(headers)
    due(answer, 400)
    assert "Location" not in answer.headers


def test_length_beyond_all_storage(client: TusClient) -> None:
    """POST with a length of 30 digits is refused, as malformed or as too large.

    Source: tus 1.0.0, Creation, POST (MUST: 413 beyond the maximum).
    """
    due(client.post(client.creation_headers(b"", length="9" * 30)), 400, 413)


def test_length_above_the_maximum(client: TusClient) -> None:
    """POST with one byte more than Tus-Max-Size is refused as too large.

    Source: tus 1.0.0, Creation, POST (MUST: 413).
    """
    maximum = client.target.capabilities.max_size_bytes
    if maximum is None:
        pytest.skip("the target announces no Tus-Max-Size")
    answer = client.post(client.creation_headers(b"", length=str(maximum + 1)))
    due(answer, 413)
    assert "Location" not in answer.headers


def test_empty_upload(client: TusClient) -> None:
    """POST with Upload-Length 0 makes an upload that is finished.

    Source: tus 1.0.0, Core Protocol, Upload-Length (any non-negative integer); HEAD (offset even if completed).
    """
    client.holds(client.create(b""))


def test_deferred_length_where_it_is_not_offered(client: TusClient) -> None:
    """POST with Upload-Defer-Length is refused by a server that does not announce it.

    Source: tus 1.0.0, Creation, POST (a server that supports it MUST announce it).
    """
    if "creation-defer-length" in client.target.capabilities.extensions:
        pytest.skip("the target announces creation-defer-length")
    headers = client.creation_headers(b"0123456789")
    del headers["Upload-Length"]
    assert client.post({**headers, "Upload-Defer-Length": "1"}).status_code >= 400
