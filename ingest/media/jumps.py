"""Where the clock of a recorder jumped inside one file: ffmpeg joins both sides there, and plays on.

Only transport and program streams may begin a new clock in the middle.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingest.media.arguments import packet_arguments
from ingest.media.facts import Probe
from ingest.media.limits import reading_limits
from ingest.media.pass_report import MOST_PLACES
from ingest.media.sandbox import Hooks
from ingest.media.tools import Toolbox

REJOINED: Final = frozenset(("mpegts", "mpeg"))
"""Formats whose clock may jump."""
# ffmpeg joins what is further apart than this, or goes back by more than that (its ts_discontinuity_process).
_APART_S: Final = 10.0
_BACK_S: Final = 0.1


@dataclass(slots=True)
class Jumps:
    """Listens to the decoding times of one stream's packets. `found`: where in the rendition, how far, in ms."""

    found: list[list[int]] = field(default_factory=list)
    _first_s: float = 0.0
    _last_s: float | None = None
    _joined_s: float = 0.0
    _usual_s: float = 0.0

    def take(self, line: str) -> None:
        """Take one line: seconds."""
        at_s = _seconds(line)
        if at_s is None:
            return
        if self._last_s is None:
            self._first_s = at_s
        else:
            step_s = at_s - self._last_s
            if step_s > _APART_S or step_s < -_BACK_S:
                jump_s = step_s - self._usual_s
                self._joined_s += jump_s
                if len(self.found) < MOST_PLACES:
                    place_s = max(0.0, at_s - self._first_s - self._joined_s)
                    self.found.append([round(place_s * 1000), round(jump_s * 1000)])
            elif step_s > 0:
                self._usual_s = step_s
        self._last_s = at_s


def find_jumps(
    path: Path, *, toolbox: Toolbox, probe: Probe, stream: int, should_stop: Callable[[], bool] | None = None
) -> list[list[int]]:
    """Read the packets of one stream and tell where their clock jumped.

    Raises: MediaTimeout, MediaStopped, ToolMissing, SandboxUnavailable.
    """
    seen = Jumps()
    toolbox.sandbox.run(
        toolbox.ffprobe.path,
        packet_arguments(probe.format_name, stream=stream),
        limits=reading_limits(probe, is_decoded=False),
        source=path,
        hooks=Hooks(on_line=seen.take, should_stop=should_stop),
        is_background=True,
    )
    return seen.found


def _seconds(line: str) -> float | None:
    try:
        value = float(line.strip(" ,\r"))
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1 << 40 else None
