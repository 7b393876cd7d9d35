"""Models that are no good, alone and in a model host: each is named, and the others go on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from olympus.models.describe import describe
from olympus.models.manifest import MANIFEST_NAME, ModelFile, read_manifest, write_manifest
from olympus.models.onnx import OnnxModel
from olympus.models.registry import Registry
from olympus.runtime.errors import BusError, ModelError
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.node.remote_model import RemoteModel
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS

MakeModel = Callable[..., Path]
FOR_EVER = 2**62
"""Rounds of a loop: some thousand years."""
ROW = np.array([[1, 2, 3, 4]], np.float32)


def rounds(number: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"rounds": np.array([number], np.int64)}


def loop_model(folder: Path, name: str, *, least: int = 0) -> Path:
    """Write a model that counts, with ONNX's own Loop, to `rounds` + `least`."""
    true = numpy_helper.from_array(np.array(True), "true")
    one = numpy_helper.from_array(np.array([1], np.float32), "one")
    body = helper.make_graph(
        [
            helper.make_node("Add", ["count", "one"], ["more"]),
            helper.make_node("Identity", ["on"], ["still_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("still_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]),
        ],
        [one],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["rounds", "least"], ["all"]),
            helper.make_node("Loop", ["all", "true", "none"], ["y"], body=body),
        ],
        "count",
        [helper.make_tensor_value_info("rounds", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            true,
            numpy_helper.from_array(np.array([least], np.int64), "least"),
            numpy_helper.from_array(np.array([0], np.float32), "none"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (home := folder / name).mkdir()
    (home / f"{name}.onnx").write_bytes(made.SerializeToString())
    write_manifest(describe(home / f"{name}.onnx", licence="MIT"), home / MANIFEST_NAME)
    return home


def load(folder: Path, **more: float) -> OnnxModel:
    return OnnxModel.load(Registry().find(folder), **more)  # type: ignore[arg-type]


def test_numbers_outside_the_file_that_was_hashed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime looks for them
    row = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 500])
    sum_ = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 500])
    numbers = numpy_helper.from_array(np.ones((1, 500), np.float32), "numbers")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "numbers"], ["y"])], "sum", [row], [sum_], [numbers]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(made, "sum.onnx", save_as_external_data=True, location="numbers.bin")
    assert Path("numbers.bin").stat().st_size == 2000
    with pytest.raises(ModelError, match=r"model sum: .*numbers in another file.*onnx\.save_model"):
        describe(tmp_path / "sum.onnx", licence="MIT")


def test_a_damaged_file_whose_complaint_is_no_text_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime quotes the file, and Python can't read the quotation: met with flipped bits."""
    folder = loop_model(tmp_path, "looper")
    (file,) = folder.glob("*.onnx")
    file.write_bytes(file.read_bytes().replace(b"Loop", b"L\xd4op"))
    manifest = read_manifest(folder / MANIFEST_NAME)
    sha256 = hashlib.sha256(data := file.read_bytes()).hexdigest()
    known = ModelFile(path=file.name, sha256=sha256, bytes=len(data))
    write_manifest(manifest.model_copy(update={"files": (known,)}), folder / MANIFEST_NAME)
    with pytest.raises(ModelError, match=r"model looper: file can't be loaded"):
        load(folder)
    assert capsys.readouterr().out == ""


def test_a_loop_without_end_is_aborted_and_other_runs_of_it_are_not(tmp_path: Path) -> None:
    model = load(loop_model(tmp_path, "endless"))
    run, late = (model.begin(rounds(FOR_EVER)) for _ in range(2))
    quick = model.begin(rounds(3))
    threading.Timer(0.1, run.abort).start()
    with pytest.raises(ModelError, match="endless: the run was aborted"):
        run()
    assert quick()["y"].tolist() == [3.0]
    late.abort()  # before it began
    with pytest.raises(ModelError, match="endless: the run was aborted"):
        late()


def test_a_trial_run_without_end_is_ended_and_says_so(tmp_path: Path) -> None:
    message = r"always: its trial run took more than 0\.2 s and was ended; does one of its oper"
    with pytest.raises(ModelError, match=message):
        load(loop_model(tmp_path, "always", least=FOR_EVER), trial_s=0.2)


def spoiled(make_model: MakeModel, name: str, **changes: Any) -> Path:
    """Make a model whose manifest says something else than its file."""
    folder = make_model(name)
    manifest = yaml.safe_load((folder / MANIFEST_NAME).read_text())
    manifest["files"][0] |= {key: changes.pop(key) for key in ("sha256",) if key in changes}
    (folder / MANIFEST_NAME).write_text(yaml.safe_dump(manifest | changes))
    return folder


async def ask(seat: Seat, model: str, inputs: dict[str, np.ndarray[Any, Any]]) -> Any:
    clock = seat.bus.clock
    return await RemoteModel("models", model).infer(
        seat.bus, inputs, tier=Tier.HIGH, deadline_ns=NEVER_NS, source="test", clock=clock
    )


@pytest.mark.e2e
@pytest.mark.timeout(180)
async def test_a_model_host_names_each_bad_model_and_goes_on_with_the_others(
    make_model: MakeModel, tmp_path: Path
) -> None:
    cut = make_model("cut")
    os.truncate(cut / "small.onnx", 40)
    narrow = [{"name": "x", "dtype": "float32", "shape": ["batch", 3]}]
    folders = [
        make_model("good"),
        cut,
        spoiled(make_model, "forged", sha256="0" * 64),
        spoiled(make_model, "narrow", inputs=narrow),
        make_model("nan", op="Div", factor=0.0),
        loop_model(tmp_path, "endless"),
        loop_model(tmp_path, "always", least=FOR_EVER),
    ]
    launch = {
        "name": "bad",
        "hosts": {"models": {"resources": {"cpu": {"workers": 1}}}},
        "nodes": {
            "models": {
                "uses": "olympus.nodes.model_host",
                "params": {"models": [str(folder) for folder in folders], "hang_s": 1.0},
            }
        },
    }
    with tempfile.TemporaryDirectory(prefix="mh") as short:
        (file := Path(short) / "bad.yaml").write_text(yaml.safe_dump(launch))
        (root := Path(short) / "r").mkdir(mode=0o700)
        with Launched(file, root=root) as robot:
            robot.until_active()
            before = robot.ledger("models")["pid"]
            async with robot.joined() as seat:
                await named_and_the_good_one_serves(seat)
                await hangs_and_the_good_one_serves(seat)
            assert robot.ledger("models")["pid"] == before  # no need to start it anew


async def named_and_the_good_one_serves(seat: Seat) -> None:
    for model, inputs, text in (
        ("cut", ROW, r"cut: .*small\.onnx has 40 bytes"),
        ("forged", ROW, r"forged: .*small\.onnx has sha256"),
        ("narrow", ROW, r"narrow: input x: the file says shape \['n', 4\], the manifest"),
        ("nan", 0 * ROW, r"nan: output y holds .*NaN"),
        ("good", ROW[:, :3], r"good: input x has shape \[1, 3\], wants \[batch, 4\]"),
        ("always", ROW, r"always: its trial run took more than 1 s and was ended"),
    ):
        with pytest.raises(BusError, match=text):
            await ask(seat, model, {"x": np.ascontiguousarray(inputs)})
        assert (await ask(seat, "good", {"x": ROW}))["y"].tolist() == [[2, 4, 6, 8]]


async def hangs_and_the_good_one_serves(seat: Seat) -> None:
    """While it hangs the good one waits; after its second time it is not run again."""
    for _ in range(2):
        hanging = asyncio.create_task(ask(seat, "endless", rounds(FOR_EVER)))
        assert (await ask(seat, "good", {"x": ROW}))["y"].tolist() == [[2, 4, 6, 8]]
        with pytest.raises(BusError, match=r"endless: the run was aborted: it has hung for \d"):
            await hanging
    with pytest.raises(BusError, match="endless: hung 2 times; it is not run again"):
        await ask(seat, "endless", rounds(1))


async def served(seat: Seat, model: str) -> Any:
    """Return what a model answers; None while nobody serves it."""
    try:
        return (await ask(seat, model, {"x": ROW}))["y"].tolist()
    except BusError:
        return None


ENDING_HOST = """
import os
from olympus.nodes.model_host import ModelHost


class EndingHost(ModelHost):
    \"\"\"A model host with a model that ends the process while it is loaded, since some time.\"\"\"

    def load(self, stored):
        if stored.name == "ending" and (stored.folder / "damaged").exists():
            os.abort()  # as llama.cpp does
        return super().load(stored)
"""


@pytest.mark.e2e
@pytest.mark.timeout(180)
async def test_a_model_that_ends_the_process_when_loaded_is_left_out_and_the_others_serve(
    make_model: MakeModel,
) -> None:
    ending, good = make_model("ending"), make_model("good")
    respawn = {"policy": "always", "delay_s": 0.1}
    params = {"models": [str(ending), str(good)]}
    launch = {
        "name": "ends",
        "hosts": {"models": {"respawn": respawn}},
        "nodes": {"models": {"uses": "ending_host:EndingHost", "params": params}},
    }
    with tempfile.TemporaryDirectory(prefix="mh") as short:
        (Path(short) / "ending_host.py").write_text(ENDING_HOST)
        (file := Path(short) / "ends.yaml").write_text(yaml.safe_dump(launch))
        (root := Path(short) / "r").mkdir(mode=0o700)
        (left := root / "olympus" / "ends").mkdir(mode=0o700, parents=True)
        (left / "models.hangs").write_text('{"good": 2}')  # of another launch: it counts no more
        with Launched(file, root=root) as robot:
            robot.until_active()
            async with robot.joined() as seat:
                for model in ("ending", "good"):
                    assert (await ask(seat, model, {"x": ROW}))["y"].tolist() == [[2, 4, 6, 8]]
                (ending / "damaged").touch()
                os.kill(robot.ledger("models")["pid"], signal.SIGKILL)
                await seat.until(lambda: seat.hosts["models"].restarts >= 3, "it is left out")
                async with asyncio.timeout(30):
                    while await served(seat, "good") != [[2, 4, 6, 8]]:
                        await asyncio.sleep(0.05)
                with pytest.raises(BusError, match="ending: ended this process 2 times while it"):
                    await ask(seat, "ending", {"x": ROW})
