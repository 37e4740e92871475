"""The suite against the official Node server: it differs where the list says, and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.tus.runner import HERE, run_suite
from tests.conformance.tus.target import read_differences
from tests.support.tus_peer import NodePeer, node_peer

DIFFERENCES = HERE / "peer_differences.toml"
MAX_SIZE_BYTES = 1 << 30


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[NodePeer]:
    with node_peer(tmp_path / "store", max_size_bytes=MAX_SIZE_BYTES, expire_after_s=86_400) as running:
        yield running


@pytest.mark.long("the suite against others")
def test_differs_as_listed(peer: NodePeer) -> None:
    outcome = run_suite(
        peer.url,
        differences=DIFFERENCES,
        read_back="tests.conformance.tus.node_store:read_back",
        environment={"TUS_NODE_STORE": str(peer.directory)},
    )
    outcome.assert_conforms()
    assert {test.partition("[")[0] for test in outcome.differed} == {
        difference.test.partition("[")[0] for difference in read_differences(DIFFERENCES)
    }
    assert set(outcome.skipped.values()) == {
        "the target does not announce the checksum extension",
        "the target announces creation-defer-length",
        "uploads of the target live longer than the 10 s that the suite waits",
    }


def test_forgets_expired_uploads(tmp_path: Path) -> None:
    test = "test_expiration.py::test_upload_is_gone_afterwards"
    with node_peer(tmp_path / "store", expire_after_s=2) as peer:
        assert run_suite(peer.url, tests=[test]).passed == {test}
