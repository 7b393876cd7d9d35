"""Which job is next: a pure function of who waits and what time it is.

Strict priority between tiers; within a tier the earliest deadline, then the order of arrival. What
is past its deadline is not run. Two things bend the order, both only where a launch file asks for
it: a tier that has had less than its guaranteed share of the resource goes before the others, yet
never before CRITICAL; and a tier that has used up its limit waits for the next window.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.job import NEVER_NS, Job
from olympus.runtime.scheduler.rules import Overload, ResourceRules

NOTHING_USED = (0,) * len(Tier)
PLAIN = ResourceRules()


@dataclass(frozen=True, slots=True)
class Lanes:
    """Everything a choice depends on, besides the time."""

    waiting: Sequence[Job]
    """Jobs that could run, in any order; also those that were pre-empted."""
    begun: Collection[int] = ()
    """Numbers of those that ran already: they are not dropped when they grow late."""
    running: Sequence[Tier] = ()
    """Tiers of the jobs at the other workers."""
    rules: ResourceRules = PLAIN
    window: int = 0
    """Number of the window that `used_ns` was counted in."""
    used_ns: Sequence[int] = NOTHING_USED
    """By tier: how long its jobs ran in that window, ns."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do now."""

    run: Job | None
    expired: tuple[Job, ...] = ()
    """Jobs that are too late to be of use: to be dropped, counted, and their callers told."""
    wake_ns: int = NEVER_NS
    """When to look again although nothing happens: the next window opens a lane."""


def choose(lanes: Lanes, now_ns: int) -> Choice:
    """Decide what runs next.

    Args:
        lanes: Who waits, and what the rules are.
        now_ns: Robot time.

    Returns:
        The job to run, if any, and those whose deadline has passed.
    """
    waiting, begun = lanes.waiting, lanes.begun
    expired = tuple(
        [job for job in waiting if job.deadline_ns < now_ns and job.number not in begun]
    )
    alive = [job for job in waiting if job not in expired] if expired else waiting
    if not alive:
        return Choice(None, expired)
    if not lanes.rules.has_budgets:
        return Choice(alive[0] if len(alive) == 1 else min(alive, key=urgency), expired)
    return _within_budgets(lanes, alive, expired, now_ns)


def urgency(job: Job) -> tuple[Tier, int, int]:
    """Return what jobs are ordered by, most urgent first."""
    return job.tier, job.deadline_ns, job.number


def _within_budgets(
    lanes: Lanes, alive: Sequence[Job], expired: tuple[Job, ...], now_ns: int
) -> Choice:
    tiers = {job.tier for job in alive}
    used_up = {tier for tier in tiers if _is_used_up(lanes, tier, now_ns)}
    barred = used_up | {tier for tier in tiers if _is_crowded(lanes, tier)}
    owed = {tier for tier in tiers - barred if is_owed(lanes, tier, now_ns)}
    best = min(
        (job for job in alive if job.tier not in barred),
        key=lambda job: (job.tier is not Tier.CRITICAL and job.tier not in owed, urgency(job)),
        default=None,
    )
    window_ns = lanes.rules.window_ns
    wake_ns = (now_ns // window_ns + 1) * window_ns if used_up else NEVER_NS
    return Choice(best, expired, wake_ns)


def is_owed(lanes: Lanes, tier: Tier, now_ns: int) -> bool:
    """Tell whether a tier has had less than its guaranteed share of the window so far."""
    guarantee = lanes.rules.lanes[tier].guarantee
    if not guarantee:
        return False
    passed_ns = now_ns % lanes.rules.window_ns * lanes.rules.workers
    return _used(lanes, tier, now_ns) < guarantee * passed_ns


def _is_used_up(lanes: Lanes, tier: Tier, now_ns: int) -> bool:
    limit = lanes.rules.lanes[tier].limit
    if limit >= 1.0:
        return False
    whole_ns = lanes.rules.window_ns * lanes.rules.workers
    return _used(lanes, tier, now_ns) >= limit * whole_ns


def _is_crowded(lanes: Lanes, tier: Tier) -> bool:
    workers = lanes.rules.lanes[tier].workers
    return workers is not None and sum(t is tier for t in lanes.running) >= workers


def _used(lanes: Lanes, tier: Tier, now_ns: int) -> int:
    is_now = now_ns // lanes.rules.window_ns == lanes.window
    return lanes.used_ns[tier] if is_now else 0


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a job may wait, and which others leave for it."""

    is_in: bool
    superseded: tuple[Job, ...] = ()
    evicted: tuple[Job, ...] = ()


def admit(lanes: Lanes, job: Job) -> Admission:
    """Decide what a lane does with a job that arrives; jobs that ran already never leave for it.

    Args:
        lanes: Who waits, and what the rules are.
        job: The new one.
    """
    rules = lanes.rules.lanes[job.tier]
    lane = [other for other in lanes.waiting if other.tier is job.tier]
    fresh = [other for other in lane if other.number not in lanes.begun]
    superseded: tuple[Job, ...] = ()
    if rules.overload is Overload.LATEST:
        superseded = tuple(o for o in fresh if (o.source, o.what) == (job.source, job.what))
    idle = lanes.rules.workers - len(lanes.running)  # they are about to take a job each
    room = rules.length + idle - len(lane)
    if room > 0 or superseded or rules.overload is Overload.LOSSLESS:
        return Admission(True, superseded)
    if rules.overload is Overload.DROP_OLDEST and fresh:
        return Admission(True, evicted=(min(fresh, key=lambda other: other.number),))
    return Admission(False)
