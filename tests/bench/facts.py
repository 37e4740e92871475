"""What a measurement was made on, and with what."""

import os
import platform
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def machine(*, scratch: Path) -> Mapping[str, str]:
    """Return the facts of this machine by name; `scratch` is where files are written."""
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} logical cores",
        "Memory": f"{_memory_bytes() / 2**30:.0f} GiB",
        "System": f"{_os_name()}, Linux {platform.release()}",
        "File system": _file_system(scratch),
    }


def versions() -> Mapping[str, str]:
    """Return the versions of the programs that take part."""
    return {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "OpenSSL of Python": ssl.OPENSSL_VERSION,
        "openssl": _first_line("openssl", "version"),
        "ffmpeg": _first_line("ffmpeg", "-version").removeprefix("ffmpeg version ").split(" ")[0],
        "bubblewrap": _first_line("bwrap", "--version"),
    }


def commit() -> str:
    """Return the commit of this checkout, and whether it holds changes that are not in it, results aside."""
    told = _first_line("git", "-C", str(_ROOT), "rev-parse", "--short=12", "HEAD")
    changed = subprocess.run(
        ["git", "-C", str(_ROOT), "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return (told or "unknown") + (" with changes" if changed.strip() else "")


def now() -> str:
    """Return the date and time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def load() -> str:
    """Return how busy the machine is."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return sys.platform


def _file_system(folder: Path) -> str:
    told = _first_line("findmnt", "-n", "-o", "FSTYPE,SOURCE", "--target", str(folder))
    return " on ".join(told.split()) or "unknown"


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.strip().splitlines()[0] if ran.returncode == 0 and ran.stdout.strip() else ""
