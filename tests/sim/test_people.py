"""People get where they want to, and leave the rover its room."""

import math

import numpy as np
import pytest

from olympus.sim.floorplan import PATROL_ROUTE
from olympus.sim.people import ROVER_ROOM_M
from olympus.sim.rover import BEARINGS_RAD, TRACK_M, WHEEL_RADIUS_M
from olympus.sim.world import World


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_people_keep_walking_for_minutes_around_a_standing_rover(seed: int) -> None:
    world = World(seed)
    world.place_rover(9.0, 0.0, 0.0)
    walked = [0.0] * len(world.people)
    for _ in range(240):
        before = [(p.x, p.y) for p in world.people]
        world.step(0.5)
        for i, person in enumerate(world.people):
            walked[i] += math.dist(before[i], (person.x, person.y))
            pose = world.rover.pose
            assert math.dist((person.x, person.y), (pose.x, pose.y)) > ROVER_ROOM_M - 0.05
    assert world.collisions == 0
    assert min(walked) > 30.0


def give_way(world: World, goal: tuple[float, float]) -> None:
    """Drive towards a goal, slower where something is near ahead, and stand before it."""
    pose, ranges = world.rover.pose, world.measurement.ranges_m
    turn = math.remainder(math.atan2(goal[1] - pose.y, goal[0] - pose.x) - pose.yaw, math.tau)
    in_the_way = ranges[np.abs(ranges * np.sin(BEARINGS_RAD)) < 0.32]
    room = float(in_the_way.min(initial=6.0)) - 0.8
    speed = 0.4 * min(1.0, max(0.0, room / 0.6)) * (abs(turn) < 0.5)
    spin = max(-1.2, min(1.2, 2 * turn)) * TRACK_M / 2
    world.command((speed - spin) / WHEEL_RADIUS_M, (speed + spin) / WHEEL_RADIUS_M)


@pytest.mark.parametrize("seed", [1, 4])
def test_a_rover_that_gives_way_is_never_trapped(seed: int) -> None:
    world, legs, goals = World(seed), 0, [*PATROL_ROUTE[1:], *PATROL_ROUTE[-2::-1]]
    for _ in range(1500):
        goal = goals[legs % len(goals)]
        legs += math.dist(goal, (world.rover.pose.x, world.rover.pose.y)) < 0.4
        give_way(world, goal)
        world.step(0.1)
    assert legs >= 8
    assert world.collisions == 0


def test_people_stay_out_of_walls_and_furniture() -> None:
    world = World(6)
    for _ in range(200):
        world.step(0.3)
        assert all(world.plan.is_free(p.x, p.y, 0.15) for p in world.people)


def test_who_is_run_into_makes_way() -> None:
    """A rover that follows somebody down the corridor doesn't pin them to the wall for ever."""
    world = World(0, people=1)
    person = world.people[0]
    for _ in range(60):
        world.place_rover(person.x - 0.7, person.y * 0.5, 0.0)
        world.step(0.5)
    before = (person.x, person.y)
    world.place_rover(1.5, 0.0, 0.0)
    world.step(5.0)
    assert math.dist(before, (person.x, person.y)) > 0.5
