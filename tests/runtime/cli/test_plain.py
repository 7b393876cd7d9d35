"""Messages become plain values without loss of what matters."""

from __future__ import annotations

import json

import numpy as np

from olympus.runtime.cli.plain import as_json, as_text
from olympus.runtime.messages import Header, HostStats, Image, NodeStats, Ranges
from olympus.runtime.messages.plain import plain
from olympus.runtime.qos import Tier

IMAGE = Image(data=np.zeros((2, 3, 3), np.uint8), frame_id="front")


def test_an_array_is_told_by_type_and_shape() -> None:
    assert plain(IMAGE)["data"] == "uint8[2, 3, 3]"


def test_an_array_is_written_out_on_demand() -> None:
    assert plain(IMAGE, full=True)["data"] == [[[0, 0, 0]] * 3] * 2


def test_an_array_that_is_short_enough_is_written_out() -> None:
    assert plain(IMAGE, most=18)["data"] == [[[0, 0, 0]] * 3] * 2
    assert plain(IMAGE, most=17)["data"] == "uint8[2, 3, 3]"


def test_nothing_that_json_can_t_say_gets_into_it() -> None:
    values = np.array([1.0, np.nan, np.inf], np.float32)
    ranges = Ranges(bearings_rad=values, distances_m=values, max_m=float("nan"))
    found = json.loads(as_json(ranges, full=True))
    assert found["distances_m"] == [1.0, None, None]
    assert found["max_m"] is None
    assert found["type"] == "olympus/Ranges"


def test_a_tier_is_a_word() -> None:
    assert plain(Header(tier=Tier.HIGH))["tier"] == "HIGH"


def test_text_has_the_header_last() -> None:
    lines = as_text(IMAGE).splitlines()
    assert lines[0].startswith("data:")
    assert lines.index("header:") > lines.index("frame_id: front")


def test_nested_values_are_plain_too() -> None:
    node = NodeStats(name="a", uses="b", state="active", errors=0)
    stats = HostStats(
        host="h",
        pid=1,
        cpu=0.0,
        rss_mb=1.0,
        threads=1,
        uptime_s=0.0,
        restarts=0,
        loop_lag_ms=0.0,
        nodes=(node,),
        topics=(),
    )
    assert plain(stats)["nodes"][0]["name"] == "a"
