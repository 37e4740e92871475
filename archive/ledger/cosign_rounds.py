"""Keeping the log witnessed: at start each witness is asked whether it knows this log, then one thread for each."""

import json
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from archive.kernel.errors import LiuhenError
from archive.kernel.instants import format_instant
from archive.ledger.cosigner import WitnessClient, WitnessDisagrees, WitnessRefuses, WitnessUnreachable
from archive.ports.clock import Clock

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_MOST_BYTES: Final = 64 * 1024
_log = structlog.get_logger("liuhen.cosigning")


class AskingEnded(LiuhenError):
    """Witnesses are not asked any more; the process must start again."""

    code = "ledger.asking_ended"


class CosignRounds:
    """Asks all witnesses that have an address, and leaves word of how it goes."""

    def __init__(
        self, clients: Sequence[WitnessClient], clock: Clock, *, report: Path, refresh: timedelta, is_required: bool
    ) -> None:
        """Take the clients, and the file that tells other processes how witnesses answer.

        Units: a cosignature is renewed when it is older than `refresh`. `is_required` refuses a start without an
        answer.
        """
        self.clients = clients
        self._clock = clock
        self._report = report
        self._refresh = refresh
        self._is_required = is_required
        self._told: dict[str, dict[str, str]] = {}
        self._guard = threading.Lock()
        self._bell = threading.Condition()
        self._rung = 0
        self._is_over = False
        self._threads: list[threading.Thread] = []
        self._disagreement: WitnessDisagrees | None = None

    def require_agreement(self) -> None:
        """Ask every witness whether our newest checkpoint follows what it has cosigned. Nothing is asked without one.

        A witness that does not answer is reported, and blocks only where it is required.

        Raises: WitnessDisagrees; WitnessUnreachable, WitnessRefuses where an answer is required.
        """
        for client in self.clients:
            try:
                client.submit()
            except WitnessDisagrees as error:
                self._tell(client, error)
                raise
            except (WitnessUnreachable, WitnessRefuses) as error:
                self._tell(client, error)
                if self._is_required:
                    raise
            else:
                self._tell(client, None)

    def begin(self) -> None:
        """Start one thread for each witness."""
        for client in self.clients:
            thread = threading.Thread(
                target=self._keep_asking, args=(client,), name=f"witness-{client.witness.name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def ring(self) -> None:
        """Say that there is a new checkpoint. Returns at once."""
        with self._bell:
            self._rung += 1
            self._bell.notify_all()

    def require_no_disagreement(self) -> None:
        """Raise what a witness has found against this log since the start.

        Raises: WitnessDisagrees; AskingEnded when a thread has died of something that nobody foresaw.
        """
        if self._disagreement is not None:
            raise self._disagreement
        if not self._is_over and not all(thread.is_alive() for thread in self._threads):
            raise AskingEnded

    def end(self) -> None:
        """Stop asking; a request that is under way is left to its thread, which ends with the process."""
        with self._bell:
            self._is_over = True
            self._bell.notify_all()

    def _keep_asking(self, client: WitnessClient) -> None:
        failures = heard = 0
        while True:
            heard = self._pause(heard, failures)
            if self._is_over:
                return
            try:
                if client.is_due(refresh=self._refresh):
                    client.submit()
            except WitnessDisagrees as error:
                self._tell(client, error)
                self._disagreement = error
                return
            except LiuhenError as error:
                failures = min(failures + 1, 16)
                self._tell(client, error)
            else:
                failures = 0
                self._tell(client, None)

    def _pause(self, heard: int, failures: int) -> int:
        """Wait for the next checkpoint or the time to look again; return how often the bell was rung."""
        with self._bell:
            if failures:  # new checkpoints do not shorten the pause
                pause = min(_FIRST_PAUSE_S * 2**failures, _LONGEST_PAUSE_S)
                self._bell.wait_for(lambda: self._is_over, timeout=pause)
            else:
                self._bell.wait_for(lambda: self._is_over or self._rung != heard, timeout=_FIRST_PAUSE_S)
            return self._rung

    def _tell(self, client: WitnessClient, error: LiuhenError | None) -> None:
        """Leave word of the last outcome where it differs from the one before."""
        outcome = "answers" if error is None else error.code
        name = client.witness.name
        with self._guard:
            if self._told.get(name, {}).get("outcome") == outcome:
                return
            self._told[name] = {"outcome": outcome, "since": format_instant(self._clock.now())}
            fresh = self._report.with_suffix(".new")
            fresh.write_text(json.dumps(self._told, ensure_ascii=False), "utf-8")
            fresh.replace(self._report)
        if error is None:
            _log.info("witness_answers", witness=name)
        else:
            _log.warning("witness_fails", witness=name, code=error.code, message=error.message)


def last_outcomes(report: Path) -> dict[str, dict[str, Any]]:
    """Return how each witness answered last, by name: `outcome` (`answers` or a code) and `since`; empty if unknown."""
    try:
        with report.open("rb") as file:
            told = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
