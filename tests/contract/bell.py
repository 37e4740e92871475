"""What every bell must do. Subclass with `bell` and with `hear`, which must not use the bell under test.

`hear(queue)` takes what waits on a queue, as a worker would, and returns whether there was anything.
"""

from collections.abc import Callable

from archive.jobs.queue import LONG, PROMPT
from archive.kernel.ids import JobId, new_uuid7
from archive.ports.bell import Bell

Hear = Callable[[str], bool]


class BellContract:
    def test_a_ring_waits_until_somebody_hears_it(self, bell: Bell, hear: Hear) -> None:
        assert bell.unheard(PROMPT) == 0
        bell.ring(PROMPT, JobId(new_uuid7()))
        assert bell.unheard(PROMPT) == 1
        assert hear(PROMPT)
        assert bell.unheard(PROMPT) == 0
        assert not hear(PROMPT)

    def test_it_is_heard_on_its_queue_only(self, bell: Bell, hear: Hear) -> None:
        bell.ring(LONG, JobId(new_uuid7()))
        assert not hear(PROMPT)
        assert hear(LONG)

    def test_ringing_twice_is_heard_and_then_there_is_silence(self, bell: Bell, hear: Hear) -> None:
        job_id = JobId(new_uuid7())
        bell.ring(PROMPT, job_id)
        bell.ring(PROMPT, job_id)
        heard = 0
        while hear(PROMPT):
            heard += 1
        assert heard in {1, 2}
        assert bell.unheard(PROMPT) == 0

    def test_it_rings_for_no_job_in_particular(self, bell: Bell, hear: Hear) -> None:
        bell.ring(PROMPT)
        assert hear(PROMPT)
