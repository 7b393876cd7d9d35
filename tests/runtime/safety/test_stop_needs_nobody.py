"""A stop needs nobody's leave: no gate, agent, model, consent or network, by construction."""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import olympus.runtime.safety
from olympus.drivers.serial_protocol import encode_neutral, encode_speeds
from olympus.hardware.firmware.rover_base import Controller
from olympus.runtime.safety import spawn
from olympus.runtime.safety.acks import Reason
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.gate import Command, decide, start
from olympus.runtime.safety.lease import LeaseView
from olympus.runtime.safety.limits import Limits, Rules
from olympus.runtime.safety.protocol import SOCKET
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.stopline import pull
from olympus.sim.motor_controller import RoverConfig, SimBoard

ROOM = Path(olympus.runtime.safety.__file__).parent
STOP_PATH = (
    "guardian", "keeper", "state", "gate", "client", "call", "mailbox", "protocol", "stopline",
    "lease", "acks", "heartbeat", "processes", "neutral_line", "shared",
)  # fmt: skip
"""Everything between somebody who stops and the actuator."""

Begin = Callable[[Settings], spawn.Started]


@pytest.mark.parametrize("room", sorted(path.stem for path in ROOM.glob("*.py")))
def test_the_rooms_of_the_stop_import_the_standard_library_and_each_other(room: str) -> None:
    allowed = {"olympus", "olympus.runtime.errors", "olympus.runtime.safety"}
    for node in ast.walk(ast.parse((ROOM / f"{room}.py").read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            home = ".".join(name.split(".")[:3])
            assert home in allowed or name.split(".")[0] in sys.stdlib_module_names, name


def test_what_a_stop_loads_is_this_room_alone() -> None:
    names = ", ".join(f"olympus.runtime.safety.{room}" for room in STOP_PATH)
    code = f"import {names}, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=spawn.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    ours = [name for name in json.loads(done.stdout) if name.startswith("olympus.")]
    houses = {".".join(name.split(".")[:3]) for name in ours}
    assert houses == {"olympus.runtime", "olympus.runtime.errors", "olympus.runtime.safety"}


def stop_by_word(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"stop", str(directory / SOCKET))


def stop_without_a_socket(directory: Path) -> None:
    (directory / SOCKET).unlink()
    pull(directory, "by hand", "somebody")


def stop_by_client(directory: Path) -> None:
    SafetyClient(directory).stop("by hand", "somebody")


WAYS = {
    "a word to the socket": stop_by_word,
    "shared memory, the socket deleted": stop_without_a_socket,
    "the client": stop_by_client,
}


@pytest.mark.parametrize("way", list(WAYS))
def test_with_everything_else_dead_a_stop_still_stops(
    safety_dir: Path,
    start_guardian: Begin,
    drive: Callable[[Path], Any],
    permit_motion: Callable[[SafetyClient], None],
    until_true: Callable[..., None],
    way: str,
) -> None:
    """Nothing runs but guardian and gate: no launcher, hub, bus, model, agent, consent, store."""
    # A busy machine stops nothing by itself: what stops here was asked to.
    start_guardian(Settings(dir=safety_dir, watch={"drive": 2.0}, lease_ms=1000))
    loop = drive(safety_dir)
    permit_motion(SafetyClient(safety_dir))
    until_true(lambda: loop.output > 0)
    WAYS[way](safety_dir)
    until_true(lambda: loop.output == 0.0)
    count = len(loop.outputs)
    until_true(lambda: len(loop.outputs) > count + 20)
    assert not any(output for _, output in loop.outputs[count:])


def test_with_the_guardian_dead_too_the_gate_still_goes_neutral(
    safety_dir: Path,
    start_guardian: Begin,
    drive: Callable[[Path], Any],
    permit_motion: Callable[[SafetyClient], None],
    until_true: Callable[..., None],
) -> None:
    started = start_guardian(Settings(dir=safety_dir, watch={"drive": 2.0}, lease_ms=1000))
    loop = drive(safety_dir)
    permit_motion(SafetyClient(safety_dir))
    until_true(lambda: loop.output > 0)
    os.kill(started.process.pid, signal.SIGKILL)
    until_true(lambda: loop.output == 0.0)


def test_an_order_from_before_the_stop_is_worth_nothing_after_the_reset() -> None:
    rules = Rules((Limits(-1.0, 1.0, 1e9),), max_age_ns=10**9)
    second = 10**9
    order = Command((0.5,), stamp_ns=2 * second)
    state = start(rules)
    for now, reason in ((2 * second, Reason.NEW_PERMISSION), (2 * second + 1, Reason.OK)):
        lease = LeaseView(True, "", epoch=1, granted_ns=second, valid_until_ns=10 * second)
        applied, state = decide(lease, order, state, rules, now)
        assert applied.reason is reason
    applied, state = decide(LeaseView(False, "tripped"), order, state, rules, 2 * second + 2)
    assert applied.channels == (0.0,)
    again = LeaseView(True, "", epoch=2, granted_ns=2 * second + 3, valid_until_ns=10 * second)
    for now, reason in (
        (2 * second + 3, Reason.NEW_PERMISSION),
        (2 * second + 4, Reason.BEFORE_PERMISSION),
    ):
        applied, state = decide(again, order, state, rules, now)
        assert (applied.reason, applied.channels) == (reason, (0.0,))


def test_neutral_clears_the_integrators_of_the_motor_controller() -> None:
    board = SimBoard(RoverConfig())
    controller = Controller(board, RoverConfig())
    controller.step(0, encode_neutral(1))
    for wheel in board.shafts:
        wheel.top_radps = 5.0  # a load: it lags, and the integral grows
    for ms in range(10, 200, 10):
        board.advance(0.01)
        controller.step(ms, encode_speeds(2, 8.0, 8.0))
    assert all(wheel.integral > 0.05 for wheel in controller.wheels)
    controller.step(200, encode_neutral(3))
    assert all((wheel.integral, wheel.target) == (0.0, 0) for wheel in controller.wheels)
    assert [shaft.voltage for shaft in board.shafts] == [0.0, 0.0]
