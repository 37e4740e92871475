"""Traces, where the settings name a place for them and the extra `liuhen[otel]` is installed; else nothing is imported.

No personal data goes out: of what the instrumentations write only attributes of a closed list leave the process. SQL is
told with placeholders, addresses by their template; no query string, header, body, caller, key, or message of an error.
A job carries the trace of the change that added it (`traceparent`), so that the trace survives the queue.

Source: OpenTelemetry specification; W3C Trace Context level 1.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from archive.kernel.errors import LiuhenError

_TOLD: Final = frozenset(
    {
        "http.method", "http.request.method", "http.route", "http.status_code", "http.response.status_code",
        "http.scheme", "url.scheme", "http.flavor", "network.protocol.version", "error.type", "exception.type",
        "db.system", "db.system.name", "db.statement", "db.query.text",
        "rpc.system", "rpc.service", "rpc.method", "aws.region", "cloud.region", "retry_attempts",
        "messaging.system", "messaging.destination", "messaging.destination.name", "celery.action", "celery.state",
        "liuhen.job.kind", "liuhen.job.attempt",
    }
)  # fmt: skip
"""Attributes that leave the process; what is not here does not."""
_WAIT_S: Final = 3
_MODULES: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


class TracingMissing(LiuhenError):
    """The setting otel_endpoint needs an extra that is not installed: pip install 'liuhen[otel]'."""

    code = "settings.tracing_missing"
    exit_code = 78


class Tracing:
    """What sends the traces of one process."""

    def __init__(self, endpoint: str, *, process: str) -> None:
        """Send to an OTLP collector over HTTP from now on. Raises: TracingMissing."""
        try:
            for name in _MODULES:
                importlib.import_module(name)
        except ImportError as exc:
            raise TracingMissing from exc
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._provider = TracerProvider(
            sampler=_sampler(), resource=Resource({"service.name": "liuhen", "service.instance.id": process})
        )
        exporter = _told_only(OTLPSpanExporter(endpoint=endpoint, timeout=_WAIT_S))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(self._provider)
        self._watch("botocore", "BotocoreInstrumentor")
        self._watch("celery", "CeleryInstrumentor")

    def watch_database(self, engine: Any) -> None:
        """Tell of the statements of an engine, each within the trace that asks for it."""
        self._watch("sqlalchemy", "SQLAlchemyInstrumentor", engine=engine)

    def watch_web(self, app: Any) -> None:
        """Tell of the requests of an application."""
        found = self._instrumentor("fastapi", "FastAPIInstrumentor")
        if found is not None:
            found.instrument_app(app, tracer_provider=self._provider, exclude_spans=["receive", "send"])

    def end(self) -> None:
        """Send what is left, for some seconds."""
        self._provider.force_flush(_WAIT_S * 1000)
        self._provider.shutdown()

    def _watch(self, library: str, name: str, **given: Any) -> None:
        found = self._instrumentor(library, name)
        if found is not None:
            # The library may be newer than its instrumentation says that it knows; a test holds them together.
            found().instrument(tracer_provider=self._provider, skip_dep_check=True, **given)

    def _instrumentor(self, library: str, name: str) -> Any:
        try:
            return getattr(importlib.import_module(f"opentelemetry.instrumentation.{library}"), name)
        except ImportError:  # the library, or its instrumentation, is not part of this deployment
            return None


def traceparent() -> str | None:
    """Return the trace that this thread is in, as it is handed on; None outside of any, and where none are made."""
    trace = _api()
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


@contextmanager
def job_span(kind: str, *, attempt: int, parent: str | None) -> Iterator[None]:
    """Have the block be a span of a job's run, in the trace that the job was added in."""
    trace = _api()
    if trace is None:
        yield
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({} if parent is None else {"traceparent": parent})
    attributes = {"liuhen.job.kind": kind, "liuhen.job.attempt": attempt}
    with trace.get_tracer("liuhen").start_as_current_span(
        f"job {kind}", context=context, kind=trace.SpanKind.CONSUMER, attributes=attributes
    ):
        yield


def _api() -> Any:
    """Return the API of traces where some are made, else None: whoever only asks must not import it."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    return trace


def _sampler() -> Any:
    """Return what decides on traces: they begin with a request or a job; a look at the queue is none."""
    from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
    from opentelemetry.trace import SpanKind

    class Beginnings(Sampler):
        def should_sample(
            self,
            parent_context: Any,
            trace_id: int,
            name: str,
            kind: Any = None,
            attributes: Any = None,
            links: Any = None,
            trace_state: Any = None,
        ) -> SamplingResult:
            del parent_context, trace_id, name, links, trace_state
            begins = kind in {SpanKind.SERVER, SpanKind.CONSUMER}
            return SamplingResult(Decision.RECORD_AND_SAMPLE if begins else Decision.DROP, attributes)

        def get_description(self) -> str:
            return "Beginnings"

    return ParentBased(Beginnings())


def _told_only(exporter: Any) -> Any:
    """Return an exporter in front of another that lets attributes of the closed list through, and no other."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Status

    def told(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: value for name, value in (attributes or {}).items() if name in _TOLD}

    def cleaned(span: ReadableSpan) -> ReadableSpan:
        is_of_database = "db.system" in (span.attributes or {})
        return ReadableSpan(
            name=span.name.partition(" ")[0] if is_of_database else span.name,  # the rest says where the database is
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=told(span.attributes),
            events=[Event(event.name, told(event.attributes), event.timestamp) for event in span.events],
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    class ToldOnly(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result: SpanExportResult = exporter.export([cleaned(span) for span in spans])
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = _WAIT_S * 1000) -> bool:
            return bool(exporter.force_flush(timeout_millis))

    return ToldOnly()
