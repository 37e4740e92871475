"""The port to whatever tells workers that a job is due. What is due stands in the database alone.

A ring may be lost, come twice, or come for a job that is done: whoever hears it claims the job, or finds that there is
nothing to claim.
"""

import threading
from typing import Final, Protocol

from archive.kernel.errors import Unavailable
from archive.kernel.ids import JobId

RUN_JOB: Final = "liuhen.run_job"
"""Name of the one task that messages ask for; its one argument is a job's id, or nothing."""


class BellAway(Unavailable):
    """The message broker cannot be reached: workers are told of jobs when it is back."""

    code = "jobs.broker_away"


class Bell(Protocol):
    """Tells the workers of a queue that a job is due."""

    def ring(self, queue: str, job_id: JobId | None = None) -> None:
        """Tell them of this job, or that some job is due; on return the ring waits to be heard. Takes seconds at most.

        Raises: BellAway.
        """
        ...

    def unheard(self, queue: str) -> int:
        """Return how many rings of a queue nobody has heard yet; where rings are not counted, 1 for any.

        Raises: BellAway.
        """
        ...


class NearBell(Bell, Protocol):
    """A bell that is heard in the process that rings it."""

    def heard_as(self, queue: str) -> threading.Event:
        """Return what is set when the queue is rung; whoever hears it clears it before looking."""
        ...
