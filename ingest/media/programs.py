"""Programs beside ffmpeg that make photos and documents visible: what for, from which package, and which are here.

The archive works without any of them; an item that needed one says so, and so does `liuhen doctor`.
All of them run in the sandbox, and only where they are the system's own: elsewhere their parts could not be seen.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from archive.kernel.findings import Finding, indeterminate, valid
from ingest.media.errors import ToolMissing
from ingest.media.supervise import Watch, run_program
from ingest.media.tools import Tool

_SYSTEM_PATH: Final = "/usr/bin:/bin"
_SAID_BYTES: Final = 64 * 1024
_VERSION: Final = re.compile(r"\d+(\.\d+){1,3}")


@dataclass(frozen=True, slots=True)
class Program:
    """One optional program. `asked` makes it say its version; `places` are its folders, where no search path has it."""

    package: str
    without: str
    asked: str = "--version"
    places: Sequence[str] = ()


PROGRAMS: Final[Mapping[str, Program]] = {
    "heif-convert": Program("libheif-examples", "photos of phones (HEIC, AVIF) have no view", "--help"),
    "pdfinfo": Program("poppler-utils", "documents have no pages to look at", "-v"),
    "pdftocairo": Program("poppler-utils", "documents have no pages to look at", "-v"),
    "pdfimages": Program("poppler-utils", "nobody sees how sharp scanned papers are", "-v"),
    "pdftoppm": Program("poppler-utils", "nobody sees blank pages of scanned papers", "-v"),
    "pdfdetach": Program("poppler-utils", "nobody sees what is attached to documents", "-v"),
    "pdftotext": Program("poppler-utils", "no text is read out of documents", "-v"),
    "bsdtar": Program("libarchive-tools", "nobody sees what archives (ZIP, 7z, RAR, TAR) hold"),
    "soffice.bin": Program(
        "libreoffice-writer-nogui, libreoffice-calc-nogui and libreoffice-impress-nogui",
        "office documents have no pages to look at",
        places=("/usr/lib/libreoffice/program", "/usr/lib64/libreoffice/program"),
    ),
}


def find_program(name: str) -> Tool:
    """Return one of `PROGRAMS`. Raises: ToolMissing, with what to install; KeyError."""
    program = PROGRAMS[name]
    path = _SYSTEM_PATH if not program.places else ":".join(program.places)
    found = shutil.which(name, path=path)
    if found is None:
        raise ToolMissing(f"{name} is not installed: install the package {program.package}", tool=name)
    where = Path(found).resolve()
    return Tool(name, where, _version(name, where, where.stat().st_mtime_ns))


def check_programs() -> list[Finding]:
    """Return what `liuhen doctor` says about them. One that is missing is indeterminate: something has no view."""
    findings = []
    for name, program in PROGRAMS.items():
        try:
            tool = find_program(name)
        except ToolMissing as exc:
            findings.append(indeterminate("media.tool_missing", f"{exc.message}; until then {program.without}", name))
        else:
            findings.append(valid("media.tool", f"{tool.version} at {tool.path}", name))
    return findings


@lru_cache(maxsize=32)
def _version(name: str, path: Path, changed_ns: int) -> str:  # noqa: ARG001 - a replaced program is asked again
    try:
        ran = run_program([str(path), PROGRAMS[name].asked], Watch(wall_s=30, keep_stdout_bytes=_SAID_BYTES))
    except OSError as exc:
        raise ToolMissing(f"{path} does not start", tool=name) from exc
    told = ran.stdout.decode("utf-8", "replace") + ran.stderr_tail
    found = _VERSION.search(told)
    return f"{name} {found[0]}" if found is not None else name
