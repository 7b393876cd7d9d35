"""A model host as a process: its callers and it may die, and the others go on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.models.manifest import MANIFEST_NAME, write_manifest
from olympus.models.onnx import open_model
from olympus.models.registry import Registry
from olympus.runtime.errors import BusError, ModelError
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.node.remote_model import RemoteModel
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
LAUNCH = """
name: models
hosts: {models: {respawn: {policy: always, delay_s: 0.1}, resources: {cpu: {workers: 1}}}}
nodes: {models: {uses: olympus.nodes.model_host, params: {models: [person-obstacle, no-such]}}}
"""
NAME = "person-obstacle"
CALLER = """
import asyncio, sys
import numpy as np
from olympus.runtime.bus.joining import join
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import find_session
from olympus.runtime.node.remote_model import RemoteModel
from olympus.runtime.qos import Tier

async def main():
    session = find_session()
    clock = SystemClock(session.clock_offset_ns)
    bus = join(session, clock, host="caller")
    remote = RemoteModel("models", "person-obstacle")
    while True:
        room = bus.loan((1, 120, 160, 3), "uint8")
        room[...] = 7
        await remote.infer(
            bus, {"image": room}, tier=Tier.LOW, deadline_ns=2**63 - 1, source="caller", clock=clock
        )
        sys.stdout.write("."); sys.stdout.flush()

asyncio.run(main())
"""


@pytest.fixture
def robot() -> Iterator[Launched]:
    with tempfile.TemporaryDirectory(prefix="mh") as folder:
        file = Path(folder) / "models.yaml"
        file.write_text(LAUNCH)
        (root := Path(folder) / "r").mkdir(mode=0o700)
        with Launched(file, root=root) as launched:
            launched.until_active()
            yield launched


def picture() -> dict[str, np.ndarray[Any, Any]]:
    tensor = open_model(NAME).manifest.inputs[0]
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in tensor.shape)
    return {tensor.name: np.random.default_rng(3).integers(0, 255, shape).astype(tensor.dtype)}


async def ask(seat: Seat, feed: dict[str, np.ndarray[Any, Any]], model: str = NAME) -> Any:
    return await RemoteModel("models", model).infer(
        seat.bus,
        feed,
        tier=Tier.HIGH,
        deadline_ns=NEVER_NS,
        source="test",
        clock=seat.bus.clock,
    )


async def test_a_killed_model_host_is_back_and_a_killed_caller_harms_nobody(
    robot: Launched,
) -> None:
    feed = picture()
    mine = open_model(NAME).run(feed)
    async with robot.joined() as seat:
        answer = await ask(seat, feed)
        assert all(np.array_equal(answer[name], mine[name]) for name in mine)
        with pytest.raises(BusError, match="'no-such' is not known"):
            await ask(seat, feed, "no-such")

        environment = dict(os.environ, XDG_RUNTIME_DIR=str(robot.root))
        command = [sys.executable, "-c", CALLER]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as caller:
            assert caller.stdout is not None
            assert caller.stdout.read(3) == b"..."
            caller.send_signal(signal.SIGKILL)
        for _ in range(20):
            await ask(seat, feed)

        await seat.until(lambda: "models" in seat.hosts, "the model host is heard")
        before = robot.ledger("models")["pid"]
        os.kill(before, signal.SIGKILL)
        await seat.until(lambda: seat.hosts["models"].restarts == 1, "the model host is back")
        answer = await answered(seat, feed)
        assert all(np.array_equal(answer[name], mine[name]) for name in mine)


def test_another_version_is_swapped_in_from_the_command_line(
    robot: Launched, tmp_path: Path
) -> None:
    source = Registry().find(NAME)
    (tmp_path / source.manifest.model_file.path).write_bytes(source.read())
    write_manifest(
        source.manifest.model_copy(update={"version": "9.0.0"}), tmp_path / MANIFEST_NAME
    )
    done = robot.command("models", "swap", NAME, str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"{NAME} 9.0.0 is in use\n"), done.stderr
    done = robot.command("models", "rollback", NAME)
    assert (done.returncode, done.stdout) == (0, f"{source.manifest.title} is in use\n")
    done = robot.command("models", "rollback", NAME)
    assert done.returncode == ModelError.exit_code
    assert "no version before" in done.stderr
    done = robot.command("models", "swap", NAME, str(tmp_path), "--host", "modles")
    assert "no model host 'modles' is running; did you mean 'models'?" in done.stderr


async def answered(seat: Seat, feed: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Ask until the model host is active again."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await ask(seat, feed)
            except BusError:
                await asyncio.sleep(0.05)
