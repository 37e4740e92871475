"""The official Node tus server and client, as programs that tests and benchmarks run beside ours.

Here: finding Node, installing the locked packages once, starting the server, running the client. Not here: what the
protocol demands (`tests.conformance.tus`) and how fast anything is (`tests.bench`).
"""

from tests.support.tus_peer.client import JsUpload, js_client_upload
from tests.support.tus_peer.install import PeerUnavailable
from tests.support.tus_peer.server import NodePeer, node_peer

__all__ = ["JsUpload", "NodePeer", "PeerUnavailable", "js_client_upload", "node_peer"]
