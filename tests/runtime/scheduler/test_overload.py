"""Three times what a resource can do, in real time: what is shed, and that all of it is counted."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from olympus.runtime.clock import SystemClock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import (
    Dispatcher,
    End,
    JobDroppedError,
    LaneRules,
    Overload,
    ResourceRules,
)

JOB_S = 0.002
SHARES = {Tier.CRITICAL: 0.2, Tier.HIGH: 0.3, Tier.NORMAL: 1.0, Tier.LOW: 1.5}
"""Of what one worker can do."""
JOBS = 600
"""Of all tiers, after the flood."""
LENGTHS = {Tier.NORMAL: 4, Tier.LOW: 8}
LANES = {
    Tier.CRITICAL: LaneRules(overload=Overload.LOSSLESS),
    Tier.HIGH: LaneRules(overload=Overload.LOSSLESS),
    Tier.NORMAL: LaneRules(length=LENGTHS[Tier.NORMAL]),
    Tier.LOW: LaneRules(length=LENGTHS[Tier.LOW], overload=Overload.DROP_OLDEST),
}
SHED = {Tier.NORMAL: {End.REJECTED, End.EXPIRED}, Tier.LOW: {End.EVICTED, End.EXPIRED}}
"""What each lane's policy may do to a job that is not run."""


class Load:
    """Asks for jobs and counts, as the callers see it, what became of them."""

    def __init__(self, dispatcher: Dispatcher, clock: SystemClock) -> None:
        self.dispatcher, self.clock = dispatcher, clock
        self.tasks: list[asyncio.Task[None]] = []
        self.asked: Counter[Tier] = Counter()
        self.ends: dict[Tier, Counter[End]] = {tier: Counter() for tier in SHARES}

    def ask(self, tier: Tier, limit_s: float) -> None:
        self.asked[tier] += 1
        deadline_ns = self.clock.now_ns() + round(limit_s * 1e9)
        self.tasks.append(asyncio.create_task(self._one(tier, deadline_ns)))

    async def _one(self, tier: Tier, deadline_ns: int) -> None:
        end = End.DONE
        try:
            await self.dispatcher.run(work, tier=tier, deadline_ns=deadline_ns, source=tier.name)
        except JobDroppedError as error:
            end = error.end
        self.ends[tier][end] += 1

    async def steady(self, tier: Tier) -> None:
        """Ask at the tier's rate; a late timer changes the rate, not the number."""
        for _ in range(round(JOBS * SHARES[tier] / sum(SHARES.values()))):
            self.ask(tier, limit_s=0.05)
            await asyncio.sleep(JOB_S / SHARES[tier])


def work() -> None:
    threading.Event().wait(JOB_S)


@pytest.mark.timeout(60)
async def test_all_that_came_is_counted_by_how_it_ended_and_only_lower_lanes_are_shed() -> None:
    clock = SystemClock()
    dispatcher = Dispatcher(clock, resources=[ResourceRules(lanes=LANES)])
    load, is_held = Load(dispatcher, clock), threading.Event()
    holding = asyncio.create_task(dispatcher.run(is_held.wait, tier=Tier.DEFERRED))
    while not dispatcher.running():
        await asyncio.sleep(0.001)
    for tier in SHARES:  # the lanes overflow while nothing can run
        for _ in range(20):
            load.ask(tier, limit_s=3600)
    await asyncio.sleep(0)
    is_held.set()
    await asyncio.gather(*(load.steady(tier) for tier in SHARES))
    await asyncio.gather(holding, *load.tasks)
    await until_over(dispatcher)

    lanes = {lane.tier: lane for lane in dispatcher.lanes()["cpu"]}
    dispatcher.close()
    for tier in SHARES:
        lane, seen = lanes[tier], load.ends[tier]
        assert lane.arrived == load.asked[tier] == sum(lane.ends.values()) == sum(seen.values())
        late = Counter(lane.ends)
        late[End.DONE] += late.pop(End.LATE, 0)  # whoever asked has the answer all the same
        assert late == seen
        assert set(seen) - {End.DONE} <= SHED.get(tier, {End.EXPIRED})
    assert load.ends[Tier.NORMAL][End.REJECTED] >= 20 - LENGTHS[Tier.NORMAL]
    assert load.ends[Tier.LOW][End.EVICTED] >= 20 - LENGTHS[Tier.LOW]


async def until_over(dispatcher: Dispatcher) -> None:
    while dispatcher.running():
        await asyncio.sleep(0.001)
