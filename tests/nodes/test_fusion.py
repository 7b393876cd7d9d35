from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.nodes.fusion import FORGET_S, PERSON_DEPTH_M, CameraGeometry, Sight, Tracks, locate
from olympus.runtime.messages import Detection, Ranges
from olympus.sim import figures
from olympus.sim.building import Kind
from olympus.sim.raycam import Box, boxes
from olympus.sim.rover import BEARINGS_RAD, RANGE_MAX_M
from olympus.sim.world import World

CAMERA = CameraGeometry(
    hfov_deg=figures.CAMERA_FOV_DEG,
    aspect=4 / 3,
    person_height_m=1.7,
    tilt_rad=figures.CAMERA_TILT_RAD,
    height_m=figures.CAMERA_HEIGHT_M,
    forward_m=figures.CAMERA_FORWARD_M,
)
tilts = st.floats(-0.3, 0.3)


def project(camera: CameraGeometry, ahead: float, left: float, up: float) -> tuple[float, float]:
    """Return where in the picture, 0..1, a point is seen; metres from the lens' foot."""
    up -= camera.height_m
    c, s = math.cos(camera.tilt_rad), math.sin(camera.tilt_rad)
    depth, rise = ahead * c + up * s, -ahead * s + up * c
    half_width = math.tan(math.radians(camera.hfov_deg) / 2)
    return (
        0.5 - left / depth / half_width / 2,
        0.5 - rise / depth * camera.aspect / half_width / 2,
    )


def seen(camera: CameraGeometry, ahead: float, left: float, label: str = "person") -> Detection:
    """Return the box of somebody 1.7 m tall and 0.4 m wide."""
    tall = camera.person_height_m if label == "person" else 0.5
    x, top = project(camera, ahead, left + 0.2, tall)
    right, bottom = project(camera, ahead, left - 0.2, 0.0)
    x, top, right, bottom = (min(max(v, 0.0), 1.0) for v in (x, top, right, bottom))
    return Detection(label=label, confidence=0.9, x=x, y=top, w=right - x, h=bottom - top)


def rays(distance: float = RANGE_MAX_M, *, at: float = 0.0, ahead: float | None = None) -> Ranges:
    """Return a scan that meets something at a bearing, and else `distance`."""
    distances = np.full(19, distance, np.float32)
    if ahead is not None:
        distances[np.abs(BEARINGS_RAD - at) < 0.1] = ahead
    return Ranges(bearings_rad=BEARINGS_RAD, distances_m=distances, max_m=RANGE_MAX_M)


@given(tilts, st.floats(2.0, 8.0))
def test_a_whole_persons_height_tells_the_distance_whatever_the_tilt(
    tilt: float, ahead: float
) -> None:
    camera = CameraGeometry(130.0, 1.0, 1.7, tilt_rad=tilt, height_m=0.5)
    item = seen(camera, ahead, 0.0)
    assert camera.distance_by_height(item.h) == pytest.approx(ahead, rel=1e-6)


@given(tilts, st.floats(0.8, 8.0), st.floats(-2.0, 2.0))
def test_where_a_thing_stands_on_the_floor_tells_the_distance(
    tilt: float, ahead: float, left: float
) -> None:
    camera = CameraGeometry(90.0, 4 / 3, 1.7, tilt_rad=tilt, height_m=0.5)
    _, y = project(camera, ahead, left, 0.0)
    assert camera.distance_on_floor(y) == pytest.approx(ahead, rel=1e-6)


@given(tilts, st.floats(1.0, 8.0), st.floats(-2.0, 2.0), st.floats(0.0, 1.8))
def test_a_point_of_the_picture_has_the_bearing_of_what_is_seen_there(
    tilt: float, ahead: float, left: float, up: float
) -> None:
    camera = CameraGeometry(90.0, 4 / 3, 1.7, tilt_rad=tilt, height_m=0.5)
    x, y = project(camera, ahead, left, up)
    assert camera.bearing(x, y) == pytest.approx(math.atan2(left, ahead), abs=1e-6)


def test_nothing_stands_on_the_floor_above_the_horizon() -> None:
    assert CAMERA.distance_on_floor(0.3) == math.inf
    assert CAMERA.distance_by_head(0.9) == math.inf


@pytest.mark.parametrize("ahead", [2.0, 3.0, 5.0])
def test_without_rays_a_persons_size_counts(ahead: float) -> None:
    sight = locate(seen(CAMERA, ahead, 0.0), CAMERA, None)
    assert sight.how == "size"
    assert sight.distance_m == pytest.approx(ahead + CAMERA.forward_m, rel=0.01)


def test_who_is_too_near_to_be_seen_whole_stands_where_the_feet_are() -> None:
    sight = locate(seen(CAMERA, 1.2, 0.0), CAMERA, None)
    assert sight.how == "floor"
    assert sight.distance_m == pytest.approx(1.2 + CAMERA.forward_m, rel=0.02)


def test_hidden_legs_do_not_make_a_person_far() -> None:
    whole = seen(CAMERA, 3.0, 0.0)
    half = Detection(label="person", confidence=0.9, x=whole.x, y=whole.y, w=whole.w, h=whole.h / 2)
    sight = locate(half, CAMERA, None)
    assert sight.distance_m == pytest.approx(3.0 + CAMERA.forward_m, rel=0.05)


def test_a_picture_full_of_somebody_tells_no_distance_by_itself() -> None:
    item = Detection(label="person", confidence=0.9, x=0.3, y=0.0, w=0.4, h=1.0)
    assert math.isnan(locate(item, CAMERA, None).distance_m)
    assert locate(item, CAMERA, None).how == "none"
    near = locate(item, CAMERA, rays(ahead=0.7))
    assert near.how == "range"
    assert near.distance_m == pytest.approx(0.7 + PERSON_DEPTH_M)


def test_a_ray_that_agrees_makes_the_distance_exact() -> None:
    sight = locate(seen(CAMERA, 3.0, 0.0), CAMERA, rays(ahead=2.8))
    assert sight.how == "range"
    assert sight.distance_m == pytest.approx(2.8 + PERSON_DEPTH_M, abs=1e-6)


@pytest.mark.parametrize("wrong", [0.5, 5.5, float("nan"), -1.0])
def test_a_ray_that_met_something_else_does_not_count(wrong: float) -> None:
    sight = locate(seen(CAMERA, 3.0, 0.0), CAMERA, rays(ahead=wrong))
    assert sight.how == "size"
    assert sight.distance_m == pytest.approx(3.0 + CAMERA.forward_m, rel=0.01)


def test_beside_the_picture_a_nearer_ray_counts() -> None:
    cut = Detection(label="person", confidence=0.9, x=0.0, y=0.3, w=0.06, h=0.45)
    sight = locate(cut, CAMERA, rays(at=math.radians(50), ahead=0.9))
    assert sight.distance_m == pytest.approx(0.9 + PERSON_DEPTH_M)
    assert sight.bearing_rad == pytest.approx(math.radians(50), abs=0.01)


@given(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 1), st.floats(0.01, 1))
def test_any_box_has_a_finite_bearing_and_no_negative_distance(
    x: float, y: float, w: float, h: float
) -> None:
    item = Detection(label="person", confidence=0.9, x=x, y=y, w=min(w, 1 - x), h=min(h, 1 - y))
    for scan in (None, rays(2.0)):
        sight = locate(item, CAMERA, scan)
        assert math.isfinite(sight.bearing_rad)
        assert math.isnan(sight.distance_m) or sight.distance_m > 0


def _truth(world: World, box: Box) -> tuple[float, float]:
    person, pose = world.people[box.thing], world.rover.pose
    dx, dy = person.x - pose.x, person.y - pose.y
    return math.remainder(math.atan2(dy, dx) - pose.yaw, math.tau), math.hypot(dx, dy)


@pytest.mark.parametrize("spot", [(7.0, 0.0), (8.0, 0.9), (9.0, -0.8), (11.0, 0.3)])
@pytest.mark.parametrize("with_rays", [True, False])
def test_people_in_the_simulators_pictures_are_placed_where_they_are(
    spot: tuple[float, float], with_rays: bool
) -> None:
    world = World(7, people=1)
    world.place_rover(5.0, 0.0, 0.05)
    world.place_person(0, *spot, 1.0)
    m = world.rover.measure(0.0, 0, world.faults)
    scan = Ranges(bearings_rad=BEARINGS_RAD, distances_m=m.ranges_m, max_m=RANGE_MAX_M)
    (box,) = (b for b in boxes(world.look(), world.building) if b.kind is Kind.PERSON)
    item = Detection(label="person", confidence=1.0, x=box.x, y=box.y, w=box.w, h=box.h)
    sight = locate(item, CAMERA, scan if with_rays else None)
    bearing, distance = _truth(world, box)
    assert sight.distance_m == pytest.approx(distance, rel=0.12)
    assert sight.bearing_rad == pytest.approx(bearing, abs=0.05)


def a_sight(bearing: float, label: str = "person", confidence: float = 0.9) -> Sight:
    return Sight(label, confidence, bearing, 2.0, "size")


def numbers(tracks: Tracks, sights: list[Sight], at_s: float) -> list[int]:
    """Return the track of each sight, in the order given."""
    found = dict(tracks.follow(sights, round(at_s * 1e9)))
    return [found[sight] for sight in sights]


def test_a_thing_keeps_its_number_while_it_moves() -> None:
    tracks = Tracks()
    seen = [numbers(tracks, [a_sight(0.1 * i)], i / 15) for i in range(10)]
    assert seen == [[1]] * 10


def test_two_people_keep_their_numbers_whoever_is_surer() -> None:
    tracks = Tracks()
    assert numbers(tracks, [a_sight(-0.3), a_sight(0.3)], 0.0) == [1, 2]
    assert numbers(tracks, [a_sight(-0.25, confidence=0.6), a_sight(0.25)], 0.1) == [1, 2]


def test_different_things_in_one_direction_are_different_tracks() -> None:
    tracks = Tracks()
    assert numbers(tracks, [a_sight(0.0), a_sight(0.0, "obstacle")], 0.0) == [1, 2]


def test_who_was_missed_for_a_moment_is_the_same_person() -> None:
    tracks = Tracks()
    numbers(tracks, [a_sight(0.0)], 0.0)
    numbers(tracks, [], 0.3)
    assert numbers(tracks, [a_sight(0.1)], 0.6) == [1]


def test_who_was_away_longer_is_somebody_new() -> None:
    tracks = Tracks()
    numbers(tracks, [a_sight(0.0)], 0.0)
    assert numbers(tracks, [a_sight(0.0)], FORGET_S + 0.1) == [2]


def test_who_appears_on_the_other_side_is_somebody_new() -> None:
    tracks = Tracks()
    numbers(tracks, [a_sight(-0.5)], 0.0)
    assert numbers(tracks, [a_sight(0.5)], 0.1) == [2]


@given(st.lists(st.lists(st.floats(-0.7, 0.7), max_size=4, unique=True), max_size=12))
def test_no_two_things_of_one_picture_share_a_number(pictures: list[list[float]]) -> None:
    tracks = Tracks()
    for i, bearings in enumerate(pictures):
        found = [track for _, track in tracks.follow(map(a_sight, bearings), i * 66_000_000)]
        assert len(set(found)) == len(bearings)
