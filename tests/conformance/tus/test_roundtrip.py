"""Property: however an upload is cut into requests, the bytes stored are the bytes sent."""

import os
from enum import Enum

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.tus.client import TusClient, due, offset_of
from tests.conformance.tus.target import Target
from tests.conformance.tus.wire import Wire


class Way(Enum):
    """How the next bytes of an upload travel."""

    PLAIN = "one PATCH with a length"
    CHUNKED = "one PATCH in chunks"
    BROKEN = "a PATCH of all the rest, broken off after these bytes"
    MISPLACED = "a PATCH at the wrong offset"


steps = st.lists(st.tuples(st.sampled_from(Way), st.integers(0, 40_000)), min_size=1, max_size=8)


def take(client: TusClient, content: bytes, plan: list[tuple[Way, int]]) -> None:
    """Upload `content` by `plan`, then finish it, and hold the target to the bytes."""
    upload = client.create(content)
    offset = 0
    for way, size_bytes in plan:
        end = min(offset + size_bytes, len(content))
        chunk = content[offset:end]
        match way:
            case Way.PLAIN:
                offset = client.send(upload, offset, len(chunk))
            case Way.CHUNKED:
                pieces = (chunk[at : at + 999] for at in range(0, len(chunk), 999))
                answer = client.patch_with(upload, pieces, {"Upload-Offset": str(offset)})
                due(answer, 204)
                offset = offset_of(answer)
                assert offset == end
            case Way.BROKEN if offset < len(content):
                with Wire(client.target, upload.url) as wire:
                    wire.begin_patch(offset, {"Content-Length": str(len(content) - offset)})
                    wire.send(chunk)
                    wire.reset()
                reached = client.offset(upload)
                assert offset <= reached <= end, f"broken off between {offset} and {end}, HEAD tells {reached}"
                offset = reached
            case Way.MISPLACED:
                due(client.patch_with(upload, chunk, {"Upload-Offset": str(offset + 1)}), 409)
    assert client.offset(upload) == offset
    client.finish(upload)


# No shrinking: a plan is short enough to read, and each attempt at a shorter one costs requests to the target.
@settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(size_bytes=st.integers(1, 100_000), plan=steps)
def test_bytes_stored_are_the_bytes_sent(target: Target, size_bytes: int, plan: list[tuple[Way, int]]) -> None:
    """Any sequence of PATCHes, plain, chunked, broken off or misplaced, ends in the bytes that were sent.

    Source: tus 1.0.0, Core Protocol, PATCH (MUST apply the bytes at the offset, and only there).
    """
    with TusClient(target) as client:
        take(client, os.urandom(size_bytes), plan)
