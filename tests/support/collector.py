"""A collector of traces on a port of its own: takes OTLP over HTTP and keeps the spans."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Span:
    """One span: its trace, what it is called, and every text that is in it."""

    trace: str
    name: str
    attributes: dict[str, str]


@dataclass
class Collector:
    """What came. `raw` are the bodies as they were."""

    port: int = 0
    raw: list[bytes] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def spans(self) -> list[Span]:
        found = []
        for body in list(self.raw):
            request = ExportTraceServiceRequest.FromString(body)
            for of_resource in request.resource_spans:
                for of_scope in of_resource.scope_spans:
                    for span in of_scope.spans:
                        attributes = {one.key: str(one.value) for one in span.attributes}
                        found.append(Span(span.trace_id.hex(), span.name, attributes))
        return found


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector for a block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.raw.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.port = server.server_address[1]
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield collector
        server.shutdown()
        serving.join()
