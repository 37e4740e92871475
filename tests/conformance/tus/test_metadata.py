"""Extension creation: Upload-Metadata."""

import os

import pytest

from tests.conformance.tus.client import TusClient, due
from tests.conformance.tus.target import decode_metadata, encode_metadata

pytestmark = pytest.mark.extension("creation")

HAN = "执法现场全过程录音录像"
SMUGGLED = b"clip.mp4\r\nX-Smuggled: yes\r\n"


def assert_echoed(client: TusClient, extra: str | None) -> None:
    """Create an upload with metadata `extra` (and what the target demands), and compare it with what HEAD tells."""
    headers = client.creation_headers(os.urandom(100), extra_metadata=extra)
    answer = client.post(headers)
    due(answer, 201)
    head = client.head(client.location(answer))
    due(head, 200, 204)
    sent, told = headers.get("Upload-Metadata"), head.headers.get("Upload-Metadata")
    if sent is None:
        assert told is None
    else:
        assert told is not None, "HEAD tells no Upload-Metadata"
        assert decode_metadata(told) == decode_metadata(sent)


@pytest.mark.parametrize(
    "value",
    [
        b"world_domination_plan.pdf",
        HAN.encode(),
        (HAN * 28)[:300].encode(),
        "e\u0301 \U0001f3a5 \u202etxt".encode(),
        b'..\\../etc/passwd, "quoted"; a=b',
        bytes(range(256)),
    ],
    ids=["ascii", "chinese", "300-chinese", "combining-and-emoji", "path", "binary"],
)
def test_value_comes_back(client: TusClient, value: bytes) -> None:
    """HEAD tells the value of a metadata key as the client gave it, whatever its bytes.

    Source: tus 1.0.0, Creation, POST (MUST: HEAD includes Upload-Metadata as specified by the client) and
    Upload-Metadata (values can be arbitrary binary).
    """
    assert_echoed(client, encode_metadata({"filename": value}))


def test_several_keys(client: TusClient) -> None:
    """Each key comes back with its own value.

    Source: tus 1.0.0, Creation, Upload-Metadata (one or more comma-separated pairs).
    """
    pairs = {"filename": HAN.encode(), "filetype": b"video/mp4", "case-no.": b"2024-0117"}
    assert_echoed(client, encode_metadata(pairs))


@pytest.mark.parametrize("header", ["is_confidential", "is_confidential "], ids=["no-space", "space"])
def test_key_without_value(client: TusClient, header: str) -> None:
    """A key may stand without a value, with or without its space.

    Source: tus 1.0.0, Creation, Upload-Metadata (the value MAY be empty, the space MAY be left out).
    """
    # A further pair stands behind, since HTTP strips a space at the end of a header.
    assert_echoed(client, f"{header},filename YQ==")


def test_upload_without_metadata(client: TusClient) -> None:
    """HEAD of an upload without metadata tells no metadata of the client's.

    Source: tus 1.0.0, Creation, Upload-Metadata (MUST consist of one or more pairs).
    """
    assert_echoed(client, None)


@pytest.mark.parametrize(
    "header",
    [
        "filename not!base64",
        "filename YWJj-_8=",
        "filename YQ",
        "filename YQ== YQ==",
        "filename YQ==,filename Yg==",
        ",filename YQ==",
        "filename YQ==,,filetype Yg==",
    ],
    ids=["not-base64", "url-alphabet", "no-padding", "three-parts", "key-twice", "no-key", "empty-pair"],
)
def test_malformed(client: TusClient, header: str) -> None:
    """POST with metadata that breaks the syntax is a bad request and creates nothing.

    Source: tus 1.0.0, Creation, Upload-Metadata (MUST: pairs, non-empty unique keys, Base64 values).
    """
    answer = client.post(client.creation_headers(os.urandom(100), extra_metadata=header))
    due(answer, 400)
    assert "Location" not in answer.headers


def test_value_never_becomes_a_header(client: TusClient) -> None:
    """A value with line breaks adds no header to any answer: it is refused, or told encoded.

    Source: tus 1.0.0, Creation, Upload-Metadata (SHOULD validate or sanitize, to avoid header smuggling).
    """
    extra = encode_metadata({"filename": SMUGGLED})
    answer = client.post(client.creation_headers(os.urandom(100), extra_metadata=extra))
    due(answer, 201, 400)
    assert "X-Smuggled" not in answer.headers
    if answer.status_code == 201:
        head = client.head(client.location(answer))
        due(head, 200, 204)
        assert "X-Smuggled" not in head.headers
        assert decode_metadata(head.headers["Upload-Metadata"])["filename"] == SMUGGLED
