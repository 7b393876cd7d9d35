from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.models.manifest import MANIFEST_NAME, write_manifest
from olympus.models.registry import Registry
from olympus.nodes.detector import Detector, Looker
from olympus.nodes.model_host import ModelHost
from olympus.runtime.errors import ModelError, ParamError
from olympus.runtime.messages import Ack, Detections, Header, Image, ParamChange
from olympus.runtime.messages.inference import SwapModel
from olympus.runtime.node.testing import Bench, running
from olympus.sim.world import World

REPOSITORY = Path(__file__).resolve().parents[2]
VWW = REPOSITORY / "tests" / "models" / "mlperf_tiny" / "vww_96_int8.yaml"
VIDEO = REPOSITORY.parent / "shared" / "media" / "one-by-one-person.mp4"
needs_vww = pytest.mark.skipif(
    not (VIDEO.is_file() and (VIDEO.parents[1] / "models" / "mlperf-tiny").is_dir()),
    reason="third-party video and model are not there: ../shared/media, ../shared/models",
)


@pytest.fixture(scope="module")
def corridor() -> NDArray[np.uint8]:
    """Somebody stands three metres ahead, a little to the left."""
    world = World(7, people=1)
    world.place_rover(5.0, 0.0, 0.0)
    world.place_person(0, 8.0, 0.4, 3.14)
    return world.look().rgb


async def look(
    bench: Bench[Any], picture: NDArray[np.uint8], *, later_s: float = 0.0, **more: str
) -> Detections:
    stamp = bench.node.clock.now_ns() + round(later_s * 1e9)
    image = Image(data=picture, header=Header(stamp=stamp), **more)
    await bench.send("camera/image", image)
    seen = await bench.receive("detections")
    assert isinstance(seen, Detections)
    assert seen.header.stamp == stamp
    return seen


def people(seen: Detections) -> list[tuple[float, float]]:
    return [(d.x + d.w / 2, d.h) for d in seen.items if d.label == "person"]


async def test_a_person_in_the_corridor_is_seen(corridor: NDArray[np.uint8]) -> None:
    async with running(Detector) as bench:
        seen = await look(bench, corridor)
    ((middle, height),) = people(seen)
    assert 0.35 < middle < 0.48
    assert 0.4 < height < 0.6
    assert (seen.width, seen.height) == (160, 120)
    assert seen.model.startswith("person-obstacle ")


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (128, 96)])
async def test_a_picture_of_any_size_gives_the_same_box(
    corridor: NDArray[np.uint8], size: tuple[int, int]
) -> None:
    wide, high = size
    picture = cv2.resize(corridor, (high * 4 // 3, high), interpolation=cv2.INTER_LINEAR)
    border = (wide - picture.shape[1]) // 2
    framed = np.full((high, wide, 3), 114, np.uint8)
    framed[:, border : border + picture.shape[1]] = picture
    async with running(Detector) as bench:
        ((x, height),) = people(await look(bench, framed))
        ((x0, height0),) = people(await look(bench, corridor, later_s=0.1))
    share = picture.shape[1] / wide
    assert x == pytest.approx(0.5 + (x0 - 0.5) * share, abs=0.04)
    assert height == pytest.approx(height0, abs=0.08)


async def test_a_blue_first_picture_is_turned_round(corridor: NDArray[np.uint8]) -> None:
    async with running(Detector) as bench:
        straight = await look(bench, corridor)
        turned = await look(bench, corridor[..., ::-1].copy(), later_s=0.1, encoding="bgr8")
    assert turned.items == straight.items


async def test_an_empty_picture_gives_an_empty_message() -> None:
    async with running(Detector) as bench:
        assert (await look(bench, np.full((120, 160, 3), 200, np.uint8))).items == ()


async def test_an_unsure_detection_is_left_out_by_the_parameter(
    corridor: NDArray[np.uint8],
) -> None:
    async with running(Detector, params={"min_confidence": 1.0}) as bench:
        assert (await look(bench, corridor)).items == ()


async def test_a_picture_that_is_too_old_is_not_looked_at(corridor: NDArray[np.uint8]) -> None:
    async with running(Detector, params={"deadline_ms": 100}) as bench:
        old = Header(stamp=bench.node.clock.now_ns() - 1_000_000_000)
        await bench.send("camera/image", Image(data=corridor, header=old))
        async with asyncio.timeout(20):
            while bench.node.late == 0:
                await asyncio.sleep(0.001)
        await look(bench, corridor, later_s=0.1)


async def test_pictures_faster_than_the_rate_are_left_out(corridor: NDArray[np.uint8]) -> None:
    async with running(Detector, params={"max_rate_hz": 10, "deadline_ms": 10_000}) as bench:
        start = bench.node.clock.now_ns()
        seen = []
        for i in range(0, 16):
            stamp = start + i * 66_000_000
            await bench.send("camera/image", Image(data=corridor, header=Header(stamp=stamp)))
            if i % 2 == 0:
                seen.append((await bench.receive("detections")).header.stamp)
    assert seen == [start + i * 66_000_000 for i in range(0, 16, 2)]


async def test_an_unknown_model_is_refused_with_a_hint() -> None:
    with pytest.raises(ModelError, match=r"did you mean 'person-obstacle'\?"):
        async with running(Detector, params={"model": "person-obstacel"}):
            pass


async def test_a_model_that_hears_is_refused() -> None:
    with pytest.raises(ModelError, match=r"task .* sees nothing in pictures"):
        async with running(Detector, params={"model": "sound-events"}):
            pass


async def test_a_bad_exchange_of_the_model_keeps_the_old_one(
    corridor: NDArray[np.uint8],
) -> None:
    async with running(Detector) as bench:
        with pytest.raises(ParamError, match="model 'nonsense' is not known"):
            bench.runner.set_params({"model": "nonsense"})
        assert bench.node.params.model == "person-obstacle"
        assert people(await look(bench, corridor))


class SlowDetector(Detector):
    """Loads its second model when it is let."""

    may_load = threading.Event()
    is_loading = threading.Event()
    was_let = True

    def load(self, params: Detector.Params) -> Looker:
        if self.is_configured:
            self.is_loading.set()
            type(self).was_let = self.may_load.wait(5)
        return super().load(params)


async def set_model(bench: Bench[Any], model: str) -> Ack:
    change = ParamChange(values={"model": model})
    return await bench.bus.call("node/param/set", change, Ack, timeout_s=20)


async def test_the_old_model_looks_on_while_another_one_is_loaded(
    tmp_path: Path, corridor: NDArray[np.uint8]
) -> None:
    newer = another(tmp_path / "newer", version="9.0.0")
    async with running(SlowDetector, params={"deadline_ms": 10_000}) as bench:
        before = await look(bench, corridor)
        setting = asyncio.create_task(set_model(bench, newer))
        assert await asyncio.to_thread(SlowDetector.is_loading.wait, 20)
        meanwhile = await look(bench, corridor, later_s=0.1)
        assert bench.node.params.model == "person-obstacle"
        SlowDetector.may_load.set()
        assert (await setting).ok
        after = await look(bench, corridor, later_s=0.2)
    assert SlowDetector.was_let
    assert meanwhile.model == before.model
    assert after.model == "person-obstacle 9.0.0"


async def test_a_model_that_can_t_be_loaded_is_refused_by_name(
    tmp_path: Path, corridor: NDArray[np.uint8]
) -> None:
    broken = tmp_path / "broken"
    file = Path(another(broken)) / Registry().find("person-obstacle").manifest.model_file.path
    file.write_bytes(file.read_bytes()[:-100])
    async with running(Detector) as bench:
        answer = await set_model(bench, str(broken))
        assert not answer.ok
        assert answer.text.startswith("node: model: model person-obstacle: file ")
        assert "it is cut off or another file" in answer.text
        assert bench.node.params.model == "person-obstacle"
        assert people(await look(bench, corridor))


def another(folder: Path, **otherwise: object) -> str:
    """Write the shipped model with another manifest into a folder of its own."""
    source = Registry().find("person-obstacle")
    folder.mkdir()
    (folder / source.manifest.model_file.path).write_bytes(source.read())
    write_manifest(source.manifest.model_copy(update=otherwise), folder / MANIFEST_NAME)
    return str(folder)


async def test_a_host_whose_answers_mean_something_else_is_refused_by_name(
    tmp_path: Path, corridor: NDArray[np.uint8]
) -> None:
    labels = Registry().find("person-obstacle").manifest.labels
    turned = (labels[0], *reversed(labels[1:]))
    mine = another(tmp_path / "mine", labels=turned, version="8.0.0")
    params = {"model": mine, "model_host": "models", "deadline_ms": 10_000}
    async with (
        running(ModelHost, params={"models": ["person-obstacle"]}, name="models") as host,
        running(Detector, params=params, bus=host.bus) as bench,
    ):
        stamp = Header(stamp=bench.node.clock.now_ns())
        with pytest.raises(ModelError, match="models runs person-obstacle") as told:
            await bench.node.on_image(Image(data=corridor, header=stamp))
        assert f"person-obstacle 8.0.0 ({mine})" in str(told.value)
        assert "name the same folder in both" in str(told.value)
        await bench.send("camera/image", Image(data=corridor, header=later(bench)))
        async with asyncio.timeout(20):
            while bench.node.errors == 0:
                await asyncio.sleep(0.001)


async def test_a_version_that_a_host_swaps_in_is_named_in_what_it_sees(
    tmp_path: Path, corridor: NDArray[np.uint8]
) -> None:
    """Its answers mean the same, or it would not have been swapped in: they are read on."""
    newer = another(tmp_path / "newer", version="9.0.0")
    params = {"model_host": "models", "deadline_ms": 10_000}
    async with (
        running(ModelHost, params={"models": ["person-obstacle"]}, name="models") as host,
        running(Detector, params=params, bus=host.bus) as bench,
    ):
        before = await look(bench, corridor)
        wish = SwapModel(model="person-obstacle", to=newer)
        assert (await host.bus.call("models/swap", wish, Ack, timeout_s=20)).ok
        after = await look(bench, corridor, later_s=0.1)
        back = SwapModel(model="person-obstacle", to="")
        assert (await host.bus.call("models/swap", back, Ack, timeout_s=20)).ok
        again = await look(bench, corridor, later_s=0.2)
    assert people(before) and after.items == before.items
    assert after.model == "person-obstacle 9.0.0"
    assert again.model == before.model != after.model


def later(bench: Bench[Any]) -> Header:
    return Header(stamp=bench.node.clock.now_ns() + 100_000_000)


@needs_vww
async def test_a_classifier_sees_a_person_on_real_video() -> None:
    async with running(Detector, params={"model": str(VWW)}) as bench:
        empty = await look(bench, frame(VIDEO, 0))
        walking = await look(bench, frame(VIDEO, 300), later_s=0.1)
        assert empty.items == ()
        (found,) = walking.items
        assert (found.label, found.x, found.y, found.w, found.h) == ("person", 0, 0, 1, 1)
        assert found.confidence > 0.9
        assert (walking.width, walking.height) == (768, 432)


def frame(path: Path, index: int) -> NDArray[np.uint8]:
    """Read one frame of a video, RGB."""
    video = cv2.VideoCapture(str(path))
    for _ in range(index):
        video.grab()
    picture = np.ascontiguousarray(video.read()[1][..., ::-1])
    video.release()
    return picture.astype(np.uint8, copy=False)
