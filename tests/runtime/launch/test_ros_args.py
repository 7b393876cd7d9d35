"""`--ros-args` and the launch file for ROS 2's own launch system."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.params import effective_params
from olympus.runtime.launch.ros_args import as_words

Write = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[3]
FILE = """\
namespace: rover
arguments: {speed: 0.4}
ros2: {}
nodes:
  camera: {uses: olympus.nodes.camera, params: {fps: 15}}
  drive: {uses: olympus.nodes.drive, params: {rate_hz: 50, max_age_ms: "${speed}"}}
"""


def plan(file: Path, *ros: str) -> object:
    return make_plan(file, as_words(["--ros-args", *ros]))


def test_the_words_of_ros_become_our_own() -> None:
    words = ["launch", "a.yaml", "x:=1", "--ros-args", "-p", "speed:=0.2", "-p", "/camera:fps:=5",
             "--params-file", "p.yaml", "--", "--go"]  # fmt: skip
    assert as_words(words) == [
        "launch", "a.yaml", "x:=1", "speed:=0.2", "camera.fps:=5", "__params_file:=p.yaml", "--go",
    ]  # fmt: skip


def test_params_remaps_namespace_and_level_arrive(write: Write) -> None:
    made = make_plan(
        write(FILE),
        as_words(
            ["--ros-args", "-p", "speed:=0.2", "-p", "camera:fps:=5", "-r", "__ns:=/left",
             "-r", "drive:cmd_vel:=/teleop", "-r", "image:=picture", "--log-level", "DEBUG"]
        ),
    )  # fmt: skip
    params = effective_params(made, {})
    assert (params["camera"]["fps"], params["drive"]["max_age_ms"]) == (5, 0.2)
    assert made.nodes["drive"].remaps == {"cmd_vel": "/teleop", "image": "picture"}
    assert made.nodes["camera"].remaps == {"image": "picture"}
    assert made.nodes["camera"].namespace == "left/rover"
    assert made.telemetry.log_level == "debug"


def test_simulated_time_makes_the_bridge_follow_the_clock(write: Write) -> None:
    words = as_words(["--ros-args", "-p", "use_sim_time:=true"])
    assert effective_params(make_plan(write(FILE), words), {})["ros2"]["clock"] == "follow"
    assert "clock" not in effective_params(make_plan(write(FILE)), {})["ros2"]


def test_a_params_file_of_ros_is_read(write: Write) -> None:
    file = write(
        "/rover/camera:\n  ros__parameters: {fps: 7}\ndrive:\n  ros__parameters: {rate_hz: 20}\n",
        name="ros.yaml",
    )
    words = as_words(["--ros-args", "--params-file", str(file)])
    params = effective_params(make_plan(write(FILE), words), {})
    assert (params["camera"]["fps"], params["drive"]["rate_hz"]) == (7, 20)


@pytest.mark.parametrize(
    "text",
    [
        "/**:\n  ros__parameters: {use_sim_time: true}\n",
        "/rover/camera:\n  ros__parameters: {use_sim_time: true}\n",
        "rover:\n  camera:\n    ros__parameters:\n      use_sim_time: true\n",
    ],
)
def test_simulated_time_in_a_params_file_of_ros_is_the_sessions(write: Write, text: str) -> None:
    words = as_words(["--ros-args", "--params-file", str(write(text, name="ros.yaml"))])
    params = effective_params(make_plan(write(FILE), words), {})
    assert params["ros2"] == {"clock": "follow"}
    assert params["camera"] == {"fps": 15}
    said = write(FILE.replace("ros2: {}", "ros2: {clock: publish}"))
    assert effective_params(make_plan(said, words), {})["ros2"] == {"clock": "publish"}


def test_several_params_files_lie_over_each_other(write: Write) -> None:
    one = write("/rover/camera:\n  ros__parameters: {fps: 7}\n", name="one.yaml")
    two = write(
        "rover:\n  drive:\n    ros__parameters: {rate_hz: 20}\n"
        "/rover/*:\n  ros__parameters: {rate_hz: 30}\n",
        name="two.yaml",
    )
    words = ["--ros-args", "--params-file", str(one), "--params-file", str(two)]
    params = effective_params(make_plan(write(FILE), as_words(words)), {})
    assert (params["camera"]["fps"], params["drive"]["rate_hz"]) == (7, 30)


def test_a_node_may_be_named_in_full(write: Write) -> None:
    words = ["--ros-args", "-p", "/rover/camera:fps:=5", "-r", "/rover/drive:cmd_vel:=/teleop"]
    made = make_plan(write(FILE), as_words(words))
    assert effective_params(made, {})["camera"]["fps"] == 5
    assert made.nodes["drive"].remaps == {"cmd_vel": "/teleop"}
    assert made.nodes["camera"].remaps == {}


def test_a_section_of_a_params_file_that_names_no_node_is_named(write: Write) -> None:
    file = write("rover:\n  camra:\n    ros__parameters: {fps: 7}\n", name="ros.yaml")
    words = as_words(["--ros-args", "--params-file", str(file)])
    with pytest.raises(LaunchError, match=r"ros\.yaml:2: no node is called 'rover/camra'"):
        effective_params(make_plan(write(FILE), words), {})


@pytest.mark.parametrize(
    ("ros", "complaint"),
    [
        (["-r", "__node:=x"], "only __ns, of all nodes"),
        (["-r", "camera:__ns:=/left"], "only __ns, of all nodes"),
        (["-p", "camera:use_sim_time:=true"], "share one time"),
        (["--log-level", "camera:=debug"], "one level for all"),
        (["-x", "1"], "known are -p"),
        (["-p"], "each with a value"),
        (["-p", "speed=1"], "NAME:=VALUE"),
        (["--log-level", "loud"], "known are debug"),
        (["-r", "dive:a:=b"], "no node is called 'dive'"),
    ],
)
def test_what_is_wrong_behind_ros_args_is_named(
    write: Write, ros: list[str], complaint: str
) -> None:
    with pytest.raises(LaunchError, match=complaint):
        plan(write(FILE), *ros)


STAND_IN = {
    "__init__": """
class LaunchDescription:
    def __init__(self, initial_entities=None, *, deprecated_reason=None):
        self.parts = list(initial_entities)
""",
    "actions": """
class DeclareLaunchArgument:
    def __init__(self, name, *, default_value=None, description=None, choices=None):
        assert isinstance(default_value, str) and isinstance(description, str)
        self.name = name
class OpaqueFunction:
    def __init__(self, *, function, args=None, kwargs=None): self.function = function
class ExecuteProcess:
    def __init__(self, *, cmd, name=None, output="log", sigterm_timeout=None, on_exit=None):
        assert all(isinstance(word, str) for word in [*cmd, name, output, sigterm_timeout])
        self.cmd, self.on_exit = cmd, on_exit
class EmitEvent:
    def __init__(self, *, event): self.event = event
""",
    "events": """
class Shutdown:
    def __init__(self, *, reason="reason not given", due_to_sigint=False): self.reason = reason
""",
    "substitutions": """
class LaunchConfiguration:
    def __init__(self, variable_name, *, default=None): self.name = variable_name
    def perform(self, context): return context[self.name]
""",
}
"""ROS 2's launch package, as far as our file uses it, with the parameters that the real one takes.

Source: the repository ros2/launch; neither PyPI nor Debian has it as a package.
"""


def test_the_launch_file_for_ros_starts_olympus_with_what_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "launch").mkdir()
    for name, text in STAND_IN.items():
        (tmp_path / "launch" / f"{name}.py").write_text(text)
    code = f"""
import json, runpy
found = runpy.run_path({str(ROOT / "launch" / "olympus.launch.py")!r})
values = {{name: default for name, (default, _) in found["ARGUMENTS"].items()}}
values |= {{"file": "a.yaml", "namespace": "/left"}}
values |= {{"use_sim_time": "true", "params_file": "p.yaml"}}
*declared, start = found["generate_launch_description"]().parts
print(json.dumps([[one.name for one in declared], start.function(values)[0].cmd]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    declared, command = json.loads(result.stdout)
    assert {"namespace", "use_sim_time", "params_file", "file"} <= set(declared)
    assert command == [
        "olympus", "launch", "a.yaml", "--ros-args", "--log-level", "info", "-r", "__ns:=/left",
        "-p", "use_sim_time:=true", "--params-file", "p.yaml",
    ]  # fmt: skip
