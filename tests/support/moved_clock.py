"""Clocks of hosts that can be set: a library that the processes of the archive load, and a file that says how far."""

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("moved_clock.c")
_OFF: Final = struct.Struct("=q")


class MovedClock:
    """The wall clock of one host. The monotonic clock goes on as it does."""

    def __init__(self, folder: Path, name: str) -> None:
        """Make the library if it is not there; right at first. Without a C compiler clocks cannot be moved."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file, library = folder / f"{name}.off", folder / "moved_clock.so"
        compiler = shutil.which("cc")
        self.can_move = compiler is not None
        if compiler is not None and not library.exists():
            command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
            subprocess.run(command, check=True, capture_output=True)
        self._file.write_bytes(_OFF.pack(0))
        self.environment: Mapping[str, str] = (
            {"LD_PRELOAD": str(library), "CAMPAIGN_CLOCK": str(self._file)} if self.can_move else {}
        )

    def move(self, off_s: int) -> None:
        """Set it so much ahead of the true time, or behind it."""
        with self._file.open("r+b") as file:
            file.write(_OFF.pack(off_s))
