"""Signed documents from outside are judged in the sandbox: `python -m signing.validation`, a verdict as JSON.

Whatever happens to the process (time, memory, a crash), there is a verdict: then it is indeterminate.
"""

import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import archive
import archive.kernel
import archive.ports
import signing
from archive.kernel.canonical import NotCanonical, parse_canonical
from archive.kernel.findings import Outcome, indeterminate
from ingest.media.errors import MediaKilled, MediaTimeout
from ingest.media.sandbox import SOURCE, Hooks, Leeway, Limits, Sandbox
from ingest.media.supervise import Ended, Ran
from signing.validation.requests import CPU_S, MEMORY_BYTES, ValidationRequest
from signing.validation.verdict import DocumentVerdict

_MOST_ANSWER_BYTES: Final = 16 * 1024 * 1024
JUDGING: Final = Limits(
    wall_s=3 * CPU_S, cpu_s=CPU_S, memory_bytes=MEMORY_BYTES, file_bytes=0, open_files=64, processes=1024
)
"""What judging one document may take: far above what 500 MB or 5,000 pages need."""
_COSTLY: Final = indeterminate("document.too_costly", "Judging the document takes more than any should")
_UNREAD: Final = indeterminate("document.unreadable", "The document could not be read: its reader broke down over it")


def judge_in_sandbox(
    source: Path, request: ValidationRequest, *, sandbox: Sandbox, limits: Limits = JUDGING
) -> Mapping[str, Any]:
    """Return the verdict on the PDF or container at `source` in the form of `DocumentVerdict.as_json`.

    Raises: SandboxUnavailable, ToolMissing; OSError when the file is not there.
    """
    hooks = Hooks(keep_stdout_bytes=_MOST_ANSWER_BYTES, feed=[BytesIO(request.encode())])
    arguments = ["-P", "-s", "-B", "-m", "signing.validation", SOURCE]
    try:
        ran = sandbox.run(
            Path(sys.executable).resolve(), arguments, limits=limits, source=source, hooks=hooks, leeway=_leeway()
        )
    except (MediaTimeout, MediaKilled):
        return DocumentVerdict(request.at, (_COSTLY,)).as_json()
    if ran.ended is not Ended.EXIT:
        return DocumentVerdict(request.at, (_COSTLY,)).as_json()
    told = _verdict_in(ran)
    return DocumentVerdict(request.at, (_UNREAD,)).as_json() if told is None else told


def _verdict_in(ran: Ran) -> Mapping[str, Any] | None:
    """Return the verdict that the process wrote, or None where it broke down before."""
    if ran.returncode != 0:
        return None
    try:
        told = parse_canonical(ran.stdout)
    except NotCanonical:
        return None
    return told if isinstance(told, Mapping) and told.get("outcome") in set(Outcome) else None


@cache
def _leeway() -> Leeway:
    """Return what Python needs to see: itself, the installed packages, and of our own code what judges."""
    home = Path(sys.base_prefix).resolve()
    libraries = sorted({str(Path(sysconfig.get_path(each)).resolve()) for each in ("purelib", "platlib")})
    own = [
        Path(str(signing.__file__)).parent,
        Path(str(archive.__file__)),
        Path(str(archive.kernel.__file__)).parent,
        Path(str(archive.ports.__file__)).parent,
    ]
    tree = str(own[0].parent)
    seen = [str(home), *libraries, *(str(each) for each in own)]
    return Leeway(
        sees=[each for each in dict.fromkeys(seen) if not Path(each).is_relative_to("/usr")],
        environment={"PYTHONHOME": str(home), "PYTHONPATH": ":".join([tree, *libraries])},
    )
