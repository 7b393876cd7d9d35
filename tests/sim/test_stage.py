"""The world against a clock, without real time."""

import numpy as np
import pytest

from olympus.runtime.clock import VirtualClock
from olympus.sim.feed import Feed
from olympus.sim.stage import PictureFormat, Stage, Stamped
from olympus.sim.world import World

SMALL = PictureFormat(32, 24, 15.0)


def run(stage: Stage, clock: VirtualClock, seconds: float, step_ns: int = 10_000_000) -> None:
    for _ in range(round(seconds * 1e9) // step_ns):
        clock.advance(step_ns)
        stage.catch_up()


def drain(feed: Feed[Stamped]) -> list[Stamped]:
    found, seq = [], 0
    while (item := feed.after(seq, 0.0)) is not None:
        found.append(item.value)
        seq = item.seq
    return found


def test_the_world_keeps_the_clocks_pace() -> None:
    clock = VirtualClock()
    stage = Stage(World(0, people=0), clock)
    run(stage, clock, 2.0)
    assert stage.world.time_s == pytest.approx(2.0, abs=0.021)
    assert stage.lost_ns == 0


def test_a_long_pause_is_skipped_and_counted_not_raced_after() -> None:
    clock = VirtualClock()
    stage = Stage(World(0, people=0), clock)
    run(stage, clock, 0.5)
    clock.advance(3_000_000_000)
    stage.catch_up()
    assert stage.world.time_s < 0.6
    assert stage.lost_ns == pytest.approx(3e9, rel=0.05)


def test_pictures_come_at_their_rate_and_only_for_readers() -> None:
    clock = VirtualClock()
    stage = Stage(World(0, people=0), clock)
    feed = stage.pictures(SMALL)
    run(stage, clock, 0.5)
    assert feed.seq == 0
    with feed.reading():
        run(stage, clock, 4.0)
    assert feed.seq == pytest.approx(60, abs=1)


def test_the_rate_of_pictures_is_capped() -> None:
    clock = VirtualClock()
    stage = Stage(World(0, people=0), clock, max_fps=5.0)
    feed = stage.pictures(PictureFormat(32, 24, 50.0))
    with feed.reading():
        run(stage, clock, 4.0)
    assert feed.seq == pytest.approx(20, abs=1)


def test_sound_has_no_gap_and_robot_time_stamps() -> None:
    clock = VirtualClock()
    stage = Stage(World(0, people=0), clock)
    began_ns = clock.now_ns()
    run(stage, clock, 1.2)
    blocks = drain(stage.sound)
    assert len(blocks) == 12
    assert blocks[0].stamp_ns == began_ns
    assert set(np.diff([block.stamp_ns for block in blocks])) == {100_000_000}


def test_a_silent_microphone_gives_nothing() -> None:
    clock = VirtualClock()
    stage = Stage(World(0, people=0), clock)
    stage.world.faults.microphone_silent = True
    run(stage, clock, 0.5)
    assert drain(stage.sound) == []


def test_a_world_that_ran_before_goes_on_where_it_was() -> None:
    clock = VirtualClock()
    world = World(0, people=0)
    world.step(3.05)
    stage = Stage(world, clock)
    run(stage, clock, 1.0)
    assert world.time_s == pytest.approx(4.05, abs=0.03)
    assert drain(stage.sound)[0].stamp_ns >= clock.now_ns() - 1_000_000_000
