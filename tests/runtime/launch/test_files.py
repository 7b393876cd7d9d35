"""The launch files that come with the house, and the one in the docs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import olympus
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.gateway import gateway_problems
from olympus.runtime.launch.schema import Host, LaunchFile, Node

HOUSE = Path(olympus.__file__).parent / "launch"
DOCS = Path(__file__).parents[3] / "docs" / "launch.md"


def example() -> str:
    match = re.search(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert match is not None
    return match[1]


def test_the_example_in_the_docs_loads(write: Callable[..., Path]) -> None:
    write("nodes: {arm: {uses: x}}\n", "parts/arm.yaml")
    write((HOUSE / "patrol.yaml").read_text(), "patrol.yaml")
    plan = make_plan(write(example()), ["site:=lab"])
    assert "left/camera" in plan.nodes
    assert plan.nodes["detector"].namespace == "lab"


def test_the_example_in_the_docs_shows_every_key() -> None:
    text = example()
    for section in (LaunchFile, Host, Node):
        missing = [key for key in section.model_fields if not re.search(rf"\b{key}:", text)]
        assert not missing, f"docs/launch.md shows no {', '.join(missing)} of {section.__name__}"


def test_the_watched_patrol_is_the_patrol_and_says_how_its_pictures_travel() -> None:
    plan = make_plan(HOUSE / "watched.yaml", ["address:=10.0.0.5"])
    assert plan.nodes.keys() == make_plan(HOUSE / "patrol.yaml").nodes.keys()
    assert plan.bus.listen[0] == "tcp/10.0.0.5:7447?prio=1-3"
    assert plan.bus.topics["rover/camera/image"].jpeg == 80
    assert gateway_problems(plan.bus, HOUSE) == []


def test_the_patrol_is_grouped_so_that_control_is_watched() -> None:
    plan = make_plan(HOUSE / "patrol.yaml")
    assert "control" in plan.safety.watch
    assert set(plan.hosts["control"].nodes) == {"navigator", "drive", "conditions"}
    assert next(iter(plan.hosts)) == "sim"
