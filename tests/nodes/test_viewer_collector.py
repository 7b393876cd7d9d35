from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from olympus.nodes.viewer.audience import Audience
from olympus.nodes.viewer.collector import Collector, levels_dbfs
from olympus.nodes.viewer.streams import Board, Cursor
from olympus.runtime.messages import (
    AudioChunk,
    Diagnostic,
    Header,
    Odometry,
    Percept,
    Pose,
    Reading,
)
from watched import end_of, host_of

SECOND = 1_000_000_000


def plain(value: object) -> Any:
    """Return what a browser would read."""
    return json.loads(json.dumps(value, allow_nan=False))


def collector(now_ns: int = 100 * SECOND) -> tuple[Collector, Board, Cursor]:
    board = Board()
    return Collector(board, Audience(), lambda: now_ns), board, Cursor()


def test_levels_are_decibels_below_full_scale() -> None:
    loud = AudioChunk(samples=np.full(100, 32767, np.int16))
    assert levels_dbfs(loud) == pytest.approx((0.0, 0.0), abs=0.01)
    half = AudioChunk(samples=np.full(100, -16384, np.int16))
    assert levels_dbfs(half) == pytest.approx((-6.02, -6.02), abs=0.01)
    assert levels_dbfs(AudioChunk(samples=np.zeros(0, np.int16))) == (-90.0, -90.0)
    assert levels_dbfs(AudioChunk(samples=np.zeros(9, np.int16))) == (-90.0, -90.0)


def test_a_reading_that_is_not_valid_is_a_gap_with_a_reason() -> None:
    to, board, cursor = collector()
    good = Header(stamp=SECOND)
    to.on_reading(Reading(header=good, name="hall/t", value=20.0, unit="Cel"))
    bad = Header(stamp=2 * SECOND)
    to.on_reading(
        Reading(header=bad, name="hall/t", value=999.0, unit="Cel", valid=False, text="?")
    )
    news = plain(board.news(cursor))
    assert news["streams"]["points"] == [["hall/t", 1000.0, 20.0], ["hall/t", 2000.0, None]]
    assert news["values"]["series"]["hall/t"]["text"] == "?"


def test_a_fast_series_is_thinned_for_the_eye() -> None:
    to, board, cursor = collector()
    for number in range(1, 101):
        stamp = number * SECOND // 100
        to.on_reading(Reading(header=Header(stamp=stamp), name="x", value=1.0, unit="1"))
    points = plain(board.news(cursor))["streams"]["points"]
    assert 8 <= len(points) <= 12


def test_one_reading_from_the_future_does_not_hold_back_all_that_follow() -> None:
    to, board, cursor = collector()
    for seconds in (3600, 10, 11):
        stamp = seconds * SECOND
        to.on_reading(Reading(header=Header(stamp=stamp), name="x", value=1.0, unit="1"))
    points = plain(board.news(cursor))["streams"]["points"]
    assert [point[1] for point in points] == [3_600_000.0, 10_000.0, 11_000.0]


def test_a_percept_goes_when_it_has_expired() -> None:
    now = [SECOND]
    board = Board()
    to = Collector(board, Audience(), lambda: now[0])
    old = Header(expires=2 * SECOND)
    to.on_percept(Percept(header=old, kind="object", label="person", confidence=0.8))
    to.on_tick()
    assert [row["label"] for row in plain(board.value("percepts").state)] == ["person"]
    now[0] = 3 * SECOND
    to.on_tick()
    assert board.value("percepts").state == []


def test_a_percept_that_claims_to_hold_for_ever_goes_too() -> None:
    now = [SECOND]
    board = Board()
    to = Collector(board, Audience(), lambda: now[0])
    for_ever = Header(expires=2**63 - 1)
    to.on_percept(Percept(header=for_ever, kind="object", label="person", confidence=0.8))
    now[0] = 5 * SECOND
    to.on_tick()
    assert [row["label"] for row in plain(board.value("percepts").state)] == ["person"]
    now[0] = 20 * SECOND
    to.on_tick()
    assert board.value("percepts").state == []


def test_of_a_flood_of_percepts_the_newest_are_shown() -> None:
    to, board, _ = collector()
    for track in range(1000):
        claim = Percept(kind="object", label="box", confidence=track / 1000, track=track)
        to.on_percept(claim)
    to.on_tick()
    shown = [row["confidence"] for row in plain(board.value("percepts").state)]
    assert len(shown) == 100
    assert shown[0] == 0.9
    assert shown[-1] == 1.0


def test_the_health_of_parts_is_shown_as_they_said_it_last() -> None:
    to, board, _ = collector()
    for level in ("ok", "stale"):
        whose = Header(source="rover/camera", stamp=SECOND)
        to.on_diagnostic(Diagnostic(header=whose, level=level, name="camera/device", text="x"))
    to.on_rows("rover/viewer")
    (row,) = plain(board.value("health").state)
    assert (row["node"], row["part"], row["level"]) == ("rover/camera", "camera/device", "stale")
    for number in range(300):
        to.on_diagnostic(Diagnostic(level="ok", name=f"part{number}", text=""))
    to.on_rows("rover/viewer")
    assert len(plain(board.value("health").state)) == 200


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_place_that_is_no_number_does_not_end_the_trail(bad: float) -> None:
    to, board, cursor = collector()
    for x_m in (bad, 1.0, bad, 2.0):
        to.on_odometry(Odometry(x_m=x_m, y_m=0.0, yaw_rad=0.0, linear_mps=0.1, angular_radps=0.0))
    assert plain(board.news(cursor))["streams"]["trail"] == [[1.0, 0.0], [2.0, 0.0]]


def test_a_pose_that_is_no_place_leaves_it_to_the_wheels() -> None:
    to, board, _ = collector()
    nowhere = Pose(x_m=math.nan, y_m=0.0, z_m=0.0, qx=0.0, qy=0.0, qz=0.0, qw=1.0)
    to.on_pose(nowhere)
    to.on_odometry(Odometry(x_m=1.5, y_m=0.5, yaw_rad=0.1, linear_mps=0.1, angular_radps=0.0))
    shown = plain(board.value("pose").state)
    assert (shown["x"], shown["y"], shown["yaw"]) == (1.5, 0.5, 0.1)


def test_a_rover_that_stands_adds_nothing_to_its_trail() -> None:
    to, board, cursor = collector()
    for x_m in (0.0, 0.01, 0.02, 0.5, 0.5):
        to.on_odometry(Odometry(x_m=x_m, y_m=0.0, yaw_rad=0.0, linear_mps=0.1, angular_radps=0.0))
    assert plain(board.news(cursor))["streams"]["trail"] == [[0.0, 0.0], [0.5, 0.0]]


def test_the_place_on_the_map_is_shown_and_the_wheels_count_only_without_it() -> None:
    to, board, _ = collector()
    for stamp, x_m in ((1, 3.0), (SECOND, 3.1), (3 * SECOND, 3.2)):
        wheels = {"y_m": 0.7, "yaw_rad": 0.0, "linear_mps": 0.1, "angular_radps": 0.0}
        to.on_odometry(Odometry(header=Header(stamp=stamp), x_m=x_m, **wheels))
        shown = plain(board.value("pose").state)
        where = shown["x"], shown["y"], round(shown["yaw"], 4)
        assert (
            where
            == {
                1: (3.0, 0.7, 0.0),
                SECOND: (5.0, 0.1, 3.1416),
                3 * SECOND: (3.2, 0.7, 0.0),
            }[stamp]
        )
        if stamp == 1:
            to.on_pose(Pose(header=Header(stamp=1), x_m=5.0, y_m=0.1, qz=1.0, qw=0.0))


def test_a_rate_is_unknown_while_its_host_is_away() -> None:
    now = [10 * SECOND]
    board = Board()
    to = Collector(board, Audience(), lambda: now[0])
    to.on_host_stats(host_of("camera", end_of("rover/image", "pub", "rover/camera")))
    to.on_rows("")
    to.on_second()
    now[0] = 20 * SECOND
    to.on_rows("")
    to.on_second()
    rates = [item["hz"]["rover/image"] for item in plain(board.stream("rates", 9).since(0))]
    assert rates == [15.0, None]
