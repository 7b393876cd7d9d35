"""Fields of any message among the plots."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from olympus.nodes.viewer import Viewer
from olympus.nodes.viewer.plots import number_at, parted, unit_of
from olympus.nodes.viewer.streams import Board, Cursor
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Detection, Detections, Odometry, Ranges, Reading
from olympus.runtime.node.testing import Bench, running

MOVING = Odometry(x_m=1.0, y_m=2.0, yaw_rad=0.5, linear_mps=0.3, angular_radps=-0.1)


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        ("linear_mps", "m/s"),
        ("header.seq", "1"),
        ("distances_m.3", "m"),
        ("items.0.confidence", "1"),
        ("m", "1"),
        ("loop_lag_ms", "ms"),
    ],
)
def test_the_name_of_a_field_tells_its_unit(field: str, unit: str) -> None:
    assert unit_of(field) == unit


@pytest.mark.parametrize(
    ("way", "number"),
    [
        ("x_m", 1.0),
        ("header.seq", 0.0),
        ("nothing", None),
        ("x_m.0", None),
        ("header.source", None),
        ("__class__", None),
        ("", None),
    ],
)
def test_a_way_into_a_message_ends_at_a_number_or_at_nothing(
    way: str, number: float | None
) -> None:
    assert number_at(MOVING, way.split(".")) == number


def test_a_way_goes_through_lists_and_arrays() -> None:
    found = Detections(items=(Detection(label="x", confidence=0.5, x=0, y=0, w=1, h=1),))
    assert number_at(found, ["items", "0", "confidence"]) == 0.5
    assert number_at(found, ["items", "1", "confidence"]) is None
    pair = np.array([1.5, 2.0], np.float32)
    ranges = Ranges(bearings_rad=pair, distances_m=pair, max_m=4.0)
    assert number_at(ranges, ["distances_m", "1"]) == 2.0
    assert number_at(ranges, ["distances_m"]) is None


@pytest.mark.parametrize("wrong", ["odometry", ":x", "odometry:", ""])
def test_what_names_no_field_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(ConfigError, match="odometry:linear_mps"):
        parted(wrong)


async def points(board: Board) -> list[list[object]]:
    """Return the points there are, once there are any."""
    async with asyncio.timeout(10):
        while True:
            streams = board.news(Cursor())["streams"]
            assert isinstance(streams, dict)
            if "points" in streams:
                return list(streams["points"])
            await asyncio.sleep(0.01)


async def test_a_field_named_in_the_launch_file_is_plotted_until_it_is_left_out() -> None:
    params = {"port": 0, "plots": ["somewhere:linear_mps"]}
    async with running(Viewer, params=params, name="viewer", namespace="rover") as bench:
        name, board = "rover/somewhere:linear_mps", bench.node.board
        await bench.send("rover/somewhere", MOVING)
        assert [(p[0], p[2]) for p in await points(board)] == [(name, 0.3)]
        series = board.value("series").state
        assert isinstance(series, dict)
        assert (series[name]["unit"], series[name]["valid"]) == ("m/s", True)
        assert board.value("plots").state == [name]
        await bench.node.plot("rover/somewhere", "linear_mps", on=False)
        assert board.value("series").state == {}
        assert board.value("plots").state == []
        assert not listens(bench, "rover/somewhere")


async def test_a_message_without_the_field_is_a_gap_with_the_reason() -> None:
    async with running(Viewer, params={"port": 0}, name="viewer", namespace="rover") as bench:
        await bench.node.plot("rover/somewhere", "linear_mps", on=True)
        await bench.send("rover/somewhere", Reading(name="x", value=math.nan, unit="1"))
        assert [p[2] for p in await points(bench.node.board)] == [None]
        series = bench.node.board.value("series").state
        assert isinstance(series, dict)
        told = series["rover/somewhere:linear_mps"]
        assert (told["valid"], told["text"]) == (False, "Reading has no number 'linear_mps'")


async def test_too_many_plots_are_refused() -> None:
    async with running(Viewer, params={"port": 0}, name="viewer", namespace="rover") as bench:
        for number in range(24):
            await bench.node.plot("rover/odometry", f"f{number}", on=True)
        with pytest.raises(ConfigError, match="leave one out"):
            await bench.node.plot("rover/odometry", "one_more", on=True)


def listens(bench: Bench[Viewer], topic: str) -> bool:
    ends = bench.bus.stats(bench.node.clock.now_ns())
    return any(e.topic == topic and e.role == "sub" for e in ends)
