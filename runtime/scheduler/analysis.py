"""Response-time analysis: whether periodic jobs keep their deadlines, known before anything runs.

The order is the scheduler's own: strict priority between tiers, one piece of a less urgent job may
be under way and is not interrupted. Within a tier the bound does not rest on the order at all: all
other jobs of the tier count as if they went first. So what is accepted holds; what is refused
might still have gone well.

Source: for one worker Davis, Burns, Bril and Lukkien, "Controller Area Network (CAN)
schedulability analysis: refuted, revisited and revised", Real-Time Systems 35 (2007), which is
non-pre-emptive fixed-priority scheduling; for several workers the interference bound with carry-in
of Bertogna and Cirinei, "Response-time analysis for globally scheduled symmetric multiprocessor
platforms", RTSS 2007.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.rules import Overload, ResourceRules

_MOST_STEPS = 20_000
"""So many jobs one after the other, or steps of the search for a bound, and none is promised."""
Owed = Callable[[int], int]
"""What less urgent tiers may take within a time, by their guarantees, ns."""
_LONGEST = 64
"""Periods after which a busy time that has not ended is taken for endless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job that comes again and again."""

    name: str
    tier: Tier
    period_ns: int
    """Shortest time between two of its jobs."""
    deadline_ns: int
    """How long after its arrival a job must be done."""
    cost_ns: int
    """What one job takes at worst, all pieces together."""
    piece_ns: int
    """What its longest piece takes at worst; `cost_ns` where it can't be interrupted."""

    @property
    def load(self) -> float:
        """Share of a worker that it takes at worst."""
        return self.cost_ns / self.period_ns

    @property
    def is_stepped(self) -> bool:
        """Whether it makes way between its pieces."""
        return self.piece_ns < self.cost_ns


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the analysis says of one task."""

    task: Task
    response_ns: int | None
    """From its arrival to its end at worst; None = no bound was found."""
    blocked_ns: int
    """Part of it: a less urgent piece that is under way."""
    why: str = ""
    """Why nothing can be promised, and the way out; empty if it can."""

    @property
    def holds(self) -> bool:
        """Whether no job of the task is ever late."""
        return not self.why


def analyse(tasks: Sequence[Task], rules: ResourceRules) -> tuple[Verdict, ...]:
    """Tell which tasks keep their deadlines on a resource, whatever comes together.

    Args:
        tasks: All jobs the resource ever runs; one that is left out makes the answer worthless.
        rules: Workers, lanes and budgets of the resource.

    Returns:
        A verdict for each task, in the given order.
    """
    return tuple(_verdict(task, tasks, rules) for task in tasks)


def _verdict(task: Task, tasks: Sequence[Task], rules: ResourceRules) -> Verdict:
    blocked_ns = _blocking(task, tasks, rules.workers)
    if why := _beyond(task, rules):
        return Verdict(task, None, blocked_ns, why)
    rivals = [other for other in tasks if other is not task and other.tier <= task.tier]
    owed = _owed(rules, task.tier, tasks)
    if rules.workers == 1:
        response_ns = _on_one_worker(task, rivals, blocked_ns, owed)
    else:
        response_ns = _on_several(task, rivals, blocked_ns, owed, rules.workers)
    if response_ns is None:
        load = sum(other.load for other in (task, *rivals))
        why = (
            f"no bound: it and all that goes first take {load / rules.workers:.0%} of the resource"
        )
    elif response_ns > task.deadline_ns:
        late_ms = (response_ns - task.deadline_ns) / 1e6
        why = f"{late_ms:.1f} ms late at worst; lower its rate, or the load of its tier and above"
    else:
        why = _replacing(task, tasks, rules, response_ns) or _crowding(task, tasks, rules)
    return Verdict(task, response_ns, blocked_ns, why)


def _beyond(task: Task, rules: ResourceRules) -> str:
    """Say why the analysis does not cover a task; empty if it does."""
    lane = rules.lanes[task.tier]
    cores = len(set(rules.cores))
    if 0 < cores < rules.workers:
        few = "one core" if cores == 1 else f"{cores} cores"
        return f"{rules.workers} workers share {few}; give each its own, or keep fewer workers"
    if lane.limit < 1.0:
        return f"the {task.tier.name} lane has a limit, and behind one nothing can be promised"
    if lane.workers is not None and lane.workers < rules.workers:
        return f"the {task.tier.name} lane may not use all workers; nothing can be promised"
    if rules.workers > 1 and (task.is_stepped or task.deadline_ns > task.period_ns):
        return "on several workers only whole jobs with a deadline within their period are covered"
    return ""


def _blocking(task: Task, tasks: Sequence[Task], workers: int) -> int:
    pieces = sorted((other.piece_ns for other in tasks if other.tier > task.tier), reverse=True)
    return sum(pieces[:workers])


def _owed(rules: ResourceRules, tier: Tier, tasks: Sequence[Task]) -> Owed:
    """Return what less urgent tiers may take by their guarantees within a time."""
    if tier is Tier.CRITICAL:
        return lambda _: 0
    window_ns = rules.window_ns * rules.workers
    pieces = {
        other: max(task.piece_ns for task in tasks if task.tier is other)
        for other in sorted({task.tier for task in tasks if task.tier > tier})
    }
    shares = [
        round(rules.lanes[other].guarantee * window_ns) + piece_ns
        for other, piece_ns in pieces.items()
        if rules.lanes[other].guarantee
    ]
    return lambda time_ns: sum(shares) * (time_ns // rules.window_ns + 2)


def _on_one_worker(task: Task, rivals: Sequence[Task], blocked_ns: int, owed: Owed) -> int | None:
    """Bound the response over all of the task's jobs in the longest busy time."""

    def others(time_ns: int) -> int:
        return sum((time_ns // r.period_ns + 1) * r.cost_ns for r in rivals) + owed(time_ns)

    def busy(time_ns: int) -> int:
        return blocked_ns + others(time_ns) + -(-time_ns // task.period_ns) * task.cost_ns

    end_ns = _limit(task, rivals)
    busy_ns = _fixed_point(busy, blocked_ns + task.cost_ns, end_ns)
    if busy_ns is None:
        return None
    jobs = -(-busy_ns // task.period_ns)
    if jobs > _MOST_STEPS:
        return None
    worst_ns = 0
    last_ns = 0 if task.is_stepped else task.cost_ns  # what nothing can come between any more
    for number in range(jobs):
        before_ns = blocked_ns + (number + 1) * task.cost_ns - last_ns

        def waits(time_ns: int, before_ns: int = before_ns) -> int:
            return before_ns + others(time_ns)

        start_ns = _fixed_point(waits, before_ns, end_ns)
        if start_ns is None:
            return None
        worst_ns = max(worst_ns, start_ns + last_ns - number * task.period_ns)
    return worst_ns


def _on_several(
    task: Task, rivals: Sequence[Task], blocked_ns: int, owed: Owed, workers: int
) -> int | None:
    """Bound the time until a worker is free for the task, with jobs carried in from before."""

    def waits(time_ns: int) -> int:
        work = sum(
            ((time_ns + r.deadline_ns) // r.period_ns + 1) * r.cost_ns for r in rivals
        ) + owed(time_ns)
        return -(-(blocked_ns + work) // workers)

    start_ns = _fixed_point(waits, 0, task.deadline_ns * 2)
    return None if start_ns is None else start_ns + task.cost_ns


def _limit(task: Task, rivals: Sequence[Task]) -> int:
    longest = max((other.period_ns for other in (task, *rivals)), default=task.period_ns)
    return _LONGEST * max(longest, task.deadline_ns)


def _fixed_point(step: Callable[[int], int], start_ns: int, limit_ns: int) -> int | None:
    """Return the least time that `step` maps to itself; None if it is not found in time."""
    time_ns = start_ns
    for _ in range(_MOST_STEPS):
        if (after_ns := step(time_ns)) == time_ns:
            return time_ns
        if after_ns > limit_ns:
            break
        time_ns = after_ns
    return None


def _replacing(task: Task, tasks: Sequence[Task], rules: ResourceRules, response_ns: int) -> str:
    """Say so if a newer job of the same source may take a job's place before it has begun."""
    lane = rules.lanes[task.tier]
    if lane.overload is not Overload.LATEST:
        return ""
    way_out = f"give the {task.tier.name} lane another `overload`"
    same = [other for other in tasks if (other.name, other.tier) == (task.name, task.tier)]
    if len(same) > 1:
        return f"jobs of the same node and model take each other's place (`latest`); {way_out}"
    if response_ns > task.period_ns:
        late_ms = (response_ns - task.period_ns) / 1e6
        return (
            f"it may wait {late_ms:.1f} ms beyond its period, and then its next job takes its "
            f"place (`latest`); {way_out}, or lower the load of its tier and above"
        )
    return ""


def _crowding(task: Task, tasks: Sequence[Task], rules: ResourceRules) -> str:
    """Say so if the lane may be too short for all jobs that can wait in it at once."""
    lane = rules.lanes[task.tier]
    if lane.overload is Overload.LOSSLESS:
        return ""
    peers = [other for other in tasks if other.tier is task.tier]
    most = sum(-(-other.deadline_ns // other.period_ns) for other in peers)
    if most <= lane.length:
        return ""
    return f"{most} jobs of the {task.tier.name} lane can wait at once, it holds {lane.length}"
