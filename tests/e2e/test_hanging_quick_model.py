"""A model that was always quick runs on its host's event loop, and then hangs there."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from olympus.models.describe import describe
from olympus.models.manifest import MANIFEST_NAME, write_manifest
from olympus.runtime.errors import BusError, ModelError
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.node.remote_model import RemoteModel
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
FOR_EVER = 2**62
HOST = """
import time
from olympus.nodes.model_host import ModelHost


class StuckHost(ModelHost):
    \"\"\"A model host with a model of one operator that never comes back from some rounds.\"\"\"

    def load(self, stored):
        model = super().load(stored)
        run = model.run

        def stuck_in_some(inputs, options=None):
            if inputs["times"][0] == 99:
                time.sleep(3600)
            return run(inputs, options)

        model.run = stuck_in_some
        return model
"""


def counting_model(folder: Path) -> Path:
    """Write a model that goes round as often as it is told."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["goes_on"])],
        "round",
        [info("i", TensorProto.INT64, []), info("on", TensorProto.BOOL, [])],
        [info("goes_on", TensorProto.BOOL, [])],
    )
    # What the loop carries: its condition alone, so that its result is how it ended.
    body.node.append(helper.make_node("Identity", ["was"], ["is"]))
    body.input.append(info("was", TensorProto.INT64, [1]))
    body.output.append(info("is", TensorProto.INT64, [1]))
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["times", "no_axis"], ["most"]),
            helper.make_node("Loop", ["most", "true", "times"], ["found"], body=body),
        ],
        "count",
        [info("times", TensorProto.INT64, [1])],
        [info("found", TensorProto.INT64, [1])],
        [
            numpy_helper.from_array(np.array([], "int64"), "no_axis"),
            numpy_helper.from_array(np.array(True), "true"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (home := folder / "counting").mkdir()
    (home / "counting.onnx").write_bytes(made.SerializeToString())
    write_manifest(describe(home / "counting.onnx", licence="MIT"), home / MANIFEST_NAME)
    return home


@pytest.fixture
def robot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launched]:
    params = {"models": [str(counting_model(tmp_path))], "hang_s": 0.5, "quick_ms": 100}
    with tempfile.TemporaryDirectory(prefix="mh") as short:
        file = Path(short) / "count.yaml"
        (Path(short) / "stuck_host.py").write_text(HOST)
        respawn = {"respawn": {"policy": "always", "delay_s": 0.1}}
        nodes = {"models": {"uses": request.param, "params": params}}
        whole = {"name": "c", "hosts": {"models": respawn}, "nodes": nodes}
        file.write_text(yaml.safe_dump(whole))
        (root := Path(short) / "r").mkdir(mode=0o700)
        with Launched(file, root=root) as launched:
            launched.until_active()
            yield launched


async def count(seat: Seat, times: int) -> int:
    feed = {"times": np.array([times], "int64")}
    answer = await RemoteModel("models", "counting").infer(
        seat.bus,
        feed,
        tier=Tier.HIGH,
        deadline_ns=NEVER_NS,
        source="test",
        clock=seat.bus.clock,
    )
    return int(answer["found"][0])


@pytest.mark.parametrize("robot", ["olympus.nodes.model_host"], indirect=True)
async def test_it_is_aborted_there_and_the_host_goes_on(robot: Launched) -> None:
    async with robot.joined() as seat:
        pid = robot.ledger("models")["pid"]
        for times in range(12):
            assert await count(seat, times) == times
        with pytest.raises(ModelError, match="was aborted: it has hung for"):
            await count(seat, FOR_EVER)
        assert await count(seat, 5) == 5
        assert robot.ledger("models")["pid"] == pid


@pytest.mark.parametrize("robot", ["stuck_host:StuckHost"], indirect=True)
async def test_where_nothing_ends_it_the_process_is_cut_off_and_comes_back(robot: Launched) -> None:
    async with robot.joined() as seat:
        await seat.until(lambda: "models" in seat.hosts, "the model host is heard")
        for times in range(12):
            assert await count(seat, times) == times
        with pytest.raises(BusError, match="its host models is gone"):
            await count(seat, 99)
        await seat.until(lambda: seat.hosts["models"].restarts == 1, "the model host is back")
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await count(seat, 7) == 7
                    break
                except BusError:
                    await asyncio.sleep(0.05)
    logs = "".join(log.read_text() for log in (robot.run_dir / "logs").glob("models*"))
    assert "on the event loop; this process is cut off" in logs
