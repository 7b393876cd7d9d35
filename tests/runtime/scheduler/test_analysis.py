from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.analysis import Task, analyse
from olympus.runtime.scheduler.job import End
from olympus.runtime.scheduler.rules import LaneRules, Overload, ResourceRules
from olympus.runtime.scheduler.simulation import Arrival, simulate

MS = 1_000_000
TIERS = (Tier.CRITICAL, Tier.HIGH, Tier.NORMAL, Tier.LOW)


def task(
    name: str,
    tier: Tier,
    *,
    period_ms: float,
    cost_ms: float,
    deadline_ms: float = 0,
    pieces: int = 1,
) -> Task:
    return Task(
        name=name,
        tier=tier,
        period_ns=round(period_ms * MS),
        deadline_ns=round((deadline_ms or period_ms) * MS),
        cost_ns=round(cost_ms * MS),
        piece_ns=round(cost_ms * MS / pieces),
    )


def drawn(chance: random.Random) -> list[Task]:
    """Draw a set of tasks that loads a worker by anything from a little to too much."""
    load, made = chance.uniform(0.3, 1.1), []
    count = chance.randint(1, 6)
    for number in range(count):
        period_ms = chance.choice((5, 8, 10, 15, 20, 33, 50))
        cost_ms = period_ms * load / count * chance.uniform(0.4, 1.6)
        pieces = chance.choice((1, 1, 2, 5))
        deadline_ms = period_ms * chance.choice((0.7, 1.0, 1.0, 1.5))
        tier = chance.choice(TIERS)
        made.append(
            task(
                f"t{number}",
                tier,
                period_ms=period_ms,
                cost_ms=cost_ms,
                deadline_ms=deadline_ms,
                pieces=pieces,
            )
        )
    return made


def arrivals(tasks: Sequence[Task], chance: random.Random, until_ns: int) -> list[Arrival]:
    """Let the tasks' jobs come: with any phase, some later than their period, some shorter."""
    row: list[Arrival] = []
    is_worst = chance.random() < 0.5
    for one in tasks:
        time_ns = 0 if chance.random() < 0.3 else chance.randrange(one.period_ns)
        while time_ns < until_ns:
            pieces = [one.piece_ns] * (one.cost_ns // one.piece_ns)
            if rest := one.cost_ns - sum(pieces):
                pieces.append(rest)
            if not is_worst:
                pieces = [max(1, round(piece * chance.uniform(0.2, 1.0))) for piece in pieces]
            row.append(
                Arrival(
                    time_ns=time_ns,
                    tier=one.tier,
                    pieces_ns=tuple(pieces),
                    deadline_ns=time_ns + one.deadline_ns,
                    source=one.name,
                )
            )
            late = 0 if is_worst else chance.randrange(one.period_ns // 4)
            time_ns += one.period_ns + late
    return row


def check(seed: int, rules: ResourceRules) -> int:
    """Hold the analysis to the scheduler; return how many tasks it vouched for."""
    chance = random.Random(seed)
    tasks = drawn(chance)
    verdicts = {verdict.task.name: verdict for verdict in analyse(tasks, rules)}
    for fate in simulate(rules, arrivals(tasks, chance, 400 * MS)).fates:
        verdict = verdicts[fate.arrival.source]
        if verdict.holds:
            assert fate.end is End.DONE, (seed, fate, verdict)
            assert verdict.response_ns is not None
            assert fate.response_ns <= verdict.response_ns, (seed, fate, verdict)
    return sum(verdict.holds for verdict in verdicts.values())


def test_no_task_that_was_accepted_is_ever_late_on_one_worker() -> None:
    accepted = sum(check(seed, ResourceRules()) for seed in range(2000))
    assert accepted > 4000  # and it does accept: 4682 of these draws


def test_nor_on_several_workers() -> None:
    accepted = sum(check(seed, ResourceRules(workers=2)) for seed in range(600))
    assert accepted > 500  # 574 of these draws


@given(st.integers(0, 10**9), st.sampled_from([0.05, 0.2]), st.sampled_from(Overload))
@settings(max_examples=100, deadline=None)
def test_nor_where_a_lower_tier_has_a_guarantee(
    seed: int, guarantee: float, overload: Overload
) -> None:
    lanes = {
        Tier.LOW: LaneRules(guarantee=guarantee),
        Tier.NORMAL: LaneRules(length=3, overload=overload),
    }
    check(seed, ResourceRules(lanes=lanes, window_ns=20 * MS))


def test_a_less_urgent_piece_that_is_under_way_delays_but_not_more_than_one() -> None:
    eye = task("eye", Tier.CRITICAL, period_ms=50, cost_ms=4)
    talk = task("talk", Tier.LOW, period_ms=1000, cost_ms=500, pieces=50)
    stubborn = task("stubborn", Tier.LOW, period_ms=1000, cost_ms=500)
    assert analyse([eye, talk], ResourceRules())[0].response_ns == 14 * MS
    assert analyse([eye, stubborn], ResourceRules())[0].response_ns == 504 * MS
    assert not analyse([eye, stubborn], ResourceRules())[0].holds


def test_too_much_work_is_refused_and_said_so() -> None:
    verdicts = analyse(
        [
            task("a", Tier.CRITICAL, period_ms=10, cost_ms=6),
            task("b", Tier.HIGH, period_ms=10, cost_ms=6),
        ],
        ResourceRules(),
    )
    assert [verdict.holds for verdict in verdicts] == [False, False]
    assert "late at worst" in verdicts[0].why  # b's piece is under way
    assert "120%" in verdicts[1].why


def test_a_search_without_end_is_given_up() -> None:
    """`often` leaves nothing at all: the bound for `once` grew by 1 ms a step towards days."""
    often = task("often", Tier.HIGH, period_ms=1, cost_ms=1)
    once = task("once", Tier.LOW, period_ms=1e9, cost_ms=1)
    verdict = analyse([often, once], ResourceRules())[1]
    assert verdict.response_ns is None
    assert "100%" in verdict.why


def test_behind_a_limit_nothing_is_promised() -> None:
    rules = ResourceRules(lanes={Tier.LOW: LaneRules(limit=0.5)})
    verdict = analyse([task("a", Tier.LOW, period_ms=100, cost_ms=1)], rules)[0]
    assert "limit" in verdict.why


def test_nor_where_a_newer_job_takes_the_place_of_a_waiting_one() -> None:
    """Found by drawing: a job vouched for was never run, as its source's next one came first."""
    lanes = {tier: LaneRules(overload=Overload.LATEST) for tier in Tier}
    accepted = sum(check(seed, ResourceRules(lanes=lanes)) for seed in range(500))
    assert accepted > 800


def test_a_job_that_its_own_next_one_may_replace_is_named() -> None:
    lanes = {Tier.HIGH: LaneRules(overload=Overload.LATEST)}
    often = task("often", Tier.HIGH, period_ms=8, cost_ms=2, deadline_ms=24)
    long = task("long", Tier.LOW, period_ms=1000, cost_ms=10)
    assert all(verdict.holds for verdict in analyse([often, long], ResourceRules()))
    verdict = analyse([often, long], ResourceRules(lanes=lanes))[0]
    assert "4.0 ms beyond its period" in verdict.why
    calm = task("calm", Tier.HIGH, period_ms=50, cost_ms=2)
    assert analyse([calm, long], ResourceRules(lanes=lanes))[0].holds
    assert (
        "each other's place"
        in analyse([calm, replace(calm, period_ns=40 * MS)], ResourceRules(lanes=lanes))[0].why
    )


def test_more_workers_than_cores_are_no_more_than_the_cores() -> None:
    tasks = [task(name, Tier.CRITICAL, period_ms=10, cost_ms=2) for name in "abc"]
    assert all(v.holds for v in analyse(tasks, ResourceRules(workers=3, cores=(0, 1, 2))))
    for cores, said in (((1,), "share one core"), ((1, 1, 2), "share 2 cores")):
        for verdict in analyse(tasks, ResourceRules(workers=3, cores=cores)):
            assert not verdict.holds
            assert said in verdict.why


def test_a_lane_that_is_too_short_is_named() -> None:
    rules = ResourceRules(lanes={Tier.HIGH: LaneRules(length=2)})
    tasks = [task(name, Tier.HIGH, period_ms=100, cost_ms=1) for name in "abc"]
    assert "it holds 2" in analyse(tasks, rules)[0].why


def test_not_only_the_first_job_after_an_idle_moment_can_be_the_latest() -> None:
    """Source: Davis et al. 2007, section 3.3: c's second job takes 3.5, its first 3."""
    tasks = [
        task("a", Tier.HIGH, period_ms=2.5, cost_ms=1),
        task("b", Tier.NORMAL, period_ms=3.5, cost_ms=1, deadline_ms=3.25),
        task("c", Tier.LOW, period_ms=3.5, cost_ms=1, deadline_ms=3.25),
    ]
    verdict = analyse(tasks, ResourceRules())[2]
    assert verdict.response_ns == 3.5 * MS
    assert not verdict.holds


def test_what_came_before_counts_on_several_workers() -> None:
    """One job of `rival` from before and one that comes now, shared by two workers."""
    rival = task("rival", Tier.CRITICAL, period_ms=10, cost_ms=2)
    late = task("late", Tier.HIGH, period_ms=20, cost_ms=4)
    assert analyse([rival, late], ResourceRules(workers=2))[1].response_ns == 6 * MS


def test_a_guarantee_may_be_taken_at_the_end_of_a_window_and_at_the_beginning_of_the_next() -> None:
    rules = ResourceRules(lanes={Tier.LOW: LaneRules(guarantee=0.2)}, window_ns=20 * MS)
    tasks = [
        task("eye", Tier.HIGH, period_ms=100, cost_ms=2),
        task("talk", Tier.LOW, period_ms=100, cost_ms=10, pieces=10),
    ]
    # One piece is under way, then twice 4 ms that are owed, each with a piece that overruns it.
    assert analyse(tasks, rules)[0].response_ns == (1 + 2 * (4 + 1) + 2) * MS


def test_what_the_analysis_does_not_cover_on_several_workers_is_said() -> None:
    two = ResourceRules(workers=2, lanes={Tier.LOW: LaneRules(workers=1)})
    stepped = task("talk", Tier.NORMAL, period_ms=100, cost_ms=10, pieces=10)
    patient = task("patient", Tier.NORMAL, period_ms=10, cost_ms=1, deadline_ms=20)
    narrow = task("narrow", Tier.LOW, period_ms=100, cost_ms=1)
    for one, said in ((stepped, "whole jobs"), (patient, "whole jobs"), (narrow, "all workers")):
        assert said in analyse([one], two)[0].why
    assert analyse([stepped], ResourceRules())[0].holds
