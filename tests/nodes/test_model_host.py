from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from olympus.models import llama_native
from olympus.models.manifest import SelfTest, write_manifest
from olympus.models.onnx import open_model
from olympus.models.registry import ZOO, Registry
from olympus.nodes.model_host import ModelHost
from olympus.runtime.errors import ConfigError, MessageError, ModelError, ParamError, ServiceError
from olympus.runtime.messages import Ack, encode
from olympus.runtime.messages.inference import (
    Completed,
    Infer,
    Inferred,
    Prompt,
    SwapModel,
    Tensor,
    arrays_of,
    tensors_of,
)
from olympus.runtime.node import Transition
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import End, JobDroppedError

needs_llama = pytest.mark.skipif(bool(llama_native.missing()), reason=llama_native.missing())
PICTURE = np.zeros((1, 120, 160, 3), np.uint8)


@asynccontextmanager
async def hosting(*models: str, **more: Any) -> AsyncIterator[Bench[ModelHost]]:
    async with running(ModelHost, params={"models": list(models)} | more, name="models") as bench:
        yield bench


def question(model: str, **inputs: np.ndarray[Any, Any]) -> Infer:
    return Infer(model=model, tier=Tier.HIGH, deadline=0, source="test", tensors=tensors_of(inputs))


def picture() -> dict[str, np.ndarray[Any, Any]]:
    model = open_model("person-obstacle")
    tensor = model.manifest.inputs[0]
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in tensor.shape)
    chance = np.random.default_rng(3)
    return {tensor.name: chance.integers(0, 255, shape).astype(tensor.dtype)}


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int16, np.float32, np.float64, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=4, max_side=5),
    )
)
def test_arrays_travel_as_they_are(array: np.ndarray[Any, Any]) -> None:
    back = arrays_of(tensors_of({"x": array}))["x"]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize(
    ("dtype", "shape", "why"),
    [
        ("object", (1,), "unknown"),
        ("float32", (3,), "don't fill"),
        ("uint8", (-4, -2), "don't fill"),
        ("uint8", (1,) * 9, "don't fill"),
    ],
)
def test_a_tensor_that_makes_no_sense_is_refused(
    dtype: str, shape: tuple[int, ...], why: str
) -> None:
    tensor = Tensor(name="x", dtype=dtype, shape=shape, data=np.zeros(8, np.uint8))
    with pytest.raises(MessageError, match=why):
        arrays_of([tensor])


def test_a_tensor_of_nothing_whose_other_sides_are_too_long_is_refused() -> None:
    empty = np.zeros(0, np.uint8)
    tensor = Tensor(name="x", dtype="uint8", shape=(0, 2**62, 2**62), data=empty)
    with pytest.raises(MessageError, match="tensor 'x': no shape"):
        arrays_of([tensor])


async def test_a_model_answers_as_it_would_in_the_asking_process() -> None:
    feed = picture()
    mine = open_model("person-obstacle").run(feed)
    async with hosting("person-obstacle") as bench:
        asked = question("person-obstacle", **feed)
        answer = await bench.bus.call("models/infer", asked, Inferred)
    its = arrays_of(answer.tensors)
    assert (answer.origin.place, len(answer.origin.digest)) == ("person-obstacle", 64)
    assert its.keys() == mine.keys()
    assert all(np.array_equal(its[name], mine[name]) for name in mine)


async def test_a_question_that_comes_alone_is_answered_at_once_and_the_same() -> None:
    feed = picture()
    async with hosting("person-obstacle", quick_ms=100) as bench:
        asked = question("person-obstacle", **feed)
        at_once = bench.node.infer_at_once
        assert not list(at_once(asked))  # nobody knows yet how long it takes
        while not (answers := list(at_once(asked))):
            mine = await bench.bus.call("models/infer", asked, Inferred)
        assert [encode(one) for one in answers] == [encode(mine)]
        late = replace(asked, deadline=1)
        assert not list(at_once(late))
        with pytest.raises(JobDroppedError, match="past its deadline"):
            await bench.bus.call("models/infer", late, Inferred)
        for other in ("no-such", "task:look"):
            assert not list(at_once(replace(asked, model=other)))
        with pytest.raises(ModelError, match="input nonsense is unknown"):
            list(at_once(question("person-obstacle", **feed, nonsense=PICTURE)))
        counts = bench.node.scheduler.counts
        assert (counts[End.EXPIRED], counts[End.FAILED]) == (1, 1)
        assert not bench.node.scheduler.running()


def test_a_model_that_is_nowhere_is_told_before_the_start_and_the_others_serve() -> None:
    params = ModelHost.Params.model_validate({"models": ["person-obstacle", "nosuch"]})
    (note,) = params.before_start()
    assert note.startswith("model 'nosuch' is not known and is no path to a manifest; known: ")


def test_a_far_model_that_is_not_allowed_is_told_before_the_start() -> None:
    router = {"tasks": {"plan": {"candidates": ["remote:big"]}}}
    params = ModelHost.Params.model_validate({"models": [], "router": router})
    with pytest.raises(ConfigError, match="'big' is not listed in endpoints"):
        params.before_start()


async def test_other_models_are_refused_while_it_runs_and_the_way_is_told() -> None:
    """They were accepted, and nothing came of it."""
    async with hosting("person-obstacle") as bench:
        with pytest.raises(ParamError, match=r"models\.models: can't change.*olympus models swap"):
            bench.runner.set_params({"models": ["sound-events"]})
        assert bench.node.params.models == ["person-obstacle"]
        assert not bench.runner.set_params({"models": ["person-obstacle"]})
        await bench.runner.change(Transition.DEACTIVATE)
        await bench.runner.change(Transition.CLEANUP)
        assert bench.runner.set_params({"models": ["sound-events"]}) == {"models"}


async def test_a_broken_model_is_refused_by_name_and_the_others_serve(tmp_path: Path) -> None:
    broken = tmp_path / "person-obstacle"
    shutil.copytree(ZOO / "person-obstacle", broken)
    file = next(broken.glob("*.onnx"))
    file.write_bytes(file.read_bytes()[:-100])
    async with hosting(str(broken), "sound-events") as bench:
        with pytest.raises(ServiceError, match="it is cut off or another file"):
            await bench.bus.call("models/infer", question("person-obstacle", x=PICTURE), Inferred)
        with pytest.raises(ServiceError, match="serves no model 'sound-event'; did you mean"):
            await bench.bus.call("models/infer", question("sound-event", x=PICTURE), Inferred)
        with pytest.raises(ServiceError, match="sound-events"):  # it serves: the input is wrong
            await bench.bus.call("models/infer", question("sound-events", x=PICTURE), Inferred)


async def test_text_for_a_model_of_tensors_is_refused_with_the_way_out() -> None:
    async with hosting("sound-events") as bench:
        prompt = Prompt(model="sound-events", tier=Tier.LOW, deadline=0, source="t", request="{}")
        with pytest.raises(ServiceError, match="call `infer`"):
            await bench.bus.call("models/prompt", prompt)


@pytest.mark.parametrize("request_", ["[" * 100_000, '{"a":' * 100_000, "[1", "\ud800", "7"])
async def test_a_question_that_is_no_json_object_is_refused_as_such(request_: str) -> None:
    async with hosting("sound-events") as bench:
        prompt = Prompt(
            model="sound-events", tier=Tier.LOW, deadline=0, source="t", request=request_
        )
        with pytest.raises(ServiceError, match="sound-events: the request is no JSON"):
            await bench.bus.call("models/prompt", prompt)


async def test_a_caller_that_gives_up_takes_its_job_along() -> None:
    async with hosting("person-obstacle") as bench:
        held, dispatcher = asyncio.Event(), bench.node.scheduler
        loop = asyncio.get_running_loop()

        def hold() -> None:
            asyncio.run_coroutine_threadsafe(held.wait(), loop).result(20)

        first = asyncio.create_task(bench.node.compute(hold))
        while not dispatcher.running():
            await asyncio.sleep(0.002)
        asked = question("person-obstacle", **picture())
        waiting = asyncio.create_task(bench.bus.call("models/infer", asked, Inferred))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait({waiting})
        held.set()
        await first
        ends = {lane.tier: lane.ends for lanes in dispatcher.lanes().values() for lane in lanes}
        assert {end.value for end in ends[Tier.HIGH]} == {"cancelled"}


def variant(folder: Path, version: str, **changes: Any) -> str:
    """Write the shipped detector as another version into a folder of its own."""
    folder.mkdir(parents=True)
    source = Registry().find("person-obstacle")
    (folder / source.manifest.model_file.path).write_bytes(source.read())
    changed = source.manifest.model_copy(update={"version": version, **changes})
    write_manifest(changed, folder / "manifest.yaml")
    return str(folder)


async def swap(bench: Bench[ModelHost], to: str) -> Ack:
    wish = SwapModel(model="person-obstacle", to=to)
    answer: Ack = await bench.bus.call("models/swap", wish, Ack)
    return answer


async def test_a_version_is_swapped_in_while_it_serves_and_back_out(tmp_path: Path) -> None:
    asked = question("person-obstacle", **picture())
    wrong = (SelfTest(output="logits", values=(99.0,)),)
    async with hosting("person-obstacle") as bench:
        answer = await swap(bench, variant(tmp_path / "new", "9.0.0"))
        assert answer.ok and "person-obstacle 9.0.0 is in use" in answer.text
        await bench.bus.call("models/infer", asked, Inferred)

        answer = await swap(bench, variant(tmp_path / "bad", "9.1.0", self_test=wrong))
        assert not answer.ok
        assert "self_test[0] gave" in answer.text
        assert "person-obstacle 9.0.0 stays in use" in answer.text

        answer = await swap(bench, "")
        assert answer.ok and "9.0.0" not in answer.text
        assert "no version before" in (await swap(bench, "")).text
        assert "another model" in (await swap(bench, str(ZOO / "sound-events"))).text
        await bench.bus.call("models/infer", asked, Inferred)


ROUTED: dict[str, Any] = {"tasks": {"look": {"candidates": ["person-obstacle"]}}}


async def test_a_task_is_served_by_the_first_model_that_can_and_says_which(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(ZOO / "sound-events", bad)
    next(bad.glob("*.onnx")).write_bytes(b"?")
    rules = {
        "tasks": {"look": {"candidates": [str(bad), "person-obstacle"]}},
        "cache_ttl_s": 60,
        "budgets": {"greedy": {"ms": 1e-6}},
    }
    feed = picture()
    mine = open_model("person-obstacle").run(feed)
    async with hosting(router=rules, cache=str(tmp_path / "answers")) as bench:
        asked = question("task:look", **feed)
        answers = [await bench.bus.call("models/infer", asked, Inferred) for _ in range(2)]
        for answer in answers:
            assert answer.model == answer.origin.place == "person-obstacle"
            assert (
                "sha256" in answer.passed_over[str(bad)] or "bytes" in answer.passed_over[str(bad)]
            )
            found = arrays_of(answer.tensors)
            assert all(np.array_equal(found[name], mine[name]) for name in mine)
        assert [answer.is_cached for answer in answers] == [False, True]

        other = replace(question("task:look", image=PICTURE), source="greedy")
        await bench.bus.call("models/infer", other, Inferred)
        with pytest.raises(ServiceError, match=r"caller greedy: .* ms are spent"):
            await bench.bus.call("models/infer", other, Inferred)
        with pytest.raises(ServiceError, match="did you mean 'look'"):
            await bench.bus.call("models/infer", replace(asked, model="task:loko"), Inferred)


async def test_a_far_model_is_refused_at_the_start_unless_the_launch_file_allows_it() -> None:
    endpoint = {"url": "https://192.0.2.1/v1", "model": "m", "per_million_tokens": 1}
    rules = {
        "tasks": {"plan": {"candidates": ["remote:far"]}},
        "remote": {"endpoints": {"far": endpoint}},
    }
    with pytest.raises(ConfigError, match="remote model 'far' is off"):
        async with hosting(router=rules):
            pass


@needs_llama
async def test_a_sentence_is_routed_token_by_token(tmp_path: Path) -> None:
    rules = {"tasks": {"plan": {"candidates": ["planner"]}}, "cache_ttl_s": 60}
    text = {"prompt": "<|begin|> go to the P1<|answer|>", "special": True, "max_tokens": 40}
    async with hosting(router=rules, cache=str(tmp_path / "answers")) as bench:
        asked = Prompt(
            model="task:plan", tier=Tier.LOW, deadline=0, source="t", request=json.dumps(text)
        )
        answers = [
            json.loads((await bench.bus.call("models/prompt", asked, Completed)).answer)
            for _ in range(2)
        ]
    assert [answer["is_cached"] for answer in answers] == [False, True]
    assert all(json.loads(answer["text"])[0]["do"] == "go" for answer in answers)
    assert answers[0]["model"] == "planner"


@needs_llama
@pytest.mark.parametrize("model", ["planner", "task:embed"])
async def test_a_text_s_meaning_is_told(model: str) -> None:
    rules = {"tasks": {"embed": {"candidates": ["planner"]}}}
    async with hosting("planner", router=rules) as bench:
        text = json.dumps({"embed": "go to the lab"})
        asked = Prompt(model=model, tier=Tier.LOW, deadline=0, source="t", request=text)
        answer = json.loads((await bench.bus.call("models/prompt", asked, Completed)).answer)
    assert np.linalg.norm(answer["embedding"]) == pytest.approx(1, abs=1e-5)
