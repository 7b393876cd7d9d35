"""How often an input is copied between who asks and a model host's session: looked at in memory.

The model reads its input again and again until the first byte changes. It is changed, while the
session runs in the other process, in the one place of shared memory where the picture lies: seen
there, nothing has copied it on the way from that place.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from olympus.models.describe import describe
from olympus.models.manifest import MANIFEST_NAME, write_manifest
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.node.remote_model import RemoteModel
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
SHAPE = (1, 224, 224, 3)
BEFORE, AFTER = 7, 42


def constant(name: str, values: Any, dtype: str = "int64") -> Any:
    return numpy_helper.from_array(np.array(values, dtype), name)


def info(name: str, kind: int, shape: tuple[int, ...] = ()) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def watching_model(folder: Path) -> Path:
    """Write a model that looks at `image` until its first byte is not BEFORE, and tells that."""
    body = helper.make_graph(
        [
            helper.make_node("Slice", ["image", "begin", "end"], ["corner"]),
            helper.make_node("Reshape", ["corner", "no_axis"], ["byte"]),
            helper.make_node("Cast", ["byte"], ["seen"], to=TensorProto.INT64),
            helper.make_node("Equal", ["seen", "before"], ["is_as_before"]),
        ],
        "look",
        [
            info("i", TensorProto.INT64),
            info("on", TensorProto.BOOL),
            info("was", TensorProto.INT64),
        ],
        [info("is_as_before", TensorProto.BOOL), info("seen", TensorProto.INT64)],
        [
            constant("begin", [0] * 4),
            constant("end", [1] * 4),
            constant("no_axis", []),
            constant("before", BEFORE),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["for_ever", "true", "none"], ["last"], body=body),
            helper.make_node("Reshape", ["last", "one"], ["found"]),
        ],
        "watch",
        [info("image", TensorProto.UINT8, SHAPE)],
        [info("found", TensorProto.INT64, (1,))],
        [
            constant("for_ever", 2**62),
            constant("true", True, "bool"),
            constant("none", 0),
            constant("one", [1]),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (home := folder / "watching").mkdir()
    (home / "watching.onnx").write_bytes(made.SerializeToString())
    write_manifest(describe(home / "watching.onnx", licence="MIT"), home / MANIFEST_NAME)
    return home


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Launched]:
    params = {"models": [str(watching_model(tmp_path))], "hang_s": 20.0}
    uses = {"uses": "olympus.nodes.model_host", "params": params}
    with tempfile.TemporaryDirectory(prefix="mh") as short:
        file = Path(short) / "watch.yaml"
        file.write_text(
            yaml.safe_dump({"name": "w", "hosts": {"models": {}}, "nodes": {"models": uses}})
        )
        (root := Path(short) / "r").mkdir(mode=0o700)
        with Launched(file, root=root) as launched:
            launched.until_active()
            yield launched


@pytest.mark.parametrize("is_lent", [True, False], ids=["lent", "ordinary"])
async def test_a_picture_is_copied_into_shared_memory_at_most_once_and_read_there(
    robot: Launched, is_lent: bool
) -> None:
    async with robot.joined() as seat:
        image = seat.bus.loan(SHAPE, "uint8") if is_lent else np.empty(SHAPE, np.uint8)
        image[...] = BEFORE
        run = asyncio.create_task(infer(seat, image))
        await session_computes(robot)
        places = places_of(seat, image.tobytes())
        assert len(places) == 1
        pool, start = places[0]
        is_in_place = pool.address + start == image.ctypes.data
        assert is_in_place is is_lent
        assert not run.done()
        pool.memory.map[start] = AFTER
        assert (await run)["found"].tolist() == [AFTER]
        assert image.flat[0] == (AFTER if is_lent else BEFORE)


async def infer(seat: Seat, image: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    clock = seat.bus.clock
    return await RemoteModel("models", "watching").infer(
        seat.bus, {"image": image}, tier=Tier.HIGH, deadline_ns=NEVER_NS, source="t", clock=clock
    )


async def session_computes(robot: Launched) -> None:
    """Wait until the model host has looked for a while; nothing else there takes time."""
    host = psutil.Process(robot.ledger("models")["pid"])
    before_s = host.cpu_times().user
    while host.cpu_times().user < before_s + 0.3:
        await asyncio.sleep(0.05)


def places_of(seat: Seat, data: bytes) -> list[tuple[Any, int]]:
    """Return all places of our shared memory that hold these bytes."""
    near = seat.bus.near
    assert near is not None
    return [
        (pool, index * pool.slot_nbytes)
        for pool in near.pools.pools
        for index in range(pool.count)
        if pool.bytes[index * pool.slot_nbytes :][: len(data)].tobytes() == data
    ]
