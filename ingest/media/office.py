"""Set an office document as PDF: LibreOffice in the sandbox, without network, macros and links.

It is one program with one process. Beyond what ffmpeg is allowed it needs fonts, a profile and a scratch folder among
its results, and one local socket, by which it looks for another of itself and which leads nowhere.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from archive.kernel.canonical import canonical_json
from archive.kernel.findings import Finding, indeterminate, invalid
from ingest.media.errors import ToolMissing
from ingest.media.programs import find_program
from ingest.media.running import failure
from ingest.media.sandbox import FONTS, OUT, SOURCE, Leeway, Limits
from ingest.media.supervise import Ended
from ingest.media.tools import Toolbox

_MIB: Final = 1024 * 1024
_PROFILE: Final = "profile"
_RESULT: Final = "source.pdf"
# It ends with this when it has made its profile, and wants to be started again.
_AGAIN: Final = 81
_LIMITS: Final = Limits(wall_s=300, cpu_s=120, memory_bytes=6 * 1024**3, file_bytes=512 * _MIB)
# Macros are off, whoever signed them, and so is everything that a document could have fetched or started. The sandbox
# holds without these; they keep the program from trying.
_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "Common/Security/Scripting": {
        "DisableMacrosExecution": "true",
        "MacroSecurityLevel": "3",
        "BlockUntrustedRefererLinks": "true",
        "DisableActiveContent": "true",
    },
    # Chinese forms of characters, where a document does not say of which language they are.
    "Linguistic/General": {"DefaultLocale": "en-US", "DefaultLocale_CJK": "zh-CN"},
}
_FILTERS: Final[Mapping[str, str]] = {"text": "writer", "sheet": "calc", "slides": "impress"}


@dataclass(frozen=True, slots=True)
class Converted:
    """A PDF that stands for an office document; `step` is how it was made, for the recipe."""

    path: Path
    step: dict[str, Any]


def set_as_pdf(source: Path, *, toolbox: Toolbox, out: Path, media_type: str, most_pages: int) -> Converted | Finding:
    """Make a PDF of the first pages of an office document in the folder `out`, or say why there is none.

    Raises: MediaTimeout, MediaKilled, SandboxUnavailable, StorageFull.
    """
    try:
        tool = find_program("soffice.bin")
    except ToolMissing as exc:
        return indeterminate("media.no_converter", exc.message)
    if not toolbox.sandbox.is_enforced:
        return indeterminate("media.no_converter", "Office documents are converted only where there is a sandbox")
    folder = out / "office"
    shutil.rmtree(folder, ignore_errors=True)
    _write_profile(folder / _PROFILE)
    arguments = [f"-env:UserInstallation=file://{OUT}/{_PROFILE}", *_options(media_type, most_pages), SOURCE]
    leeway = _leeway(tool.path.parent)
    ran = toolbox.sandbox.run(tool.path, arguments, limits=_LIMITS, source=source, out=folder, leeway=leeway)
    if ran.returncode == _AGAIN:
        ran = toolbox.sandbox.run(tool.path, arguments, limits=_LIMITS, source=source, out=folder, leeway=leeway)
    if ran.ended is not Ended.EXIT:
        return failure(ran)
    path = folder / _RESULT
    if path.is_symlink() or not path.is_file() or path.stat().st_size == 0:
        return invalid("media.unreadable", "The office document cannot be opened: it is broken or needs a password")
    return Converted(path, {"tool": tool.version, "arguments": [tool.name, *arguments]})


def _options(media_type: str, most_pages: int) -> list[str]:
    kind = "sheet" if "sheet" in media_type or "excel" in media_type else ""
    kind = kind or ("slides" if "presentation" in media_type or "powerpoint" in media_type else "text")
    choice = canonical_json({"PageRange": {"type": "string", "value": f"1-{most_pages}"}}).decode()
    return [
        *("--headless", "--norestore", "--nologo", "--nodefault", "--nofirststartwizard", "--nolockcheck"),
        *("--convert-to", f"pdf:{_FILTERS[kind]}_pdf_Export:{choice}", "--outdir", OUT),
    ]


def _leeway(program_folder: Path) -> Leeway:
    return Leeway(
        sees=(FONTS, "/etc/libreoffice"),
        has_scratch=True,
        has_local_sockets=True,
        # Without /proc the linker cannot tell where the program lies, and so not where its libraries lie either.
        environment={"LD_LIBRARY_PATH": str(program_folder), "HOME": OUT, "SAL_USE_VCLPLUGIN": "svp"},
    )


def _write_profile(profile: Path) -> None:
    items = "".join(
        f'<item oor:path="/org.openoffice.Office.{path}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>"
        for path, settings in _SETTINGS.items()
        for name, value in settings.items()
    )
    told = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{items}</oor:items>\n'
    )
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(told, encoding="utf-8")
