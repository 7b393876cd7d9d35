"""The section `ros2` of a launch file: the node it makes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.params import effective_params

Write = Callable[..., Path]
FILE = """\
namespace: rover
arguments: {domain: 3, on: true}
ros2:
  enabled: ${on}
  host: bridge
  domain: ${domain}
  distro: humble
  interfaces: [msgs]
  subscribe:
    - {ros: /cmd_vel, type: geometry_msgs/msg/Twist, topic: rover/cmd_vel}
nodes:
  viewer: {uses: olympus.nodes.viewer}
"""


def test_the_section_makes_a_node_with_its_settings(write: Write) -> None:
    file = write(FILE)
    plan = make_plan(file)
    node = plan.nodes["ros2"]
    assert (node.uses, node.namespace, node.host) == ("olympus.nodes.ros2", "rover", "bridge")
    params = effective_params(plan, {})["ros2"]
    assert params["domain"] == 3
    assert params["distro"] == "humble"
    assert params["interfaces"] == [str(file.parent / "msgs")]
    assert params["subscribe"] == [
        {"ros": "/cmd_vel", "type": "geometry_msgs/msg/Twist", "topic": "rover/cmd_vel"}
    ]


def test_it_can_be_switched_off(write: Write) -> None:
    plan = make_plan(write(FILE), ["on:=false"])
    assert "ros2" not in plan.nodes
    assert "ros2" in plan.disabled


def test_a_param_of_it_is_set_like_any_other(write: Write) -> None:
    plan = make_plan(write(FILE), ["ros2.rosout:=false"])
    assert effective_params(plan, {})["ros2"]["rosout"] is False


def test_an_including_file_refines_it(write: Write) -> None:
    write(FILE, name="inner.yaml")
    outer = write("include: [inner.yaml]\nros2: {distro: lyrical}\n", name="outer.yaml")
    params = effective_params(make_plan(outer), {})["ros2"]
    assert (params["distro"], params["domain"]) == ("lyrical", 3)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("ros2: {distr: jazzy}", "did you mean 'distro'"),
        ("ros2: {distro: foxy}", "humble"),
        ("ros2: {subscribe: [{ros: /a, type: Twist}]}", "is no ROS type"),
        ("ros2: {publish: [{topic: a, ros: 'b c'}]}", "is no ROS name"),
    ],
)
def test_what_is_wrong_in_it_is_named_with_its_line(
    write: Write, wrong: str, complaint: str
) -> None:
    with pytest.raises(LaunchError, match=complaint) as refusal:
        make_plan(write(wrong + "\n"))
    assert ":1" in str(refusal.value)


def test_the_shipped_file_is_in_order() -> None:
    file = Path(__file__).resolve().parents[3] / "launch" / "ros2.yaml"
    plan = make_plan(file, ["domain:=7", "obey:=ros_cmd_vel"])
    assert effective_params(plan, {})["ros2"]["domain"] == 7
    assert plan.nodes["drive"].remaps == {"cmd_vel": "ros_cmd_vel"}
