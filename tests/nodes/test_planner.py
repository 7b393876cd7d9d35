from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from olympus.models import llama_native
from olympus.models.planner.plan import read_short
from olympus.models.registry import ZOO
from olympus.nodes.errand import Ended, Errand, command_of
from olympus.nodes.planner import PlannerNode
from olympus.runtime.errors import ConfigError, ModelError, ParamError
from olympus.runtime.messages import Ack, Command, Header, Message, MissionState, Percept, Sentence
from olympus.runtime.node import Transition
from olympus.runtime.node.testing import Bench, running

needs_llama = pytest.mark.skipif(bool(llama_native.missing()), reason=llama_native.missing())
PLACES = ["lab", "kitchen", "corridor", "home"]


def state(mission: str, done: int = 0, what: str = "driving") -> MissionState:
    return MissionState(mission=mission, state=what, done=done)


def percept(kind: str, label: str, stamp: int) -> Percept:
    return Percept(header=Header(stamp=stamp), kind=kind, label=label, confidence=0.9)


def test_a_step_is_a_command_for_the_navigator() -> None:
    for short, verb, args in (
        ("go lab", "go", {"place": "lab"}),
        ("go @2,-1.5", "go", {"x": "2", "y": "-1.5"}),
        ("patrol corridor x3", "patrol", {"place": "corridor", "rounds": "3"}),
        ("turn left 45", "turn", {"direction": "left", "degrees": "45"}),
        ("wait 2m", "wait", {"seconds": "120"}),
        ("wait until sees person", "wait", {"seconds": "86400"}),
        ("continue", "continue", {}),
    ):
        command = command_of(read_short(short)[0])
        assert (command.verb, command.args) == (verb, args)


def test_steps_follow_when_missions_are_accomplished() -> None:
    errand = Errand(read_short("go lab ; wait 3s"))
    first = errand.advance(state("", done=4), 0)
    assert first is not None and first.text == "go to the lab"
    assert errand.look(state("", done=4), 10) is False
    assert errand.look(state("go to the lab", done=4), 20) is False
    assert errand.look(state("", done=5), 30) is True
    second = errand.advance(state("", done=5), 40)
    assert second is not None and second.verb == "wait"
    assert errand.look(state("", done=6), 50) is True  # too short to be seen at all
    assert errand.advance(state("", done=6), 60) is None


def test_what_is_seen_after_a_step_began_ends_it_and_what_was_seen_before_does_not() -> None:
    errand = Errand(read_short("patrol corridor until sees person"))
    errand.advance(None, 1000)
    errand.notice(percept("object", "person", 999))
    errand.notice(percept("object", "obstacle", 1001))
    errand.notice(percept("sound", "person", 1001))
    assert errand.look(state(errand.text), 1002) is False
    errand.notice(percept("object", "person", 1003))
    assert errand.look(state(errand.text), 1004) is True


@pytest.mark.parametrize(
    ("after", "text"),
    [
        (state(""), "another command came, or a stop"),
        (state("patrol the corridor"), "another command came, or a stop"),
        (MissionState(mission="", state="failed", reason="behind a wall"), "behind a wall"),
        (state("", what="stopped"), "motion was stopped"),
        (state("", done=1, what="stopped"), "motion was stopped"),
    ],
)
def test_after_a_stop_or_another_command_nothing_goes_on(after: MissionState, text: str) -> None:
    errand = Errand(read_short("go lab ; go home"))
    errand.advance(state(""), 0)
    assert errand.look(state("go to the lab"), 1) is False
    verdict = errand.look(after, 2)
    assert isinstance(verdict, Ended)
    assert text in verdict.text


def test_a_navigator_that_never_begins_ends_the_plan() -> None:
    errand = Errand(read_short("go lab"))
    errand.advance(state(""), 0)
    assert errand.look(state(""), 4_000_000_000) is False
    assert isinstance(errand.look(state(""), 6_000_000_000), Ended)


class Navigator:
    """Takes commands and says so, as the real one does."""

    def __init__(self, bench: Bench[PlannerNode]) -> None:
        self.bench, self.told, self.done = bench, [], 0  # type: tuple[Bench[PlannerNode], list[Command], int]

    async def take(self, command: Command) -> Ack:
        if command.args.get("place") == "moon":
            return Ack(ok=False, text="no place 'moon' is known")
        self.told.append(command)
        await self.say(command.text if command.verb != "stop" else "")
        return Ack(ok=True, text="understood")

    async def say(self, mission: str) -> None:
        await self.bench.send("mission", state(mission, self.done))

    async def accomplish(self) -> None:
        self.done += 1
        await self.say("")

    async def until_told(self, count: int) -> list[str]:
        async with asyncio.timeout(30):
            while len(self.told) < count:
                await asyncio.sleep(0.01)
        return [command.text for command in self.told]


@asynccontextmanager
async def planning(**router: Any) -> AsyncIterator[tuple[Bench[PlannerNode], Navigator]]:
    params = {"places": PLACES} | ({"router": router} if router else {})
    async with running(PlannerNode, params=params) as bench:
        navigator = Navigator(bench)
        bench.bus.serve("navigator/say", Command, navigator.take)
        yield bench, navigator


@needs_llama
async def test_a_name_that_the_site_is_given_while_it_runs_is_known_from_then_on() -> None:
    async with planning() as (bench, _):
        before = await ask(bench, "would you please drive over to bay seven")
        assert bench.runner.set_params({"places": [*PLACES, "bay seven"], "sure": 0.5})
        after = await ask(bench, "would you please drive over to bay seven")
    assert not before.ok
    assert after.text == "understood: go to the bay seven"


@needs_llama
async def test_other_models_are_refused_while_the_old_ones_are_loaded() -> None:
    router = {"tasks": {"plan": {"candidates": ["planner"], "slow_ms": 9}}}
    async with planning() as (bench, _):
        with pytest.raises(ParamError, match=r"node\.router: can't change while"):
            bench.runner.set_params({"router": router})
        assert bench.node.params.router.tasks["plan"].slow_ms > 9
        await bench.runner.change(Transition.DEACTIVATE)
        await bench.runner.change(Transition.CLEANUP)
        assert bench.runner.set_params({"router": router}) == {"router"}


async def ask(bench: Bench[PlannerNode], text: str) -> Ack:
    answer = await bench.bus.call(f"{bench.node.name}/understand", Sentence(text=text), Ack)
    assert isinstance(answer, Ack)
    return answer


@needs_llama
async def test_a_free_sentence_is_understood_said_back_and_carried_out() -> None:
    async with planning() as (bench, navigator):
        told = bench.watch("said")
        answer = await ask(bench, "head over to the lab and then come back home")
        said = told.get_nowait()
        assert isinstance(said, Command)
        assert said.text == "head over to the lab and then come back home"
        assert answer.ok, answer.text
        assert answer.text == "understood: go to the lab, then go home"
        await navigator.until_told(1)
        await navigator.accomplish()
        assert await navigator.until_told(2) == ["go to the lab", "go home"]


@needs_llama
async def test_in_doubt_it_asks_and_a_yes_carries_it_out() -> None:
    async with planning() as (bench, navigator):
        await bench.node.on_deactivate()
        bench.node._planner._sure = 1.01  # nothing is sure enough
        answer = await ask(bench, "head over to the lab")
        assert not answer.ok
        assert answer.text.startswith("did you mean: go to the lab?")
        assert navigator.told == []
        assert (await ask(bench, "Yes, please!")).ok
        assert await navigator.until_told(1) == ["go to the lab"]
        assert not (await ask(bench, "yes")).ok  # a yes counts once


@needs_llama
@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("command", Command(text="stop", verb="stop")),
        ("said", Command(text="stop", verb="stop")),
        ("said", Command(text="go to the kitchen", verb="go", args={"place": "kitchen"})),
        ("mission", state("", what="stopped")),
    ],
)
async def test_who_says_stop_while_it_thinks_is_not_followed_by_a_plan(
    topic: str, message: Message
) -> None:
    """On a slow board it thinks for seconds, and the plan began after the stop."""
    async with planning() as (bench, navigator), thinking_long(bench) as go_on:
        asked = asyncio.create_task(ask(bench, "head over to the lab"))
        await go_on.reached.wait()
        before = bench.node._turned
        await bench.send(topic, message)
        async with asyncio.timeout(30):
            while bench.node._turned == before:
                await asyncio.sleep(0.01)
        go_on.set()
        answer = await asked
        assert not answer.ok
        assert answer.text.startswith("understood: go to the lab; but meanwhile motion was stopped")
        assert navigator.told == []


@needs_llama
async def test_the_same_sentence_said_to_the_navigator_and_its_own_steps_are_nobody_else() -> None:
    async with planning() as (bench, navigator):
        assert (await ask(bench, "head over to the lab and then come back home")).ok
        async with thinking_long(bench) as go_on:
            asked = asyncio.create_task(ask(bench, "go to the lab and then home"))
            await go_on.reached.wait()
            await bench.send("said", Command(text="go to the lab and then home", verb="go"))
            await bench.send("said", Command(text="go to the lab", verb="go"))  # its own
            await asyncio.sleep(0.05)
            go_on.set()
            answer = await asked
            assert answer.ok, answer.text
        assert navigator.told[-1].text == "go to the lab"


@needs_llama
@pytest.mark.parametrize(
    ("topic", "message"),
    [("command", Command(text="stop", verb="stop")), ("mission", state("", what="stopped"))],
)
async def test_a_yes_after_a_stop_is_no_yes_to_what_was_asked_before(
    topic: str, message: Message
) -> None:
    async with planning() as (bench, navigator):
        bench.node._planner._sure = 1.01  # nothing is sure enough
        assert "did you mean" in (await ask(bench, "head over to the lab")).text
        await bench.send(topic, message)
        async with asyncio.timeout(30):
            while bench.node._turned == 0:
                await asyncio.sleep(0.01)
        answer = await ask(bench, "yes")
        assert (answer.ok, answer.text) == (False, "there was no question; say what to do")
        assert navigator.told == []


class GoOn(asyncio.Event):
    """Lets a planner go on that has made its plan."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()


@asynccontextmanager
async def thinking_long(bench: Bench[PlannerNode]) -> AsyncIterator[GoOn]:
    go_on, compute = GoOn(), bench.node.compute

    async def slowly(work: Any, **how: Any) -> Any:
        found = await compute(work, **how)
        go_on.reached.set()
        await go_on.wait()
        return found

    bench.node.compute = slowly  # type: ignore[method-assign]
    yield go_on
    bench.node.compute = compute  # type: ignore[method-assign]


@needs_llama
def test_a_planner_without_any_model_is_refused_before_the_start() -> None:
    def told(*candidates: str) -> list[str]:
        router = {"tasks": {"plan": {"candidates": candidates}}}
        return PlannerNode.Params.model_validate({"router": router}).before_start()

    assert told("planner") == []
    assert "model 'nosuch' is not known" in told("nosuch", "planner")[0]
    with pytest.raises(ModelError, match=r"'nosuch' is not known.*'nor' is not known"):
        told("nosuch", "nor")
    with pytest.raises(ConfigError, match="remote:big can't be held to the names"):
        told("planner", "remote:big")


@needs_llama
async def test_the_first_candidate_that_can_serve_makes_the_plan(tmp_path: Path) -> None:
    shutil.copytree(ZOO / "planner", damaged := tmp_path / "damaged")
    (damaged / "planner-q8_0.gguf").write_bytes(b"?")
    candidates = [str(damaged), "planner"]
    async with planning(tasks={"plan": {"candidates": candidates, "failures": 1}}) as (bench, _):
        answer = await ask(bench, "head over to the lab and then come back home")
        assert answer.text == "understood: go to the lab, then go home"
        router = bench.node._router
        assert router is not None
        assert router.state("plan") == {str(damaged): "open", "planner": "closed"}


@needs_llama
async def test_a_budget_that_is_spent_is_told_and_moves_nothing() -> None:
    rules = {"tasks": {"plan": {"candidates": ["planner"]}}, "budgets": {"*": {"tokens": 1}}}
    async with planning(**rules) as (bench, navigator):
        assert (await ask(bench, "head over to the lab")).ok
        answer = await ask(bench, "head over to the kitchen")
        assert not answer.ok
        assert "is not understood: caller" in answer.text and "tokens" in answer.text
        assert await navigator.until_told(1) == ["go to the lab"]


@needs_llama
@pytest.mark.parametrize(
    ("candidates", "task", "text"),
    [
        (["remote:big"], "plan", "remote:big can't be held to the names"),
        (["planner"], "plans", "router.tasks has no 'plan'"),
    ],
)
async def test_a_router_that_can_not_plan_is_refused(
    candidates: list[str], task: str, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        async with planning(tasks={task: {"candidates": candidates}}):
            pass


@needs_llama
async def test_nonsense_moves_nothing() -> None:
    async with planning() as (bench, navigator):
        for text in ("make me a coffee", "", "!!!", "x" * 300, "don't go to the lab"):
            assert not (await ask(bench, text)).ok
        await asyncio.sleep(0.3)
        assert navigator.told == []


async def test_without_llama_cpp_it_says_what_is_missing() -> None:
    async with planning() as (bench, navigator):
        bench.node._missing = "language models need llama-cpp-python"
        answer = await ask(bench, "head over to the lab")
        assert not answer.ok
        assert "language models need llama-cpp-python" in answer.text
        assert navigator.told == []
