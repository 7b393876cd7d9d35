"""Olympus inside a ROS 2 launch.

    ros2 launch launch/olympus.launch.py
    ros2 launch launch/olympus.launch.py file:=my_robot.yaml namespace:=/left use_sim_time:=true

It is a file for ROS 2's launch system and imports that, not Olympus, which runs as a process of its
own: the `olympus` command must be on the path, or named by `olympus:=/path/to/.venv/bin/olympus`.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration

HERE = Path(__file__).resolve().parent
ARGUMENTS = {
    "file": (str(HERE / "ros2.yaml"), "The Olympus launch file."),
    "namespace": ("", "Put before the topics and nodes of the session."),
    "use_sim_time": ("false", "Follow the /clock of a simulation."),
    "params_file": ("", "ROS or Olympus params file, laid over the launch file's params."),
    "log_level": ("info", "debug, info, warning or error."),
    "session": ("", "Name of the session; the launch file's own when empty."),
    "arguments": ("", "More KEY:=VALUE words for the Olympus launch file, blank between them."),
    "olympus": ("olympus", "The command."),
}


def command(values: dict) -> list:
    """Return the command line that starts Olympus.

    Args:
        values: Of the launch arguments, by name, all text.
    """
    words = [values["olympus"], "launch", values["file"], *values["arguments"].split()]
    if values["session"]:
        words += ["--session", values["session"]]
    words += ["--ros-args", "--log-level", values["log_level"]]
    if values["namespace"].strip("/"):
        words += ["-r", f"__ns:=/{values['namespace'].strip('/')}"]
    if values["use_sim_time"].lower() in ("true", "1"):
        words += ["-p", "use_sim_time:=true"]
    if values["params_file"]:
        words += ["--params-file", values["params_file"]]
    return words


def _start(context, *_args, **_kwargs) -> list:
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    # SIGINT first: Olympus stops its processes in order. The launch ends with it.
    process = ExecuteProcess(
        cmd=command(values),
        name="olympus",
        output="screen",
        sigterm_timeout="10",
        on_exit=[EmitEvent(event=Shutdown(reason="Olympus ended"))],
    )
    return [process]


def generate_launch_description() -> LaunchDescription:
    """Return what ROS 2 launches."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])
