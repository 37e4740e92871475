"""Traces are an extra: without it nothing is imported, and the setting that needs it says so."""

import subprocess
import sys

import pytest

from archive.tracing import Tracing, TracingMissing, job_span, traceparent


def test_nothing_of_it_is_imported_unless_the_settings_name_a_collector() -> None:
    program = "import sys, archive.web.app, archive.worker.loop; print([n for n in sys.modules if n.startswith(('opentelemetry.sdk', 'opentelemetry.instr'))])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_the_setting_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingMissing, match=r"pip install 'liuhen\[otel\]'"):
        Tracing("http://127.0.0.1:4318/v1/traces", process="web")


def test_where_no_traces_are_made_a_job_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.sdk.trace", raising=False)
    assert traceparent() is None
    with job_span("probe_item", attempt=1, parent="00-" + "1" * 32 + "-" + "2" * 16 + "-01"):
        assert traceparent() is None
