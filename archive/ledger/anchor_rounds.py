"""Keeping the log anchored: one thread beside the sequencer, which also renews what ends."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from archive.kernel.errors import LiuhenError
from archive.ledger.anchors import Anchors, Attempt, write_attempt
from archive.ports.clock import Clock

_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 600.0
_log = structlog.get_logger("liuhen.anchors")


class AnchoringEnded(LiuhenError):
    """Nothing is anchored any more; the process must start again."""

    code = "anchor.ended"


class AnchorRounds:
    """Anchors when that is due, and leaves word of how it goes. A fault holds up nothing but the anchors."""

    def __init__(
        self, anchors: Anchors, clock: Clock, *, report: Path, upkeep: Sequence[Callable[[], object]] = ()
    ) -> None:
        """Take the anchors, the file that tells other processes how it goes, and what else is renewed when it ends."""
        self.anchors = anchors
        self._clock = clock
        self._report = report
        self._upkeep = upkeep
        self._told: Attempt | None = None
        self._bell = threading.Condition()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._keep_anchoring, name="anchors", daemon=True)
        self._thread.start()

    def require_alive(self) -> None:
        """Raise AnchoringEnded when the thread has died of something that nobody foresaw."""
        if self._thread is not None and not self._is_over and not self._thread.is_alive():
            raise AnchoringEnded

    def end(self) -> None:
        """Stop; a request that is under way is left to its thread, which ends with the process."""
        with self._bell:
            self._is_over = True
            self._bell.notify_all()

    def look(self) -> bool:
        """Do what is due, and leave word; return whether it went well."""
        try:
            if self.anchors.is_due() and (made := self.anchors.anchor()) is not None:
                _log.info("anchored", size=made.size)
            if self.anchors.is_renewal_due() and (made := self.anchors.renew()) is not None:
                _log.info("anchors_renewed", number=made.n)
            for renew in self._upkeep:
                renew()
        except (LiuhenError, OSError) as error:
            code = error.code if isinstance(error, LiuhenError) else "anchor.io"
            self._tell(code)
            _log.warning("anchoring_fails", code=code, message=str(error))
            return False
        self._tell(None)
        return True

    def _keep_anchoring(self) -> None:
        failures = 0
        while True:
            failures = 0 if self.look() else min(failures + 1, 16)
            with self._bell:
                pause = min(_PAUSE_S * 2**failures, _LONGEST_PAUSE_S)
                if self._bell.wait_for(lambda: self._is_over, timeout=pause):
                    return

    def _tell(self, fault: str | None) -> None:
        """Leave word of the last attempt where it differs from the one before."""
        if self._told is None or self._told.fault != fault:
            self._told = Attempt(fault, self._clock.now())
            with contextlib.suppress(OSError):  # a full disk has been told of already
                write_attempt(self._report, self._told)
