"""Writes the ROS package `olympus_msgs`: the definitions of our own message types.

`python -m olympus.runtime.bus.ros2.mapping.package` writes it anew after one of them changed.
"""

from __future__ import annotations

from olympus.runtime.bus.ros2.catalogue import OWN_PACKAGE
from olympus.runtime.bus.ros2.mapping.own import definitions
from olympus.runtime.messages import (
    Ack,
    Actuation,
    Command,
    Heartbeat,
    Message,
    MissionState,
    Percept,
    Reading,
    SafetyState,
    SoundEvent,
)

CLASSES: tuple[type[Message], ...] = (
    Ack,
    Actuation,
    Command,
    Heartbeat,
    MissionState,
    Percept,
    Reading,
    SafetyState,
    SoundEvent,
)
"""What ROS users can build. Any other class of ours is known to our own nodes all the same: its
definition is derived when it is first sent. So a class that still changes does not stand here."""


def package_files() -> dict[str, str]:
    """Return the `.msg` files of the package by name."""
    return {
        f"{name.rpartition('/')[2]}.msg": text + "\n"
        for cls in CLASSES
        for name, text in definitions(cls)
    }


def write() -> None:
    """Write the files, and remove those of types that are no more."""
    folder = OWN_PACKAGE / "msg"
    folder.mkdir(parents=True, exist_ok=True)
    files = package_files()
    for old in folder.glob("*.msg"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write()
