"""The sandbox in which every byte from outside is parsed: bubblewrap, a system call filter and resource limits.

Inside there is a read-only system, the source under `SOURCE`, one folder for results under `OUT`, and nothing else:
no network, no home, no configuration, no environment, no other processes. About 10 ms a call.
"""

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal

from archive.kernel.errors import StorageFull
from archive.kernel.findings import Finding, Outcome, indeterminate, invalid, valid
from archive.meters import meters
from ingest.media.errors import MediaKilled, MediaStopped, MediaTimeout, SandboxUnavailable, ToolMissing
from ingest.media.seccomp import filter_program
from ingest.media.supervise import Ended, Ran, Watch, run_program

SOURCE: Final = "/in/source"
"""Where the source file is seen inside."""
OUT: Final = "/out"
"""Where the output folder is seen inside."""
FONTS: Final = "/etc/fonts"
"""How fonts are chosen; the fonts themselves lie in /usr."""
NOBODY: Final = "65534"

SandboxMode = Literal["required", "preferred"]

_SYSTEM_FOLDERS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# The least of /etc that the dynamic linker needs: its cache, and the links behind some library names.
_SYSTEM_FILES: Final = ("/etc/ld.so.cache", "/etc/alternatives")
_SCRATCH: Final = "tmp"
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/urandom")
_TOOLS: Final = "/tools"
_PRLIMIT: Final = "/usr/bin/prlimit"
_NICE: Final = "/usr/bin/nice"
_CPU_GRACE_S: Final = 5
# A signal shows as 128 + number through bubblewrap, and as its negative without.
_OUT_OF_CPU: Final = frozenset((128 + signal.SIGXCPU, -signal.SIGXCPU))
_KILLED: Final = frozenset((128 + signal.SIGKILL, -signal.SIGKILL))


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. Units: seconds, bytes. `file_bytes` holds for each file and for all that a run writes.

    `niceness` holds for what runs in the background.
    """

    wall_s: int = 60
    cpu_s: int = 60
    memory_bytes: int = 2 * 1024**3
    file_bytes: int = 64 * 1024**2
    open_files: int = 256
    processes: int = 1024
    niceness: int = 10


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a caller wants to hear while a program runs, when it wants it stopped, and what it gives it to read."""

    on_line: Callable[[str], None] | None = None
    on_block: Callable[[bytes], None] | None = None
    on_error_line: Callable[[str], None] | None = None
    should_stop: Callable[[], bool] | None = None
    keep_stdout_bytes: int = 0
    feed: Iterable[BinaryIO] | None = None


@dataclass(frozen=True, slots=True)
class Leeway:
    """What a program that draws pages needs beyond the others; as little as it runs with.

    `sees`: system folders outside of /usr, such as the choice of fonts. `environment`: variables. `has_scratch`: /tmp
    is a folder of its results, counted with them. `has_local_sockets`: it may open sockets that lead nowhere outside.
    """

    sees: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    has_scratch: bool = False
    has_local_sockets: bool = False


class Sandbox:
    """Runs one program over one file. `required`: nothing runs without bubblewrap; `preferred`: limits only then."""

    def __init__(self, mode: SandboxMode = "required") -> None:
        """Choose what happens where bubblewrap cannot work."""
        self.mode: SandboxMode = mode

    @property
    def is_enforced(self) -> bool:
        """Whether runs are really isolated, not only limited."""
        return _probe_once().outcome is not Outcome.INVALID

    def run(
        self,
        program: Path,
        arguments: Sequence[str],
        *,
        limits: Limits,
        source: Path | None = None,
        out: Path | None = None,
        hooks: Hooks | None = None,
        is_background: bool = False,
        leeway: Leeway | None = None,
    ) -> Ran:
        """Run `program`; `arguments` name the file as `SOURCE` and results as `OUT/...`.

        A program that fails or reaches its CPU, memory or output limit is told by the result, not by an exception.
        Raises: SandboxUnavailable, ToolMissing, MediaTimeout (wall clock), MediaStopped (asked for), StorageFull,
            MediaKilled (by the machine);
            OSError when source or folder is not there.
        """
        hooks = hooks or Hooks()
        source = source.resolve(strict=True) if source is not None else None
        out = out.resolve(strict=True) if out is not None else None
        watch = Watch(
            wall_s=limits.wall_s,
            keep_stdout_bytes=hooks.keep_stdout_bytes,
            on_line=hooks.on_line,
            on_block=hooks.on_block,
            on_error_line=hooks.on_error_line,
            should_stop=hooks.should_stop,
            out=out,
            out_bytes=limits.file_bytes,
            feed=hooks.feed,
        )
        if not self.is_enforced:
            if self.mode == "required":
                raise SandboxUnavailable(_probe_once().message)
            command = _limited(limits, is_background=is_background)
            command += [str(program), *(_outside(given, source=source, out=out) for given in arguments)]
            ran = _start(command, watch)
        else:
            leeway = leeway or Leeway()
            if out is not None and leeway.has_scratch:
                (out / _SCRATCH).mkdir(exist_ok=True)
            command = [*bubblewrap_arguments(program, source=source, out=out, leeway=leeway), "--"]
            command += _limited(limits, is_background=is_background)
            command += [_inside(program), *arguments]
            ran = _start_filtered(command, watch, has_local_sockets=leeway.has_local_sockets)
        meters().programs.labels(program.name, ran.ended.value).inc()
        meters().program_seconds.labels(program.name).inc(ran.wall_ms / 1000)
        return _judged(ran, program=program, limits=limits, out=out)


def bubblewrap_arguments(
    program: Path, *, source: Path | None, out: Path | None, leeway: Leeway | None = None
) -> list[str]:
    """Return the bubblewrap command up to `--`: what the program may see. Pure but for reading the system's links.

    A program outside /usr is bound by itself, so it has to be static or live on the system's libraries.
    """
    leeway = leeway or Leeway()
    arguments = [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox"),
        *("--ro-bind", "/usr", "/usr"),
    ]
    for folder in _SYSTEM_FOLDERS:
        if Path(folder).is_symlink():
            arguments += ["--symlink", str(Path(folder).readlink()), folder]
        else:
            arguments += ["--ro-bind-try", folder, folder]
    arguments += ["--perms", "0755", "--dir", "/etc"]
    for file in (*_SYSTEM_FILES, *leeway.sees):
        arguments += ["--ro-bind-try", file, file]
    for device in _DEVICES:
        arguments += ["--dev-bind-try", device, device]
    if not _is_system(program):
        arguments += ["--ro-bind", str(program), _inside(program)]
    if source is not None:
        arguments += ["--ro-bind", str(source), SOURCE]
    if out is not None:
        arguments += ["--bind", str(out), OUT]
    if leeway.has_scratch:
        arguments += ["--symlink", f"{OUT}/{_SCRATCH}", f"/{_SCRATCH}"]
    arguments += ["--remount-ro", "/", "--chdir", "/", "--clearenv"]
    variables = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/", **leeway.environment}
    for name, value in variables.items():
        arguments += ["--setenv", name, value]
    return arguments


def probe_sandbox() -> Finding:
    """Find out whether the sandbox works here, by running a program in it. Valid, invalid, or valid without filter."""
    try:
        return _probe()
    except ToolMissing as exc:
        return invalid("media.sandbox_unavailable", exc.message)


_found_working: list[Finding] = []


def _probe_once() -> Finding:
    # Only success is remembered: a sandbox that does not work now may work when the machine has been mended.
    if _found_working:
        return _found_working[0]
    finding = probe_sandbox()
    if finding.outcome is not Outcome.INVALID:
        _found_working.append(finding)
    return finding


def _probe() -> Finding:
    for needed in ("bwrap", _PRLIMIT):
        if shutil.which(needed) is None:
            return invalid("media.sandbox_unavailable", f"{Path(needed).name} is not installed")
    limits = Limits(wall_s=20, cpu_s=5)
    program = Path("/usr/bin/true")
    command = [*bubblewrap_arguments(program, source=None, out=None), "--", *_limited(limits), str(program)]
    ran = _start_filtered(command, Watch(wall_s=limits.wall_s))
    if ran.returncode != 0 or ran.ended is not Ended.EXIT:
        told = ran.stderr_tail.strip().splitlines()
        why = told[-1][:200] if told else f"exit code {ran.returncode}"
        return invalid("media.sandbox_unavailable", f"bubblewrap cannot make a sandbox here: {why}")
    if filter_program() is None:
        return indeterminate(
            "media.sandbox_without_filter",
            "The sandbox works; there is no system call filter for this processor",
        )
    return valid("media.sandbox", "Media is parsed in a sandbox without network, files and new processes")


def _start_filtered(command: list[str], watch: Watch, *, has_local_sockets: bool = False) -> Ran:
    program = filter_program(has_local_sockets=has_local_sockets)
    if program is None:
        return _start(command, watch)
    reader, writer = os.pipe()
    try:
        os.write(writer, program)
        os.close(writer)
        return _start([command[0], "--seccomp", str(reader), *command[1:]], watch, pass_fds=(reader,))
    finally:
        os.close(reader)


def _start(command: list[str], watch: Watch, *, pass_fds: Sequence[int] = ()) -> Ran:
    found = shutil.which(command[0])
    if found is None:
        raise ToolMissing(f"{Path(command[0]).name} is not installed", tool=command[0])
    try:
        return run_program([found, *command[1:]], watch, pass_fds=pass_fds)
    except OSError as exc:
        if exc.errno in {errno.ENOENT, errno.EACCES, errno.ENOEXEC}:
            raise ToolMissing(f"{Path(found).name} does not start", tool=found) from exc
        raise


def _limited(limits: Limits, *, is_background: bool = False) -> list[str]:
    return [
        *([_NICE, "-n", str(limits.niceness)] if is_background else []),
        _PRLIMIT,
        f"--as={limits.memory_bytes}",
        f"--cpu={limits.cpu_s}:{limits.cpu_s + _CPU_GRACE_S}",
        f"--fsize={limits.file_bytes}",
        f"--nofile={limits.open_files}",
        f"--nproc={limits.processes}",
        "--core=0",
        "--",
    ]


def _judged(ran: Ran, *, program: Path, limits: Limits, out: Path | None) -> Ran:
    if ran.ended is Ended.WALL:
        raise MediaTimeout(tool=program.name, wall_s=limits.wall_s)
    if ran.ended is Ended.STOPPED:
        raise MediaStopped(tool=program.name)
    if out is not None and "No space left on device" in ran.stderr_tail:
        raise StorageFull(tool=program.name)
    if ran.returncode == 0:
        return ran
    if ran.stderr_tail.startswith("bwrap: ") and not ran.stdout:
        raise SandboxUnavailable(ran.stderr_tail.strip()[:300], tool=program.name)
    if ran.stderr_tail.startswith(("prlimit: ", "/usr/bin/prlimit: ")):
        raise ToolMissing(ran.stderr_tail.strip()[:300], tool=program.name)
    if ran.ended is Ended.EXIT and _reached_cpu_limit(ran):
        return replace(ran, ended=Ended.CPU)
    if ran.ended is Ended.EXIT and ran.returncode in _KILLED:
        raise MediaKilled(tool=program.name)
    return ran


def _reached_cpu_limit(ran: Ran) -> bool:
    # ffmpeg catches the signal, ends in order and says so.
    return ran.returncode in _OUT_OF_CPU or f"received signal {signal.SIGXCPU}" in ran.stderr_tail[-400:]


def _is_system(program: Path) -> bool:
    return program.is_relative_to("/usr")


def _inside(program: Path) -> str:
    return str(program) if _is_system(program) else f"{_TOOLS}/{program.name}"


def _outside(given: str, *, source: Path | None, out: Path | None) -> str:
    """Put real paths back where there is no sandbox to give them their fixed names."""
    if given == SOURCE and source is not None:
        return str(source)
    if out is not None and (given == OUT or given.startswith(OUT + "/")):
        return str(out) + given[len(OUT) :]
    return given
