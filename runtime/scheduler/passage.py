"""A job that starts as it comes: nothing else runs or waits, and who asks runs it there and then.

For such a job there is nothing to decide, so the queue, its ticket and its waiter are left out. Its
trace and its counters are those of any other job; what remains to be written when it has ended can
wait until its result is on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from olympus.runtime.clock import Clock
from olympus.runtime.messages.compiled import maker
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.job import End, Job


class Way(Protocol):
    """What a job passes through."""

    def leave(self, passage: Passage) -> None:
        """Take its place back."""


@dataclass(slots=True)
class Passage:
    """A place that is taken, for one plain job; whoever got it runs the job and then leaves."""

    way: Way
    clock: Clock
    job: Job
    slot: int
    end: End = End.FAILED
    ended_ns: int = 0

    def done(self) -> None:
        """Say that the job has ended well, now; a job that leaves without has failed."""
        self.end, self.ended_ns = End.DONE, self.clock.now_ns()

    def leave(self) -> None:
        """Give the place back, once: whatever came of the job, and before anything is waited for.

        Only now is its end counted and written into the trace, with the time that `done` knew.
        """
        if not self.ended_ns:
            self.ended_ns = self.clock.now_ns()
        self.way.leave(self)


make_passage = maker(Passage)
PassNow = Callable[[str, int, Tier, int, str], Passage | None]
