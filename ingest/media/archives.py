"""List what an archive (ZIP, 7z, RAR, TAR and the like) holds, without unpacking it: bsdtar in the sandbox.

Names, sizes and times are what the archive claims. Archives within archives are listed as files and not entered.
Source: RFC 1952 section 2.3 (gzip).
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, indeterminate, invalid
from archive.kernel.instants import Instant
from ingest.media.errors import MediaStopped, ToolMissing
from ingest.media.facts import checked_fields, finding_from_json, flat_json
from ingest.media.limits import memory_bytes
from ingest.media.papers import GZIP
from ingest.media.plain_text import readable
from ingest.media.programs import find_program
from ingest.media.running import failure
from ingest.media.sandbox import SOURCE, Hooks, Limits
from ingest.media.supervise import Ended, Ran
from ingest.media.tools import Toolbox

MOST_ENTRIES: Final = 10_000
_MOST_NAME: Final = 400
_MOST_SIZE: Final = 1 << 62
_LIMITS: Final = Limits(wall_s=180, cpu_s=30, memory_bytes=memory_bytes(), file_bytes=0)
# Mode, links, owner, group, size, day and time or year, name. Owners are asked for as numbers, so nothing holds blanks.
_LINE: Final = re.compile(
    r"([-dlbcpsh?])\S{9}\S? +\d+ +\S+ +\S+ +(?:(\d{1,20})|\d+, *\d+) (\w{3}) +(\d{1,2}) +(\d\d:\d\d|\d{4}) (.*)",
    re.DOTALL,
)
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_KINDS: Final = {"-": "file", "h": "file", "d": "folder", "l": "link"}
_ESCAPE: Final = re.compile(r"\\([0-7]{3}|[abfnrtv\\])")
_ESCAPES: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_HAS_NAME: Final = 0x08
_HAS_EXTRA: Final = 0x04


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `kind`: file, folder, link or other. Units: bytes; `at` is the time as stored, to the minute or day.

    `to`: where a link leads; it is shown and never followed.
    """

    name: str
    kind: str
    size: int
    at: str
    to: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What an archive holds. `is_cut`: there are more entries than are kept. `is_encrypted`: contents need a password.

    Units: `size` is the sum of what the entries claim, in bytes.
    """

    entries: tuple[Entry, ...]
    is_cut: bool
    is_encrypted: bool
    findings: tuple[Finding, ...]
    tool: str

    @property
    def size(self) -> int:
        """The sum of the sizes that are claimed."""
        return min(sum(entry.size for entry in self.entries), _MOST_SIZE)

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value without floats."""
        return {
            "entries": [flat_json(entry) for entry in self.entries],
            "is_cut": self.is_cut,
            "is_encrypted": self.is_encrypted,
            "size": self.size,
            "findings": [finding.as_json() for finding in self.findings],
            "tool": self.tool,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Listing":
        """Parse the form of `as_json`. Raises: InvalidInput."""
        try:
            return cls(
                entries=tuple(Entry(**checked_fields(Entry, part)) for part in value["entries"]),
                is_cut=bool(value["is_cut"]),
                is_encrypted=bool(value["is_encrypted"]),
                findings=tuple(finding_from_json(part) for part in value["findings"]),
                tool=str(value["tool"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise InvalidInput("Not the JSON form of a listing") from exc


@dataclass(slots=True)
class _Lines:
    """Takes the lines of the program as they come."""

    now: Instant
    entries: list[Entry] = field(default_factory=list)
    is_cut: bool = False

    def take(self, line: str) -> None:
        found = entry_of(line, now=self.now)
        if found is None:
            return
        if len(self.entries) == MOST_ENTRIES:
            self.is_cut = True
            return
        self.entries.append(found)


def list_archive(source: Path, *, toolbox: Toolbox, media_type: str, now: Instant) -> Listing:
    """Return what the archive holds; what is wrong with it is told by findings.

    Raises: MediaTimeout, MediaKilled, SandboxUnavailable.
    """
    is_encrypted = _is_encrypted_zip(source)
    try:
        tool = find_program("bsdtar")
    except ToolMissing as exc:
        return Listing((), is_cut=False, is_encrypted=is_encrypted, findings=(_missing(exc),), tool="")
    lines = _Lines(now)
    hooks = Hooks(on_line=lines.take, should_stop=lambda: lines.is_cut)
    try:
        ran = toolbox.sandbox.run(
            tool.path, ["-tvf", SOURCE, "--numeric-owner"], limits=_LIMITS, source=source, hooks=hooks
        )
    except MediaStopped:
        if not lines.is_cut:
            raise
        return Listing(tuple(lines.entries), is_cut=True, is_encrypted=is_encrypted, findings=(), tool=tool.version)
    if media_type == GZIP and "Unrecognized archive format" in ran.stderr_tail:
        return Listing((_packed(source),), is_cut=False, is_encrypted=False, findings=(), tool=tool.version)
    findings = _findings(ran, len(lines.entries))
    is_encrypted = is_encrypted or any(finding.code == "media.encrypted" for finding in findings)
    return Listing(
        tuple(lines.entries), is_cut=lines.is_cut, is_encrypted=is_encrypted, findings=findings, tool=tool.version
    )


def _findings(ran: Ran, entries: int) -> tuple[Finding, ...]:
    if ran.ended is not Ended.EXIT:
        told = failure(ran)
        return (invalid(told.code, "Listing the archive takes more than any archive needs", f"{entries}"),)
    if ran.returncode == 0:
        return ()
    if "encrypted" in ran.stderr_tail:
        return (invalid("media.encrypted", "The archive tells what it holds with a password only"),)
    if entries:
        return (invalid("media.damaged", f"The archive is broken after entry {entries}", f"{entries}"),)
    return (invalid("media.unreadable", "The archive cannot be read"),)


def _missing(error: ToolMissing) -> Finding:
    return indeterminate("media.tool_missing", error.message)


def entry_of(line: str, *, now: Instant) -> Entry | None:
    """Return the entry that a line of the program tells of, None for a line that tells of none."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    mark, size, month, day, clock, rest = found.groups()
    kind = _KINDS.get(mark, "other")
    name, to = rest, ""
    if kind == "link":
        name, _, to = rest.partition(" -> ")
    elif mark == "h" or " link to " in rest:
        name, _, to = rest.partition(" link to ")
    return Entry(_name(name), kind, min(int(size or 0), _MOST_SIZE), _time(month, day, clock, now), _name(to))


def _name(told: str) -> str:
    """Return a name as it can be shown: escapes undone, Chinese names of Windows read, nothing that cannot be seen."""
    raw = bytearray()
    at = 0
    for found in _ESCAPE.finditer(told):
        raw += told[at : found.start()].encode("utf-8", "replace")
        raw.append(_ESCAPES[found[1]] if found[1] in _ESCAPES else int(found[1], 8) & 0xFF)
        at = found.end()
    raw += told[at:].encode("utf-8", "replace")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = raw.decode("gb18030", "replace")
    shown, _ = readable(name, most=_MOST_NAME)
    return "".join(" " if char in "\t\n\f" else char for char in shown)


def _time(month: str, day: str, clock: str, now: Instant) -> str:
    """Return a stored time: with its minute where the program tells it, which it does for the last and next half year.

    The program leaves the year out there; it is the one in which the time is nearest to now.
    """
    if month not in _MONTHS:
        return ""
    number = _MONTHS.index(month) + 1
    if ":" not in clock:
        return f"{clock}-{number:02d}-{int(day):02d}"
    hour, minute = (int(part) for part in clock.split(":"))
    near = []
    for year in (now.year - 1, now.year, now.year + 1):
        try:
            near.append(datetime(year, number, int(day), hour, minute, tzinfo=UTC))
        except ValueError:  # the 29th of February of another year, or no time at all
            continue
    return min(near, key=lambda at: abs(at - now)).strftime("%Y-%m-%d %H:%M") if near else ""


def _is_encrypted_zip(source: Path) -> bool:
    with source.open("rb") as file:
        head = file.read(8)
    return head.startswith(b"PK\3\4") and len(head) == 8 and bool(head[6] & 1)


def _packed(source: Path) -> Entry:
    """Return the one file in a gzip, by its header and its last four bytes (the size, modulo 4 GiB)."""
    with source.open("rb") as file:
        head = file.read(4096)
        file.seek(-4, 2)
        size = struct.unpack("<I", file.read(4))[0]
    at = 10
    flags = head[3] if len(head) > 3 else 0
    if flags & _HAS_EXTRA and len(head) > 12:
        at += 2 + struct.unpack_from("<H", head, 10)[0]
    raw = head[at:].split(b"\0")[0] if flags & _HAS_NAME else b""
    seconds = struct.unpack_from("<I", head, 4)[0] if len(head) >= 8 else 0
    at_time = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M") if seconds else ""
    return Entry(_name(raw.decode("utf-8", "replace")), "file", size, at_time)
