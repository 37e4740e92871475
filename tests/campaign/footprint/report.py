"""The report of a run, as it is committed under docs/campaigns."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import facts
from tests.campaign.footprint.counting import price_class

if TYPE_CHECKING:
    from tests.campaign.footprint.campaign import Found

REPORT: Final = Path(__file__).parents[3] / "docs" / "campaigns" / "footprint.md"
_LEAST_BYTES: Final = 20.0
_CLASSES: Final = ("write", "read", "delete")


def render(found: "Found", *, command: str) -> str:
    """Return the report."""
    per_item = sum(found.tables.values())
    per_entry = sum(found.bulk_tables.values())
    log = sum(size for name, size in found.tables.items() if name.startswith("log_"))
    lines = [
        "# Campaign: footprint",
        "",
        (
            f"**An item takes {per_item:,.0f} bytes of PostgreSQL** ({log:,.0f} of them for its "
            f"{found.entries / found.items:.1f} log entries), an entry of a long log {per_entry:,.0f} bytes."
        ),
        "",
        (
            f"{found.items} recordings of two seconds, each in bytes of its own, were taken in by the real use cases, all "
            "their jobs done (damage aside) and everything sequenced, on PostgreSQL and an S3 server (SeaweedFS) with "
            "locks. Bytes are those that rows and their entries in indexes use of the pages, after `VACUUM FULL`; pages in use "
            "are not full, so files are larger. Every request of this process to S3 was counted as it went out."
        ),
        "",
        "| | |",
        "|---|---|",
        f"| Command | `{command}` |",
        f"| Date | {facts.now()} |",
        f"| Commit | {facts.commit()} |",
        f"| Took | {found.seconds / 60:.1f} minutes |",
        *(f"| {name} | {value} |" for name, value in facts.machine(scratch=Path("/tmp")).items()),
        "",
        "## Bytes of the database for each item",
        "",
        *_bytes(found.tables, "Table"),
        "",
        f"## Bytes for each entry of {found.bulk_entries:,} that were written in bulk and sequenced by 5,000",
        "",
        *_bytes({**found.bulk_tables, **{f"file: {name}": size for name, size in found.bulk_files.items()}}, "Where"),
        "",
        "## Requests to S3",
        "",
        "Providers price requests that write or list in one class, those that read in another; most do not price deleting.",
        "",
        "| What | write or list | read | delete | operations |",
        "|---|---|---|---|---|",
        _calls("Intake of a recording in one part", found.intake),
        _calls(f"Intake of {found.large_bytes / 1e6:.0f} MB in parts of 8 MiB", found.large_intake),
        _calls("Renewal of the locks of an object", found.renewal),
        *(_calls(f"job `{kind}`", calls) for kind, calls in sorted(found.jobs.items()) if calls),
        _calls("all jobs of a recording", sum(found.jobs.values(), Counter())),
        "",
        (
            f"Objects for each item: {found.objects['s3_bucket']:.1f} in the locked bucket, "
            f"{found.objects['s3_work_bucket']:.1f} in the other."
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _bytes(sizes: Mapping[str, float], head: str) -> list[str]:
    ordered = sorted(sizes.items(), key=lambda each: -each[1])
    shown = [f"| {name} | {size:,.0f} |" for name, size in ordered if size >= _LEAST_BYTES]
    rest = sum(size for _, size in ordered if size < _LEAST_BYTES)
    return [f"| {head} | bytes |", "|---|---|", *shown, f"| all others | {rest:,.0f} |"]


def _calls(what: str, calls: "Counter[str]") -> str:
    classes = {name: sum(count for each, count in calls.items() if price_class(each) == name) for name in _CLASSES}
    told = ", ".join(f"{name} {count}" for name, count in sorted(calls.items()))
    return f"| {what} | {' | '.join(str(classes[name]) for name in _CLASSES)} | {told} |"
