"""A real ROS 2 from wheels, beside `.venv`, for the tests that are marked `ros2_real`.

It is rclpy with Fast DDS as packed by the project ros-python-wheels; nothing on the system is
changed. It stands in a virtual environment of its own, since a session with `backend: auto` takes
rclpy wherever it can be imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import environment

DISTROS = {
    "jazzy": ("ros-rclpy==7.1.6", "ros-rmw-fastrtps-cpp==8.4.3", "ros-common-interfaces==5.3.6",
              "ros-test-msgs==2.0.3"),
    "kilted": ("ros-rclpy==9.1.2", "ros-rmw-fastrtps-cpp==9.3.3", "ros-common-interfaces==5.5.1",
               "ros-test-msgs==2.3.0"),
}  # fmt: skip
"""What is installed for each distribution."""
PEERS = ("dora-rs==1.1.0", "pyarrow==26.0.1")
"""Somebody else who speaks rmw_zenoh's wire: dora's ROS 2 bridge."""
TESTS = "tests/runtime/bus/ros2"
PATIENCE_S = 300.0
"""How long a step of installing may take: the slowest loads 160 MB."""


class RosError(Exception):
    """It can't be had here; says why."""


def test(distro: str, args: list[str]) -> int:
    """Install a distribution if need be, and run the tests that want a real ROS 2.

    Args:
        distro: A key of `DISTROS`.
        args: More words for pytest.

    Returns:
        0 when all passed, else 1.

    Raises:
        RosError: The distribution can't be had.
    """
    python = install(distro)
    env = dict(os.environ, ROS_DISTRO=distro)
    env.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    env.setdefault("ROS_LOG_DIR", str(python.parent.parent / "log"))
    # The wheels' own dependencies still import what Python has deprecated.
    quiet = ["-W", "ignore::DeprecationWarning"]
    command = [str(python), "-m", "pytest", "-m", "ros2_real", *quiet, TESTS, *args]
    result = subprocess.run(command, cwd=str(environment.ROOT), env=env, check=False)
    return 1 if result.returncode else 0


def install(distro: str) -> Path:
    """Return the Python that has the distribution, and Olympus with all that `.venv` has.

    Raises:
        RosError: The wheels can't be had for this Python or machine.
    """
    home = environment.ROOT / f".venv-ros-{distro}"
    python, done = home / "bin" / "python", home / "complete"
    packages = [*DISTROS[distro], *PEERS]
    wanted = "\n".join(packages)
    if done.exists() and done.read_text() == wanted:
        return python
    sys.stdout.write(f"     ROS 2 {distro} into {home.name}, about 220 MB\n")
    sys.stdout.flush()
    _do([str(environment.PYTHON), "-m", "venv", "--clear", str(home)], dict(os.environ))
    pip = [str(environment.PYTHON), "-m", "pip", "config", "list"]
    listing = subprocess.run(pip, stdout=subprocess.PIPE, text=True, check=False)
    env = environment.uv_environment(environment.pip_settings(listing.stdout), dict(os.environ))
    uv = [str(environment.VENV / "bin" / "uv"), "pip", "install", "--quiet"]
    _do([*uv, "--python", str(python), *packages], env)
    (ours,) = environment.VENV.glob("lib/python3.*/site-packages")
    (mine,) = home.glob("lib/python3.*/site-packages")
    line = f"import site; site.addsitedir({str(ours)!r})\n"
    (mine / "zz_olympus.pth").write_text(line)
    done.write_text(wanted)
    return python


def _do(command: list[str], env: dict[str, str]) -> None:
    try:
        result = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RosError(f"{Path(command[0]).name} got nowhere within {PATIENCE_S:.0f} s") from None
    if result.returncode != 0:
        last = "\n".join(result.stderr.strip().splitlines()[-8:])
        raise RosError(f"this ROS 2 can't be had here: {Path(command[0]).name} says\n{last}")
