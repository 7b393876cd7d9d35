"""A recording with other parameters: its nodes run freely, in virtual time, once so and once so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.clock import NS_PER_S, Clock, VirtualClock, run_virtual
from olympus.runtime.config import Session
from olympus.runtime.errors import (
    BusError,
    ConfigError,
    OlympusError,
    ParamError,
    StoreError,
    did_you_mean,
)
from olympus.runtime.messages import Message, decode, encode
from olympus.runtime.node.devices import MARK
from olympus.runtime.node.journal import Ending, Wait, unpack_error
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.loading import load_node_class
from olympus.runtime.node.node import NodeContext
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.qos import QoS
from olympus.runtime.replay.casting import Apart, full_names
from olympus.runtime.replay.difference import first_difference
from olympus.runtime.replay.feed import Feed
from olympus.runtime.replay.halting import Reached, guarding, watching
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.script import Cue, Script
from olympus.runtime.scheduler import Dispatcher

T = TypeVar("T")
_log = logging.getLogger(__name__)
Params = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a free run."""

    at_ns: int
    message: Message
    frame: bytes


@dataclass(slots=True)
class Change:
    """What other parameters change about a topic."""

    topic: str
    before: int
    """Messages with the recorded parameters."""
    after: int
    equal: int
    """Messages that are the same in both runs, at the same place in the row."""
    at_s: float = 0.0
    """When they differ first, counted from the beginning."""
    field: str = ""
    """In which field; empty when they don't differ."""
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What other parameters change."""

    changes: list[Change]
    """By topic, what changed first first; then topics where nothing did."""
    apart: list[Apart]
    """Nodes that did not run, though they have a journal: what they published was as it was."""


def what_if(recording: Recording, params: Params, inject: Collection[str] = ()) -> WhatIf:
    """Run a recording's nodes twice, with the recorded parameters and with others.

    Both runs are free: handlers take messages when virtual time says so, models take no time, and
    what devices and operators did comes when it came. So nothing but the parameters differs.

    Args:
        recording: What came from outside.
        params: Values by node and parameter; a node by its full name or the last part of it.
        inject: Nodes that do not run, named likewise: their recorded messages stand for them.

    Raises:
        ConfigError: One of the nodes reaches for a device, or one to be left out is not known.
        ParamError: A node or parameter is not known, does not run, or a value is refused.
        StoreError: None of the nodes runs.
    """
    inject = full_names(inject, recording)
    reached: list[str] = []
    with guarding(reached.append):
        script = Script.of(recording, inject)
        if not script.specs:
            reasons = "; ".join(f"{one.node}: {one.why}" for one in script.apart.values())
            raise StoreError(f"none of the recorded nodes runs again: {reasons}")
        wanted = _by_full_name(params, script)
        before, after = (_fly(Script.of(recording, inject), one) for one in ({}, wanted))
    if reached:
        raise ConfigError(_reaching("a thread of one of the nodes", reached[0]))
    topics = sorted({*before, *after})
    changes = [
        _change(topic, before.get(topic, []), after.get(topic, []), script.began_ns)
        for topic in topics
    ]
    changes.sort(key=lambda one: (not one.field, one.at_s, one.topic))
    return WhatIf(changes, list(script.apart.values()))


def _reaching(who: str, what: str) -> str:
    return f"{who} reached for {what} when it ran again; say {MARK} = False in its class"


def _by_full_name(params: Params, script: Script) -> dict[str, Mapping[str, Any]]:
    found = {}
    names = list(script.specs)
    for name, values in params.items():
        full = [one for one in names if one == name or one.rpartition("/")[2] == name]
        for one in script.apart.values():
            if name in (one.node, one.node.rpartition("/")[2]):
                raise ParamError(f"{name} does not run with other parameters: {one.why}")
        if len(full) != 1:
            raise ParamError(f"no node {name!r} was replayed; {did_you_mean(name, names)}")
        found[full[0]] = values
    return found


def _change(topic: str, before: list[Sent], after: list[Sent], began_ns: int) -> Change:
    pairs = list(zip(before, after, strict=False))
    differing = [i for i, (a, b) in enumerate(pairs) if a.frame != b.frame]
    made = Change(topic, len(before), len(after), len(pairs) - len(differing))
    if differing:
        a, b = pairs[differing[0]]
        made.at_s = (min(a.at_ns, b.at_ns) - began_ns) / NS_PER_S
        made.field, made.old, made.new = first_difference(a.message, b.message)
    elif len(before) != len(after):
        longer = before if len(before) > len(after) else after
        made.at_s = (longer[len(pairs)].at_ns - began_ns) / NS_PER_S
        made.field, made.old, made.new = "messages", str(len(before)), str(len(after))
    return made


def _fly(script: Script, params: Params) -> dict[str, list[Sent]]:
    clock = VirtualClock(script.began_ns)
    with tempfile.TemporaryDirectory(prefix="olympus-replay-") as folder:
        return run_virtual(_Flight(script, params, clock, Path(folder)).run(), clock)


class _Flight:
    """One free run."""

    def __init__(self, script: Script, params: Params, clock: VirtualClock, folder: Path) -> None:
        self._script, self._params, self._clock = script, params, clock
        self._feed = Feed()
        self._bus = Bus(clock, host="replay", link=self._feed)
        self._dispatcher = Dispatcher(clock)
        self._session = Session(
            name="replay",
            run_dir=folder,
            endpoint="",
            clock_offset_ns=script.facts["clock_offset_ns"],
            pid=0,
        )
        self._asking: set[asyncio.Task[None]] = set()
        self._sent: dict[str, list[Sent]] = {}
        self._reached = ""
        """Which node reached for what outside; empty for none."""

    async def run(self) -> dict[str, list[Sent]]:
        """Run the nodes to the end of the recording.

        Raises:
            ConfigError: One of them reaches for a device.
        """
        on_reach = partial(self._reach, "one of the nodes")
        with contextlib.suppress(Reached), watching(on_reach):
            await self._run()
        if self._reached:
            raise ConfigError(self._reached)
        return self._sent

    def _reach(self, name: str, what: str) -> None:
        self._reached = self._reached or _reaching(name, what)

    async def _run(self) -> None:
        options = SubscriptionOptions(qos=QoS.lossless(), keep_expired=True)
        self._bus.subscribe("**", Message, self._note, options)
        runners = {name: self._runner(name) for name in self._script.specs}
        for step in (Transition.CONFIGURE, Transition.ACTIVATE):
            for name, runner in runners.items():
                with watching(partial(self._reach, name)):
                    await runner.change(step)
        for cue in self._script.cues:
            wait_ns = cue.at_ns - self._clock.now_ns()
            if wait_ns > 0:
                await self._clock.sleep(wait_ns / NS_PER_S)
            await self._give(cue, runners)
        await self._clock.sleep(max(0, self._script.ended_ns - self._clock.now_ns()) / NS_PER_S)
        for runner in reversed(list(runners.values())):
            await runner.change(Transition.SHUTDOWN)
        self._dispatcher.close()
        await self._bus.close()

    def _runner(self, name: str) -> NodeRunner:
        spec = self._script.specs[name]
        node_class = load_node_class(spec.uses)
        context = NodeContext(
            name=spec.name,
            namespace=spec.namespace,
            params={**spec.params, **self._params.get(name, {})},
            remaps=spec.remaps,
            bus=self._bus,
            clock=self._clock,
            dispatcher=self._dispatcher,
            session=self._session,
            journal=_Free(name, self._script, self._clock),
        )
        return NodeRunner(node_class(context), spec.uses)

    async def _give(self, cue: Cue, runners: Mapping[str, NodeRunner]) -> None:
        if cue.message is not None:
            self._feed.give(cue.topic, cue.message)
        elif cue.values:
            kept = {k: v for k, v in cue.values.items() if k not in self._params.get(cue.node, {})}
            runners[cue.node].set_params(kept)
        else:
            task = asyncio.get_running_loop().create_task(self._ask(cue))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, cue: Cue) -> None:
        name = self._script.service_of(cue)
        try:
            await self._bus.call(name, decode(cue.frame), timeout_s=60.0)
        except OlympusError as error:
            _log.debug("%s: %s", name, error)

    def _note(self, message: Message) -> None:
        header = message.header
        if header.source in self._script.specs:
            sent = Sent(header.trace[-1].sent, message, encode(message))
            self._sent.setdefault(header.trace[-1].topic, []).append(sent)


class _Free:
    """A node's journal in a free run: time is virtual, and the world is as it was."""

    def __init__(self, node: str, script: Script, clock: Clock) -> None:
        self._node, self._script, self._clock = node, script, clock

    def clock(self, clock: Clock) -> Clock:
        """Return the virtual clock."""
        return clock

    def observe(self, what: str, read: Callable[[], T]) -> T:
        """Return what the original had seen by now."""
        found: T = self._script.seen(self._node, what, self._clock.now_ns())
        return found

    async def wait(self, wait: Wait[T]) -> T:
        """Wait in virtual time; an act ends as the original's did.

        Raises:
            Exception: What the original's act raised.
        """
        if wait.kind == "infer" and wait.again is not None:
            hosted = self._script.hosted(self._node, wait.name)
            return await wait.live() if hosted is None else wait.again(hosted)
        if wait.kind != "act":
            return await wait.live()
        ending, what = self._script.acted(self._node, wait.name)
        if ending != Ending.DONE:
            raise unpack_error(what) if what else BusError(f"{wait.name} was cancelled")
        return wait.unpack(what)

    def sent(self, message: Message) -> None:
        """Do nothing: the bus tells."""
