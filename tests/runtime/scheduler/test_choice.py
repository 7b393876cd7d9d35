from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from olympus.runtime.errors import ConfigError
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.choice import Lanes, admit, choose, is_owed
from olympus.runtime.scheduler.job import NEVER_NS, Job
from olympus.runtime.scheduler.rules import LaneRules, Overload, ResourceRules

WINDOW = 100_000_000
NOW = 10 * WINDOW + WINDOW // 2
"""In the middle of a window: at its beginning nobody is owed anything yet."""

deadlines = st.one_of(st.just(NEVER_NS), st.integers(NOW - 50, NOW + 50))
jobs = st.lists(
    st.builds(
        Job,
        number=st.integers(1, 10_000),
        tier=st.sampled_from(Tier),
        deadline_ns=deadlines,
        source=st.sampled_from("abc"),
    ),
    max_size=12,
    unique_by=lambda job: job.number,
)
begun = st.frozensets(st.integers(1, 10_000))


def rules(**by_tier: LaneRules) -> ResourceRules:
    return ResourceRules(
        lanes={Tier[name.upper()]: lane for name, lane in by_tier.items()}, window_ns=WINDOW
    )


def used(**by_tier: float) -> list[int]:
    """Shares of the window that tiers have used, as the queue counts them."""
    return [round(by_tier.get(tier.name.lower(), 0.0) * WINDOW) for tier in Tier]


def job(number: int, tier: Tier, deadline_ns: int = NEVER_NS, source: str = "a") -> Job:
    return Job(number, tier, deadline_ns, source)


@given(jobs, begun)
def test_the_chosen_job_is_the_most_urgent_that_is_not_too_late(
    waiting: list[Job], begun: frozenset[int]
) -> None:
    choice = choose(Lanes(waiting, begun), NOW)
    if choice.run is None:
        assert set(choice.expired) == set(waiting)
        return
    for other in set(waiting) - set(choice.expired):
        mine, its = choice.run, other
        assert (mine.tier, mine.deadline_ns, mine.number) <= (its.tier, its.deadline_ns, its.number)


@given(jobs, begun)
def test_what_is_too_late_is_dropped_unless_it_ran_already(
    waiting: list[Job], begun: frozenset[int]
) -> None:
    expired = set(choose(Lanes(waiting, begun), NOW).expired)
    late = {job for job in waiting if job.deadline_ns < NOW and job.number not in begun}
    assert expired == late


@given(jobs, begun, st.randoms(use_true_random=False))
def test_the_order_in_which_jobs_stand_in_memory_does_not_matter(
    waiting: list[Job], begun: frozenset[int], chance: st.DrawFn
) -> None:
    shuffled = list(waiting)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = choose(Lanes(waiting, begun), NOW), choose(Lanes(shuffled, begun), NOW)
    assert (one.run, set(one.expired)) == (other.run, set(other.expired))


@given(jobs)
def test_budgets_never_hold_back_a_critical_job_nor_let_anything_before_it(
    waiting: list[Job],
) -> None:
    generous = rules(low=LaneRules(guarantee=0.5), high=LaneRules(limit=0.1))
    plain = choose(Lanes(waiting), NOW)
    lanes = Lanes(waiting, rules=generous, window=10)
    bent = choose(lanes, NOW)
    assert is_owed(lanes, Tier.LOW, NOW)
    if plain.run is not None and plain.run.tier is Tier.CRITICAL:
        assert bent.run == plain.run


def test_a_tier_that_is_owed_time_goes_before_more_urgent_ones() -> None:
    kind = rules(low=LaneRules(guarantee=0.2))
    waiting = [job(1, Tier.HIGH), job(2, Tier.LOW)]
    half_past = 10 * WINDOW + WINDOW // 2
    owed = Lanes(waiting, rules=kind, window=10, used_ns=used(low=0.05))
    paid = replace(owed, used_ns=used(low=0.15))
    assert is_owed(owed, Tier.LOW, half_past)
    assert choose(owed, half_past).run == waiting[1]
    assert choose(paid, half_past).run == waiting[0]


def test_whose_share_is_exactly_paid_is_owed_nothing() -> None:
    kind = rules(low=LaneRules(guarantee=0.2))
    lanes = Lanes([job(1, Tier.LOW)], rules=kind, window=10, used_ns=used(low=0.1))
    assert not is_owed(lanes, Tier.LOW, NOW)
    assert is_owed(lanes, Tier.LOW, NOW + 10)


def test_shares_are_of_all_workers_together() -> None:
    lane = {Tier.LOW: LaneRules(guarantee=0.2, limit=0.3)}
    two = ResourceRules(workers=2, lanes=lane, window_ns=WINDOW)
    lanes = Lanes([job(1, Tier.LOW)], rules=two, window=10, used_ns=used(low=0.15))
    assert is_owed(lanes, Tier.LOW, NOW)  # of 0.2 x half a window x 2
    assert choose(replace(lanes, used_ns=used(low=0.59)), NOW).run is not None
    assert choose(replace(lanes, used_ns=used(low=0.6)), NOW).run is None


def test_a_tier_that_has_used_up_its_limit_waits_for_the_next_window() -> None:
    strict = rules(normal=LaneRules(limit=0.3))
    lanes = Lanes([job(1, Tier.NORMAL)], rules=strict, window=10, used_ns=used(normal=0.3))
    now = 10 * WINDOW + 7
    assert choose(lanes, now).run is None
    assert choose(lanes, now).wake_ns == 11 * WINDOW
    assert choose(lanes, 11 * WINDOW).run is not None


def test_a_tier_runs_on_no_more_workers_than_it_may() -> None:
    narrow = ResourceRules(workers=3, lanes={Tier.LOW: LaneRules(workers=1)})
    lanes = Lanes([job(1, Tier.LOW)], running=[Tier.LOW], rules=narrow)
    assert choose(lanes, NOW).run is None
    assert choose(replace(lanes, running=[Tier.HIGH, Tier.HIGH]), NOW).run is not None


@given(jobs, st.sampled_from(Overload), st.integers(1, 4), begun)
def test_a_lane_never_grows_beyond_its_length_and_throws_out_only_what_never_ran(
    waiting: list[Job], overload: Overload, length: int, begun: frozenset[int]
) -> None:
    lane = LaneRules(length=length, overload=overload)
    busy = ResourceRules(lanes=dict.fromkeys(Tier, lane))
    new = job(20_000, Tier.NORMAL)
    admission = admit(Lanes(waiting, begun, [Tier.HIGH], busy), new)
    out = {*admission.superseded, *admission.evicted}
    assert all(other.tier is Tier.NORMAL and other.number not in begun for other in out)
    before = [other for other in waiting if other.tier is Tier.NORMAL]
    after = len(before) - len(out) + admission.is_in
    assert overload is Overload.LOSSLESS or after <= max(length, len(before))
    assert overload is not Overload.LOSSLESS or admission.is_in
    if len(before) < length:
        assert admission.is_in


def test_latest_keeps_one_job_of_a_source_and_leaves_other_sources_alone() -> None:
    lane = LaneRules(overload=Overload.LATEST)
    busy = ResourceRules(lanes={Tier.NORMAL: lane})
    waiting = [job(1, Tier.NORMAL, source="front"), job(2, Tier.NORMAL, source="rear")]
    admission = admit(Lanes(waiting, (), [Tier.HIGH], busy), job(3, Tier.NORMAL, source="front"))
    assert (admission.is_in, admission.superseded) == (True, (waiting[0],))


@pytest.mark.parametrize(
    ("make", "way_out"),
    [
        (lambda: LaneRules(length=0), "at least 1 job"),
        (lambda: LaneRules(workers=0), "at least 1 worker"),
        (lambda: LaneRules(guarantee=1.0), "below 1"),
        (lambda: LaneRules(guarantee=0.5, limit=0.4), "no less than the guarantee"),
        (lambda: ResourceRules(workers=0), "1 or more"),
        (lambda: rules(high=LaneRules(guarantee=0.6), low=LaneRules(guarantee=0.6)), "add up"),
        (lambda: rules(critical=LaneRules(guarantee=0.1)), "goes first anyway"),
    ],
)
def test_rules_that_can_not_be_kept_are_refused(make: object, way_out: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=way_out):
        make()


class Parcel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    resources: tuple[ResourceRules, ...]


def test_rules_travel_to_a_host_as_json() -> None:
    sent = rules(low=LaneRules(guarantee=0.1, overload=Overload.LATEST))
    text = Parcel(resources=(sent,)).model_dump_json()
    assert Parcel.model_validate_json(text).resources == (sent,)


def test_latest_leaves_another_model_of_the_same_source_alone() -> None:
    busy = ResourceRules(lanes={Tier.NORMAL: LaneRules(overload=Overload.LATEST)})
    waiting = [Job(1, Tier.NORMAL, NEVER_NS, "front", "eye")]
    lanes = Lanes(waiting, (), [Tier.HIGH], busy)
    assert admit(lanes, Job(2, Tier.NORMAL, NEVER_NS, "front", "ear")).superseded == ()
    assert admit(lanes, Job(2, Tier.NORMAL, NEVER_NS, "front", "eye")).superseded == tuple(waiting)


def test_who_takes_the_place_of_another_needs_no_other_place() -> None:
    """In a lane too full by one that was pre-empted, both were lost: the old one and the new."""
    busy = ResourceRules(lanes={Tier.NORMAL: LaneRules(length=1, overload=Overload.LATEST)})
    waiting = [job(1, Tier.NORMAL, source="talk"), job(2, Tier.NORMAL, source="eye")]
    lanes = Lanes(waiting, {1}, [Tier.HIGH], busy)
    admission = admit(lanes, job(3, Tier.NORMAL, source="eye"))
    assert (admission.is_in, admission.superseded) == (True, (waiting[1],))
    assert not admit(lanes, job(3, Tier.NORMAL, source="ear")).is_in


def test_workers_that_are_free_take_what_the_lane_has_no_room_for() -> None:
    two = ResourceRules(workers=2, lanes={Tier.NORMAL: LaneRules(length=1)})
    waiting = [job(1, Tier.NORMAL), job(2, Tier.NORMAL)]
    new = job(3, Tier.NORMAL)
    assert admit(Lanes(waiting, rules=two), new).is_in
    assert not admit(Lanes(waiting, (), [Tier.HIGH], two), new).is_in


def test_drop_oldest_drops_the_oldest_that_never_ran() -> None:
    busy = ResourceRules(lanes={Tier.LOW: LaneRules(length=3, overload=Overload.DROP_OLDEST)})
    waiting = [job(3, Tier.LOW), job(1, Tier.LOW), job(2, Tier.LOW)]
    lanes = Lanes(waiting, (), [Tier.HIGH], busy)
    assert admit(lanes, job(4, Tier.LOW)).evicted == (waiting[1],)
    assert admit(replace(lanes, begun={1}), job(4, Tier.LOW)).evicted == (waiting[2],)
