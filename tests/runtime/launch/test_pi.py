"""The launch file for a small computer is the patrol with real devices."""

from __future__ import annotations

from pathlib import Path

import olympus
from olympus.runtime.launch.build import make_plan

HOUSE = Path(olympus.__file__).parent / "launch"


def test_a_board_runs_the_patrol_s_nodes_with_devices_in_place_of_the_building() -> None:
    patrol, pi = make_plan(HOUSE / "patrol.yaml"), make_plan(HOUSE / "pi.yaml", ["speed:=0.1"])
    assert set(patrol.nodes) - set(pi.nodes) == {"world"}
    sources = [str(pi.nodes[name].written["source"]) for name in ("camera", "microphone", "drive")]
    assert not any(source.startswith("sim:") for source in sources)
    assert pi.nodes["navigator"].written["speed_mps"] == 0.1
    assert pi.nodes["navigator"].written["route"] == []
    assert pi.safety.watch == {**patrol.safety.watch, "control": 0.3}


def test_a_board_s_devices_are_set_from_the_command_line() -> None:
    pi = make_plan(HOUSE / "pi.yaml", ["drive.source:=serial:///dev/ttyTHS1", "width:=640"])
    assert pi.nodes["drive"].typed["source"] == "serial:///dev/ttyTHS1"
    assert pi.nodes["camera"].written["width"] == 640
