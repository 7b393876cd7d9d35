"""The world: repeatable, solid, and with faults one can cause."""

import math
import subprocess
import sys

import numpy as np
import pytest

from olympus.runtime.errors import ConfigError
from olympus.sim.faults import Faults
from olympus.sim.floorplan import (
    CORRIDOR,
    CORRIDOR_FACES,
    HALF_WIDTH_M,
    PATROL_ROUTE,
    plan_building,
)
from olympus.sim.happenings import Event
from olympus.sim.people import Walk
from olympus.sim.rover import BEARINGS_RAD, RANGE_MAX_M
from olympus.sim.scenarios import SCENARIOS, find_scenario
from olympus.sim.world import World

RUN = """
import hashlib
from olympus.sim.happenings import Event
from olympus.sim.world import World
world = World(5, events=(Event(0.5, "siren"), Event(1.0, "smoke:lab")))
frames = hashlib.sha256()
for i in range(40):
    world.command(6.0 * (i % 5), 4.0)
    world.step(0.07)
    if i % 8 == 0:
        frames.update(world.look().rgb.tobytes())
print(world.digest(), frames.hexdigest())
"""


def ahead(world: World) -> float:
    return float(world.measurement.ranges_m[len(BEARINGS_RAD) // 2])


def test_two_processes_do_the_same_bit_for_bit() -> None:
    runs = [subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE) for _ in "ab"]
    outputs = [run.communicate(timeout=50)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == 2


def test_another_seed_is_another_building() -> None:
    assert World(1, people=0).digest() != World(2, people=0).digest()
    assert plan_building(1) != plan_building(2)


def test_looking_changes_nothing() -> None:
    one, other = World(4), World(4)
    for world in (one, other):
        world.command(4.0, 4.5)
    for _ in range(10):
        one.step(0.1)
        one.look()
        other.step(0.1)
    assert one.digest() == other.digest()


def test_equal_wheels_drive_straight_at_the_right_speed() -> None:
    world = World(0, people=0)
    world.command(5.0, 5.0)
    world.step(4.0)
    pose = world.rover.pose
    assert world.rover.velocity[0] == pytest.approx(0.4, rel=0.03)
    assert abs(pose.yaw) < 0.02
    assert pose.x == pytest.approx(1.5 + world.measurement.wheel_rad[0] * 0.08, abs=0.05)


def test_a_faster_right_wheel_turns_left() -> None:
    world = World(0, people=0)
    world.command(-2.0, 2.0)
    world.step(1.0)
    assert world.rover.velocity[1] > 0.7
    assert world.measurement.gyro_radps[2] > 0.7


def test_motors_take_time_to_reach_their_speed() -> None:
    world = World(0, people=0)
    world.command(12.0, 12.0)
    world.step(0.1)
    assert 0.0 < world.measurement.wheel_radps[0] < 3.0


def test_a_command_holds_unless_a_timeout_is_set() -> None:
    patient, strict = World(0, people=0), World(0, people=0, command_timeout_s=0.5)
    for world in (patient, strict):
        world.command(4.0, 4.0)
        world.step(2.0)
    assert patient.rover.velocity[0] > 0.3
    assert abs(strict.rover.velocity[0]) < 0.01


def test_a_command_that_is_no_number_stops() -> None:
    world = World(0, people=0)
    world.command(4.0, 4.0)
    world.step(1.0)
    world.command(math.nan, 4.0)
    world.step(1.0)
    assert abs(world.rover.velocity[0]) < 0.01


@pytest.mark.parametrize(("yaw", "distance"), [(0.0, None), (math.pi / 2, 1.35), (math.pi, 2.0)])
def test_ranges_agree_with_the_floor_plan(yaw: float, distance: float | None) -> None:
    world = World(0, people=0)
    x = next(
        x
        for x in np.arange(2.0, 4.5, 0.05)
        if all(abs(x - r.door_x) > 0.8 for r in world.plan.rooms)
        and all(math.hypot(x - t.x, t.y) > t.radius_m + 1.0 for t in world.plan.things)
    )
    world.place_rover(float(x), 0.0, yaw)
    world.step(0.02)
    expected = {None: RANGE_MAX_M, 1.35: CORRIDOR_FACES.y1, 2.0: x - CORRIDOR_FACES.x0}[distance]
    assert ahead(world) == pytest.approx(expected, abs=0.05)


def test_a_person_ahead_is_in_range() -> None:
    world = World(0, walks=(Walk(((5.0, 0.0),)),))
    world.place_rover(3.0, 0.0, 0.0)
    world.step(0.02)
    assert ahead(world) == pytest.approx(2.0 - 0.24, abs=0.05)


def test_driving_into_a_wall_is_one_collision_and_a_crash_is_heard() -> None:
    world = World(0, people=0)
    world.place_rover(17.0, 0.0, 0.0)
    world.command(6.0, 6.0)
    world.step(4.0)
    assert world.collisions == 1
    assert world.happenings.sounds[-1].label == "crash"
    assert world.rover.pose.x < CORRIDOR.x1


def test_the_battery_drains_faster_in_motion() -> None:
    still, moving = World(0, people=0), World(0, people=0)
    moving.command(6.0, 6.0)
    for world in (still, moving):
        world.step(10.0)
    assert moving.measurement.charge < still.measurement.charge < 0.96


def test_a_stuck_motor_makes_the_rover_turn_on_the_spot() -> None:
    world = World(0, people=0)
    world.faults.motor_stuck_left = True
    world.command(5.0, 5.0)
    world.step(2.0)
    left, right = world.measurement.wheel_radps
    assert abs(left) < 0.3
    assert right > 4.0
    assert world.rover.velocity[1] > 0.5


def test_slip_moves_the_rover_less_than_its_wheels_say() -> None:
    world = World(0, people=0)
    world.faults.set("slip_factor", 0.5)
    world.command(5.0, 5.0)
    world.step(3.0)
    assert world.measurement.wheel_radps[0] == pytest.approx(5.0, rel=0.05)
    assert world.rover.velocity[0] == pytest.approx(0.2, rel=0.1)


def test_garbage_faults_spoil_what_they_name() -> None:
    world = World(0, people=0)
    for name in ("encoder_garbage", "imu_garbage", "range_garbage", "battery_low"):
        world.faults.set(name, True)
    world.step(0.1)
    measured = world.measurement
    assert all(math.isnan(v) for v in (*measured.wheel_radps, *measured.wheel_rad))
    assert np.isnan(measured.accel_mps2).any()
    assert np.isnan(measured.ranges_m).any()
    assert measured.charge < 0.1
    assert set(world.faults.active()) >= {"encoder_garbage", "battery_low"}


def test_an_unknown_fault_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'camera_frozen'"):
        Faults().set("camera_frosen", True)
    with pytest.raises(ConfigError, match=r"0 to 0\.95"):
        Faults().set("slip_factor", 2.0)


def test_smoke_comes_and_goes() -> None:
    world = World(0, people=0, events=(Event(1.0, "smoke:lab"), Event(30.0, "smoke_clear:lab")))
    world.step(25.0)
    lab, kitchen = world.happenings.rooms["lab"], world.happenings.rooms["kitchen"]
    assert lab.smoke > 5.0 > 1.0 > kitchen.smoke
    assert lab.temperature_c > lab.base_c + 5
    world.step(60.0)
    assert lab.smoke < 1.0


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'siren'"):
        World(0, people=0).happen("sirene")
    with pytest.raises(ConfigError, match="no room 'cellar'"):
        World(0, people=0).happen("smoke:cellar")


def test_the_door_contact_follows_who_passes() -> None:
    world = find_scenario("person_crosses").world()
    seen = set()
    for _ in range(40):
        world.step(0.5)
        seen.add(world.is_door_open)
    assert seen == {True, False}


@pytest.mark.parametrize("seed", range(30))
def test_the_patrol_route_is_free_in_every_building(seed: int) -> None:
    plan = plan_building(seed)
    (x0, _), (x1, _) = PATROL_ROUTE[0], PATROL_ROUTE[-1]
    assert all(plan.is_free(x, 0.0, 0.4) for x in np.arange(x0, x1, 0.1))
    for room in plan.rooms:
        assert plan.is_free(*room.area.centre, 0.3)
        assert plan.is_free(room.door_x, room.side * HALF_WIDTH_M, 0.28)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_runs(name: str) -> None:
    world = find_scenario(name).world()
    world.step(12.0)
    assert world.collisions == 0


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'patrol'"):
        find_scenario("patroll")
