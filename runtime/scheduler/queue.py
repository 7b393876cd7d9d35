"""Which job is next: a pure function of who waits and what time it is.

Strict priority between tiers; within a tier the earliest deadline, then the order of arrival. What
is past its deadline is not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from olympus.runtime.qos import Tier

NEVER_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Job:
    """One unit of model or compute work, as the scheduler sees it."""

    number: int
    """Order of arrival."""
    tier: Tier
    deadline_ns: int = NEVER_NS
    """Robot time after which nobody wants the result."""
    source: str = ""
    """Node that asked for it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do now."""

    run: Job | None
    expired: tuple[Job, ...]
    """Jobs that are too late to be of use: to be dropped, counted, and their callers told."""


def choose(waiting: Sequence[Job], now_ns: int) -> Choice:
    """Decide what runs next.

    Args:
        waiting: All jobs that wait for one resource, in any order.
        now_ns: Robot time.

    Returns:
        The job to run, if any, and those whose deadline has passed.
    """
    expired = tuple(job for job in waiting if job.deadline_ns < now_ns)
    alive = [job for job in waiting if job.deadline_ns >= now_ns]
    best = min(alive, key=lambda job: (job.tier, job.deadline_ns, job.number), default=None)
    return Choice(best, expired)
