"""Nodes with every way of taking something in: a recording of them must replay."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import BusError, ConfigError
from olympus.runtime.messages import Ack, Text, Twist
from olympus.runtime.node import Field, Node, NodeParams, output, service, subscribe, timer
from olympus.runtime.qos import QoS

CHANCE = random.SystemRandom()
GAIN = 1.0
"""A test that changes it plays somebody who changed the code."""


class Source(Node):
    """The world: nobody knows what comes next."""

    is_replayed = False
    raw = output("raw", Twist)

    async def on_activate(self) -> None:
        self.spawn(self._ask(), name="ask")

    @timer(0.01)
    def on_tick(self) -> None:
        self.raw.publish(Twist(linear_mps=CHANCE.random(), angular_radps=CHANCE.random()))

    async def _ask(self) -> None:
        while True:
            with contextlib.suppress(BusError):  # it has no answer in time, or is not there
                await self.call("leaver/wait", Text(text="for long"), Ack, timeout_s=0.05)
            await self.clock.sleep(0.01)


class Product:
    """A model that takes a while, sometimes a long one."""

    name, digest = "product", "0" * 64

    def __init__(self) -> None:
        self._weights = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        time.sleep(CHANCE.choice((0.0, 0.001, 0.03)))
        return {"y": np.tanh(inputs["x"] @ self._weights)}


class Thinker(Node):
    """Takes messages, asks a model, a service, the clock and the world."""

    class Params(NodeParams):
        gain: float = Field(1.0, gt=0, le=100, description="What answers are multiplied by.")

    params: Params
    thought = output("thought", Twist)
    pulse = output("pulse", Text, is_reliable=True)

    async def on_configure(self) -> None:
        self._model = await asyncio.to_thread(Product)
        self._memory = 0.0

    async def on_activate(self) -> None:
        self.spawn(self._beat(), name="beat")
        await self.act("open", lambda: None)

    def on_params(self, changed: set[str]) -> None:
        self._memory = 0.0

    @subscribe("raw", qos=QoS.queue(3))
    async def on_raw(self, raw: Twist) -> None:
        x = np.full((1, 64), raw.linear_mps, np.float32)
        until_ns = self.clock.now_ns() + 50_000_000
        found = await self.infer(self._model, {"x": x}, deadline_ns=until_ns)
        self._memory = 0.9 * self._memory + float(found["y"].sum()) * self.params.gain * GAIN
        if raw.angular_radps > 0.95:
            raise ConfigError("a handler may fail")
        self.thought.publish(
            Twist(linear_mps=self._memory, angular_radps=raw.angular_radps), cause=raw
        )

    @timer(0.05)
    async def on_tick(self) -> None:
        dice = self.observe("dice", CHANCE.random)
        if dice < 0.2:
            thrown = await self.act("throw", lambda: CHANCE.randrange(6))
            self.pulse.publish(Text(text=f"threw {thrown}"))
        try:
            answer = await self.call("judge/ask", Text(text=f"{self._memory:.9f}"), Ack)
        except ConfigError as error:
            answer = Ack(ok=False, text=str(error))
        self.pulse.publish(Text(text=f"{answer.text} at {self.clock.now_ns()}"))

    async def _beat(self) -> None:
        while True:
            await self.clock.sleep(0.03)
            work = await self.compute(lambda: sum(range(1000)), what="sum")
            self.pulse.publish(Text(text=f"beat {work} at {self.clock.now_ns()}"))


class Judge(Node):
    """Answers questions out of what it has heard."""

    verdict = output("verdict", Text, latched=True)

    async def on_configure(self) -> None:
        self._sum = 0.0
        self._one_at_a_time = asyncio.Lock()

    @subscribe("thought", qos=QoS.latest())
    def on_thought(self, thought: Twist) -> None:
        self._sum += thought.linear_mps
        self.verdict.publish(Text(text=f"{self._sum:.12g}"), cause=thought)

    @service("ask")
    async def on_question(self, question: Text) -> Ack:
        before = self._sum
        await self.clock.sleep(0.002)
        if question.text.endswith("7"):
            raise ConfigError("sevens are not answered")
        return Ack(ok=True, text=f"{before:.6g} {self._sum:.6g} {question.text}")

    @service("consider")
    async def on_serious_question(self, question: Text) -> Ack:
        """Wait for who asked before, of which no journal tells."""
        async with self._one_at_a_time:
            await self.clock.sleep(0.1)
        return Ack(ok=True, text=question.text)


class Leaver(Node):
    """Takes its time to leave, and goes on talking meanwhile."""

    word = output("word", Text)

    async def on_activate(self) -> None:
        self.spawn(self._talk(), name="talk")

    @subscribe("raw", qos=QoS.latest())
    async def on_raw(self, raw: Twist) -> None:
        try:
            await self.clock.sleep(60.0)
        except asyncio.CancelledError:
            await self.clock.sleep(0.15)
            raise

    @service("wait")
    async def on_question(self, question: Text) -> Ack:
        """Have no answer yet when nobody waits for it any more."""
        await self.clock.sleep(600.0)
        return Ack(ok=True, text=question.text)

    async def _talk(self) -> None:
        number = 0
        while True:
            await self.clock.sleep(0.005)
            number += 1
            self.word.publish(Text(text=str(number)))
