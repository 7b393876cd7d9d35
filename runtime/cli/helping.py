"""What each command's help says: its docstring, and an example or two below."""

from __future__ import annotations

import re
from inspect import getdoc

import typer

EXAMPLES: dict[str, tuple[str, ...]] = {
    "launch": ("launch/patrol.yaml --go", "launch/pi.yaml speed:=0.2 camera.fps:=10"),
    "check": ("launch/patrol.yaml", "launch/patrol.yaml --board pi5"),
    "lint": ("nodes/shy.py",),
    "record": ("drive.mcap", "drive.mcap --topics 'rover/**' --duration 30"),
    "replay": ("odd --verify", "odd --viewer --from 30", "drive.mcap --viewer"),
    "top": ("", "--once"),
    "trace": ("cpu.trace",),
    "say": ("'patrol the corridor'", "'go to the middle, then home'"),
    "topic list": ("", "--all"),
    "topic echo": ("rover/percepts", "'rover/*' -n 3 --json"),
    "topic history": ("rover/odometry --last 20",),
    "topic type": ("rover/percepts", "olympus/Reading"),
    "topic hz": ("rover/camera/image",),
    "topic bw": ("rover/camera/image",),
    "topic delay": ("rover/detections",),
    "node list": ("",),
    "node info": ("rover/navigator",),
    "param list": ("rover/navigator",),
    "param get": ("rover/navigator speed_mps",),
    "param set": ("rover/navigator speed_mps 0.3",),
    "service list": ("",),
    "service call": ("rover/navigator/say '{text: patrol the corridor, verb: \"\"}'",),
    "store stats": ("", "/data/robot"),
    "store check": ("patrol",),
    "store backup": ("/media/usb/patrol patrol",),
    "store restore": ("/media/usb/patrol patrol",),
    "store compact": ("patrol",),
    "store forget": ("patrol --subject ada",),
    "store export": ("patrol drive.mcap --from +60 --until +90",),
    "store import": ("drive.mcap other",),
    "store follow": ("'rover/**' --as uploader",),
    "store consumers": ("patrol",),
    "store migrate": ("patrol",),
    "store key": ("store.key",),
    "store deadletters list": ("", "patrol"),
    "store deadletters show": ("3fa94c01",),
    "store deadletters export": ("3fa94c01 message.bin",),
    "store deadletters retry": ("3fa94c01",),
    "store deadletters forget": ("3fa94c01", "--all"),
    "audit verify": ("", "--anchor usb/anchor.json"),
    "audit show": ("",),
    "audit anchor": ("",),
    "audit key": ("audit.key",),
    "audit rekey": ("",),
    "doctor": ("",),
    "ros2 router": ("",),
    "ros2 topic list": ("",),
    "ros2 topic info": ("/cmd_vel",),
    "ros2 topic echo": ("/odom",),
    "ros2 topic hz": ("/scan",),
    "ros2 topic pub": ("/chatter std_msgs/msg/String '{data: hello}'",),
    "ros2 node list": ("",),
    "ros2 node info": ("/rover/navigator",),
    "ros2 service list": ("",),
    "ros2 service info": ("/rover/drive/get_state",),
    "ros2 service call": ("/rover/drive/get_state '{}'",),
    "ros2 action list": ("",),
    "ros2 action info": ("/navigate_to_pose",),
    "ros2 action send_goal": ("/navigate_to_pose '{pose: {pose: {position: {x: 2.0}}}}'",),
    "ros2 interface list": ("",),
    "ros2 interface show": ("geometry_msgs/msg/Twist",),
    "ros2 bag info": ("drive.mcap",),
    "ros2 bag play": ("drive.mcap",),
    "models list": ("",),
    "models verify": ("", "person-obstacle"),
    "models bench": ("--out profile.yaml",),
    "models swap": ("person-obstacle my_models/person-obstacle-2",),
    "models rollback": ("person-obstacle",),
    "models quantize": ("model.onnx --calibration FOLDER",),
}
"""What is typed after the command's own words; an empty one is the command alone."""


def explain(app: typer.Typer, words: str = "") -> None:
    """Set the help of all commands of an application and of its groups, and examples below it.

    Args:
        app: Where commands were added.
        words: What is typed before them, without `olympus`.
    """
    for command in app.registered_commands:
        command.help = command.help or help_of(command.callback)
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        path = f"{words} {name}".strip()
        if path in EXAMPLES and not command.epilog:
            typed = [f"olympus {path} {rest}".strip() for rest in EXAMPLES[path]]
            command.epilog = "For example:\n\n" + "\n\n".join(f"  {line}" for line in typed)
    for group in app.registered_groups:
        if group.typer_instance is not None and group.name:
            explain(group.typer_instance, f"{words} {group.name}".strip())


def help_of(command: object) -> str:
    """Return a function's docstring without the sections that are for programmers.

    A paragraph becomes one line, which is broken anew where the terminal ends.
    """
    text = re.split(r"\n\s*(?:Args|Raises|Returns|Yields):", getdoc(command) or "")[0].strip()
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)
