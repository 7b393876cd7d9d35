from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.choice import Lanes, choose
from olympus.runtime.scheduler.job import NEVER_NS, Job
from olympus.runtime.scheduler.queue import Queue
from olympus.runtime.scheduler.rules import LaneRules, ResourceRules
from olympus.runtime.scheduler.trace import Trace

jobs = st.lists(
    st.tuples(st.sampled_from(Tier), st.sampled_from([NEVER_NS, 5, 50])), min_size=1, max_size=2
)


@given(jobs, st.integers(0, 100), st.booleans())
def test_a_queue_runs_what_the_rule_chooses_even_where_it_need_not_ask(
    row: list[tuple[Tier, int]], now_ns: int, has_budgets: bool
) -> None:
    lanes = {Tier.LOW: LaneRules(limit=0.5)} if has_budgets else {}
    rules = ResourceRules(lanes=lanes)
    queue = Queue(rules, Trace(rules, 0))
    waiting = [Job(i, tier, deadline_ns) for i, (tier, deadline_ns) in enumerate(row)]
    for job in waiting:
        queue.arrive(job)
    chosen = choose(Lanes(waiting, rules=rules), now_ns)
    turn = queue.next(0, now_ns)
    assert turn.job == chosen.run
    assert [job for job, _ in turn.shed] == list(chosen.expired)


def test_an_empty_queue_has_no_next() -> None:
    rules = ResourceRules()
    turn = Queue(rules, Trace(rules, 0)).next(0, 0)
    assert (turn.job, turn.shed, turn.wake_ns) == (None, (), NEVER_NS)
