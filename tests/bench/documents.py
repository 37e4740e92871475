"""A template to PDF/A: the values of a worked example composed, set, with the places of its signatures found."""

import time
from datetime import UTC, datetime
from pathlib import Path

from archive.documents.record_setting import RecordSetter
from archive.documents.templates import example_of, shipped_templates
from archive.documents.values import as_values
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section

NAME = "documents"
RUNS = 15
_AIM_MS = 50.0
_LONG = 200


def measure(scratch: Path, *, runs: int = RUNS) -> Section:
    """Measure every shipped template, each time with a value that was not set before, and one long questioning record."""
    del scratch
    templates = shipped_templates()
    began = time.perf_counter()
    setter = RecordSetter()
    _set(setter, "filing_form", "0")
    first = 1000 * (time.perf_counter() - began)
    for code in templates:
        _set(setter, code, "0")
    each: list[float] = []
    for number in range(1, runs + 1):
        settle()
        each += [_set(setter, code, str(number)) for code in templates]
    long: list[float] = []
    for number in range(1, runs + 1):
        settle()
        long.append(_set(setter, "questioning_record", str(number), exchanges=_LONG))
    found, found_long = Samples(tuple(each)), Samples(tuple(long))
    return Section(
        name=NAME,
        title="A record as paper",
        text=(
            f"The worked examples of the {len(templates)} shipped templates, 1 to 3 pages each, with a compiler that is kept: "
            "values read strictly, paper composed, set as PDF/A-2b with embedded faces and code, places of signatures and seals "
            "found. Every document differs from all before it. The first document of a process reads the faces."
        ),
        rows=(
            Row(
                "Values to PDF/A, all templates",
                found.shown("ms", digits=1),
                "",
                f"under {_AIM_MS:.0f} ms",
                found.median < _AIM_MS,
            ),
            Row(f"Questioning record with {_LONG} questions", found_long.shown("ms", digits=1)),
            Row("The first document of a process", f"{first:.0f} ms"),
        ),
        runs=runs,
        samples={"each": found.values, "long": found_long.values, "first": (first,)},
    )


def _set(setter: RecordSetter, code: str, mark: str, *, exchanges: int = 0) -> float:
    """Return the milliseconds for one document that holds the mark."""
    template = shipped_templates()[code]
    given = {**example_of(code), "cause": f"涉嫌经营超过保质期的食品 {mark}"}
    if "cause" not in {field.name for field in template.fields}:
        given = {**example_of(code), "agency": f"云岭市市场监督管理局 {mark}"}
    if exchanges:
        given["dialogue"] = [
            {"question": f"问题 {number} {mark}？", "answer": "经营情况说明" * 12} for number in range(exchanges)
        ]
    began = time.perf_counter()
    setter.set_record(template, as_values(template, given), at=datetime(2026, 5, 20, tzinfo=UTC))
    return 1000 * (time.perf_counter() - began)
