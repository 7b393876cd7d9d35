"""What was measured of models, where nothing has been loaded, and in virtual time."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.models.measured import measured, profiles_on
from olympus.models.onnx import OnnxModel, open_model
from olympus.models.registry import ZOO, Registry
from olympus.runtime.clock import VirtualClock, run_virtual
from olympus.runtime.errors import ConfigError, ModelError
from olympus.runtime.node import Node
from olympus.runtime.node.testing import running
from olympus.runtime.scheduler import Pace, Profile

PICTURE = {"image": np.zeros((1, 120, 160, 3), np.uint8)}


class Plain(Node):
    """Does nothing by itself."""


def test_a_profile_is_of_the_piece_that_can_not_be_interrupted() -> None:
    found = profiles_on("x86-64", ["person-obstacle", "planner"])
    detector = Registry().find("person-obstacle").manifest.latency[0]
    planner = Registry().find("planner").manifest.latency[0]
    assert found["person-obstacle"].p50_ns == round(detector.p50_ms * 1e6)
    assert planner.step is not None
    assert found["planner"].worst_ns == round(planner.step.worst_ms * 1e6)
    six = profiles_on("x86-64", ["planner"], scale=6.0)["planner"]
    assert six.worst_ns == 6 * found["planner"].worst_ns


def test_a_board_where_it_was_not_measured_is_told_with_the_way_out() -> None:
    with pytest.raises(ModelError, match="planner: was not measured on 'pi9', only on: x86-64"):
        profiles_on("pi9", ["planner"])


def test_a_folder_that_is_called_like_a_model_here_is_not_taken_for_it(tmp_path: Path) -> None:
    """A node takes what is known by the name, and so does who reckons with it before the start."""
    shutil.copytree(ZOO / "planner", tmp_path / "person-obstacle")
    found = measured("person-obstacle", tmp_path)
    assert found is not None and found.name == "person-obstacle"
    assert found.place == str(Registry().find("person-obstacle").folder.resolve())
    beside = measured("./person-obstacle", tmp_path)
    assert beside is not None and beside.name == "planner"


def took_ns(model: OnnxModel, profiles: dict[str, Profile], **how: Any) -> int:
    """Return how long three runs of a node's model take in virtual time."""
    clock = VirtualClock()

    async def story() -> int:
        async with running(Plain, clock=clock, profiles=profiles, **how) as bench:
            began_ns = clock.now_ns()
            await asyncio.gather(*(bench.node.infer(model, PICTURE) for _ in range(3)))
            return clock.now_ns() - began_ns

    return run_virtual(story(), clock)


async def test_profiles_where_no_time_is_virtual_are_refused_with_the_way_out() -> None:
    """The clock stood still there, and every model seemed to take no time at all."""
    profiles = profiles_on("x86-64", ["person-obstacle"])
    with pytest.raises(ConfigError, match=r"run_virtual\(story\(\), clock\)"):
        async with running(Plain, clock=VirtualClock(), profiles=profiles):
            pass


def test_a_node_s_model_takes_in_virtual_time_what_its_manifest_says_of_the_board() -> None:
    model = open_model("person-obstacle")
    slow = profiles_on("x86-64", ["person-obstacle"], scale=100.0)
    took = took_ns(model, slow)
    assert took == pytest.approx(3 * slow["person-obstacle"].p50_ns, abs=100)  # asyncio's floats
    assert took_ns(model, slow) == took  # whatever this machine does
    assert took_ns(model, {}) == 0


def test_it_takes_the_worst_or_what_a_seed_draws_where_a_test_asks_for_it() -> None:
    model = open_model("person-obstacle")
    slow = profiles_on("x86-64", ["person-obstacle"], scale=100.0)
    worst = took_ns(model, slow, pace=Pace.WORST)
    assert worst == pytest.approx(3 * slow["person-obstacle"].worst_ns, abs=100)
    drawn = {took_ns(model, slow, pace=Pace.SEEDED, seed=seed) for seed in range(8)}
    assert len(drawn) > 1
    assert took_ns(model, slow, pace=Pace.SEEDED, seed=0) in drawn
