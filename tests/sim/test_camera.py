"""What the camera shows."""

import importlib.util
import math

import numpy as np
import pytest

from olympus.runtime.errors import DeviceError
from olympus.sim.building import Kind
from olympus.sim.people import Walk
from olympus.sim.raycam import CEILING_ID, FLOOR_ID, boxes
from olympus.sim.world import World


def facing(distance_m: float, seed: int = 0) -> World:
    world = World(seed, walks=(Walk(((9.0, 0.0),)),))
    world.place_rover(9.0 - distance_m, 0.0, 0.0)
    return world


def test_a_person_in_front_stands_in_the_middle_of_the_picture() -> None:
    world = facing(3.0)
    box = boxes(world.look(), world.building)[0]
    assert box.kind is Kind.PERSON
    assert abs(box.x + box.w / 2 - 0.5) < 0.06
    assert box.distance_m == pytest.approx(3.0 - 0.14, abs=0.25)
    assert 0.35 < box.h < 0.75


def test_a_person_further_away_is_smaller() -> None:
    heights = []
    for distance_m in (2.5, 4.0, 6.0):
        world = facing(distance_m)
        heights.append(boxes(world.look(), world.building)[0].h)
    assert heights == sorted(heights, reverse=True)


def test_a_person_to_the_left_is_on_the_left() -> None:
    world = World(0, walks=(Walk(((9.0, 0.8),)),))
    world.place_rover(6.0, 0.0, 0.0)
    people = [b for b in boxes(world.look(), world.building) if b.kind is Kind.PERSON]
    assert people[0].x + people[0].w / 2 < 0.45


def test_furniture_is_labelled_as_an_obstacle() -> None:
    world = World(0, people=0)
    thing = min(world.plan.things, key=lambda t: abs(t.y))
    world.place_rover(thing.x - 1.5, 0.0, math.atan2(thing.y, 1.5))
    found = boxes(world.look(), world.building)
    assert found
    assert found[0].kind is Kind.OBSTACLE
    assert found[0].thing == 1000 + world.plan.things.index(thing)


def test_the_floor_is_below_and_the_ceiling_above() -> None:
    ids = World(0, people=0).look().geom_ids
    assert (ids[-1] == FLOOR_ID).mean() > 0.5
    assert (ids[0] == CEILING_ID).any()
    assert not (ids[-1] == CEILING_ID).any()


def test_every_pixel_meets_something_within_the_building() -> None:
    world = World(3)
    for i in range(6):
        world.scatter(i)
        view = world.look()
        assert np.isfinite(view.depth_m).all()
        assert view.depth_m.min() > 0.0
        assert view.depth_m.max() < 22.0


def test_the_depth_of_a_wall_agrees_with_the_plan() -> None:
    world = World(0, people=0)
    world.place_rover(16.0, 0.0, 0.0)
    depth = world.look().depth_m
    assert depth[60, 80] == pytest.approx((1.95 - 0.14) / math.cos(0.12), abs=0.06)


def test_pictures_have_contrast_and_colour() -> None:
    rgb = World(1).look().rgb.astype(float)
    assert rgb.std() > 25
    assert np.abs(rgb[..., 0] - rgb[..., 2]).mean() > 4


def test_a_frozen_camera_repeats_itself_and_thaws() -> None:
    world = facing(3.0)
    first = world.look()
    world.faults.camera_frozen = True
    world.step(0.5)
    assert np.array_equal(world.look().rgb, first.rgb)
    world.faults.camera_frozen = False
    assert not np.array_equal(world.look().rgb, first.rgb)


def test_black_and_garbage_pictures_show_nothing() -> None:
    world = facing(3.0)
    world.faults.camera_black = True
    assert world.look().rgb.max() == 0
    world.faults.camera_black = False
    world.faults.camera_garbage = True
    assert world.look().rgb.std() > 70


@pytest.mark.parametrize("size", [(80, 60), (96, 96), (320, 240)])
def test_other_sizes_work(size: tuple[int, int]) -> None:
    world = facing(3.0)
    view = world.look(*size)
    assert view.rgb.shape == (size[1], size[0], 3)
    assert boxes(view, world.building)[0].kind is Kind.PERSON


def test_interpolated_pixels_agree_with_cast_ones() -> None:
    """At twice the size every second pixel has its own ray in nearly the same direction."""
    world = facing(3.0)
    small, large = world.look(160, 120), world.look(320, 240)
    shrunk = large.depth_m.reshape(120, 2, 160, 2).mean((1, 3))
    assert np.median(np.abs(shrunk - small.depth_m)) < 0.02


def test_opengl_that_is_missing_is_told_with_the_way_out() -> None:
    if importlib.util.find_spec("OpenGL") is not None:
        pytest.skip("pyopengl is installed here")
    with pytest.raises(DeviceError, match="install pyopengl"):
        World(0, people=0, renderer="gl")


def test_opengl_shows_the_same_scene() -> None:
    try:
        world = World(0, walks=(Walk(((9.0, 0.0),)),), renderer="gl")
    except DeviceError as error:
        pytest.skip(f"no OpenGL here: {error}")
    world.place_rover(6.0, 0.0, 0.0)
    view = world.look()
    person = np.isin(view.geom_ids, np.flatnonzero(world.building.kinds == Kind.PERSON))
    assert view.rgb.shape == (120, 160, 3)
    assert np.abs(view.rgb[person].mean(0) - view.rgb[~person].mean(0)).max() > 20
