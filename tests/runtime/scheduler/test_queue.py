from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS, Job, choose

jobs = st.lists(
    st.builds(
        Job,
        number=st.integers(0, 1000),
        tier=st.sampled_from(Tier),
        deadline_ns=st.one_of(st.just(NEVER_NS), st.integers(0, 100)),
    ),
    max_size=12,
    unique_by=lambda job: job.number,
)
times = st.integers(0, 100)


@given(jobs, times)
def test_every_job_is_run_kept_or_expired_and_never_two_of_them(
    waiting: list[Job], now: int
) -> None:
    choice = choose(waiting, now)
    assert set(choice.expired) == {job for job in waiting if job.deadline_ns < now}
    assert choice.run not in choice.expired
    assert (choice.run is None) == (len(choice.expired) == len(waiting))


@given(jobs, times)
def test_nothing_more_urgent_waits_while_another_runs(waiting: list[Job], now: int) -> None:
    run = choose(waiting, now).run
    if run is not None:
        alive = [job for job in waiting if job.deadline_ns >= now]
        assert all(
            (run.tier, run.deadline_ns, run.number) <= (job.tier, job.deadline_ns, job.number)
            for job in alive
        )


@given(jobs, times)
def test_the_order_of_the_list_does_not_matter(waiting: list[Job], now: int) -> None:
    shuffled = sorted(waiting, key=lambda job: job.number * 7919 % 101)
    assert choose(shuffled, now).run == choose(waiting, now).run


def test_priority_beats_deadline_and_deadline_beats_arrival() -> None:
    urgent = Job(3, Tier.HIGH, 90)
    soon = Job(2, Tier.NORMAL, 10)
    early = Job(1, Tier.NORMAL)
    assert choose([early, soon, urgent], 0).run == urgent
    assert choose([early, soon], 0).run == soon
