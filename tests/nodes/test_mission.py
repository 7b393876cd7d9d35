from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.nodes.mission import Mission, Point, Site
from olympus.nodes.odometry import Pose
from olympus.runtime.agents import understand
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Command

ROUTE = [(1.5, 0.0), (5.0, 0.0), (9.0, 0.0), (13.0, 0.0), (16.5, 0.0)]
SITE = Site(ROUTE, {"lab": (9.0, 3.0), "home": (1.5, 0.0)})
START = Pose(1.5, 0.0, 0.0)


def mission(sentence: str, pose: Pose = START) -> Mission:
    return Mission(understand(sentence), SITE, pose)


def drive(mission: Mission, legs: int) -> list[Point]:
    """Reach so many way-points and return them."""
    reached = []
    for _ in range(legs):
        if mission.goal is None:
            break
        reached.append(mission.goal)
        mission.reached()
    return reached


def test_a_patrol_visits_the_route_there_and_back() -> None:
    there = ROUTE[1:]
    back = ROUTE[::-1][1:]
    assert drive(mission("patrol the corridor"), 12) == [*there, *back, *there]


def test_a_waypoint_that_was_passed_aside_counts_as_reached() -> None:
    patrol = mission("patrol the corridor")
    assert patrol.goal == (5.0, 0.0)
    assert not patrol.has_reached(Pose(4.4, 0.0, 0.0))
    assert patrol.has_reached(Pose(4.6, 0.0, 0.0))
    assert not patrol.has_reached(Pose(4.9, 1.0, 0.0))
    assert patrol.has_reached(Pose(5.1, 1.0, 0.0))
    assert not patrol.has_reached(Pose(8.0, 1.0, 0.0))


def test_a_place_is_reached_only_nearby() -> None:
    one = mission("go to 5, 0")
    assert not one.has_reached(Pose(5.1, 1.0, 0.0))
    assert one.has_reached(Pose(5.1, 0.4, 0.0))
    one.reached()
    assert not one.has_reached(Pose(5.1, 0.4, 0.0))


def test_laps_are_counted_when_the_start_is_reached_again() -> None:
    patrol = mission("patrol the corridor")
    counted = []
    for _ in range(17):
        patrol.reached()
        counted.append(patrol.laps)
    assert counted == [0] * 7 + [1] * 8 + [2] * 2
    assert not patrol.is_over


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_patrol_ends_after_its_rounds(rounds: int) -> None:
    patrol = mission(f"patrol {rounds} rounds")
    visited = drive(patrol, 100)
    assert len(visited) == 8 * rounds
    assert visited[-1] == ROUTE[0]
    assert patrol.is_over
    assert patrol.goal is None


@pytest.mark.parametrize(
    ("pose", "first", "second"),
    [
        (Pose(1.5, 0.0, 0.0), 5.0, 9.0),
        (Pose(6.0, 0.2, 0.1), 9.0, 13.0),
        (Pose(6.0, 0.2, 3.1), 5.0, 1.5),
        (Pose(16.5, 0.0, math.pi), 13.0, 9.0),
        (Pose(17.5, 0.0, 0.0), 1.5, 5.0),  # nothing lies ahead: from the beginning
    ],
)
def test_a_patrol_begins_with_what_lies_ahead(pose: Pose, first: float, second: float) -> None:
    visited = drive(mission("patrol the corridor", pose), 2)
    assert [x for x, _ in visited] == [first, second]


def test_a_patrol_that_gets_nowhere_turns_back() -> None:
    patrol = mission("patrol the corridor")
    patrol.reached()
    assert patrol.goal == (9.0, 0.0)
    assert patrol.turn_back()
    assert drive(patrol, 3) == [(5.0, 0.0), (1.5, 0.0), (5.0, 0.0)]
    assert patrol.laps == 0  # it never saw the far end
    drive(patrol, 7)
    assert patrol.laps == 1


def test_at_the_end_of_its_route_a_patrol_has_nowhere_to_turn_back_to() -> None:
    patrol = mission("patrol the corridor", Pose(17.5, 0.0, 0.0))
    assert patrol.goal == ROUTE[0]
    assert not patrol.turn_back()
    assert patrol.goal == ROUTE[0]


def test_a_drive_to_a_place_does_not_turn_back() -> None:
    drive_ = mission("go to the lab")
    assert not drive_.turn_back()
    assert drive_.goal == (9.0, 3.0)


@given(st.lists(st.booleans(), max_size=60))
def test_whatever_happens_a_patrol_has_a_goal_on_its_route(turns: list[bool]) -> None:
    patrol = mission("patrol the corridor")
    for is_turn in turns:
        if is_turn:
            patrol.turn_back()
        else:
            patrol.reached()
        assert patrol.goal in ROUTE


@pytest.mark.parametrize(
    ("sentence", "goal"), [("go to the lab", (9.0, 3.0)), ("go to 2.5, -1", (2.5, -1.0))]
)
def test_a_drive_is_over_when_its_goal_is_reached(sentence: str, goal: Point) -> None:
    one = mission(sentence)
    assert one.goal == goal
    one.reached()
    assert one.is_over


@pytest.mark.parametrize(
    ("sentence", "target"),
    [("turn left", math.pi / 2), ("turn right", -math.pi / 2), ("turn around", math.pi)],
)
def test_a_turn_is_from_where_it_looks(sentence: str, target: float) -> None:
    one = mission(sentence, Pose(0.0, 0.0, 0.0))
    assert one.turn_to == pytest.approx(target)
    assert not one.is_over
    one.turn_to = None
    assert one.is_over


def test_waiting_is_a_mission_too() -> None:
    one = mission("wait 2.5 seconds")
    assert one.wait_s == 2.5
    assert not one.is_over


def test_an_unknown_place_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lab'"):
        mission("go to the lap")


def test_an_unknown_route_is_refused() -> None:
    with pytest.raises(ConfigError, match="no route called 'roof'"):
        mission("patrol the roof")


def test_a_patrol_without_a_route_is_refused() -> None:
    with pytest.raises(ConfigError, match="set param 'route'"):
        Mission(understand("patrol"), Site([(0.0, 0.0)], {}), START)


def test_a_verb_that_is_no_mission_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to carry out"):
        Mission(Command(text="dance", verb="dance"), SITE, START)


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("go", {"x": "nan", "y": "0"}),
        ("go", {"x": "1", "y": "-inf"}),
        ("go", {"x": "1"}),
        ("go", {"x": "1e9", "y": "0"}),
        ("wait", {"seconds": "nan"}),
        ("wait", {"seconds": "inf"}),
        ("wait", {}),
        ("turn", {"direction": "left", "degrees": "nan"}),
        ("patrol", {"rounds": "-1"}),
        ("patrol", {"rounds": "many"}),
    ],
)
def test_a_command_from_the_wire_with_a_number_that_makes_no_sense_is_refused_by_name(
    verb: str, args: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"(x|y|seconds|degrees|rounds)='.*' is no number from"):
        Mission(Command(text=verb, verb=verb, args=args), SITE, START)
