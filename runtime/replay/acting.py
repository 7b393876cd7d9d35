"""One node that runs again: its code gets what its journal says, and is watched at each step."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from olympus.runtime.bus import Publisher
from olympus.runtime.bus.handling import call_handler
from olympus.runtime.bus.link import Origin
from olympus.runtime.clock import Clock
from olympus.runtime.errors import OlympusError, ParamError
from olympus.runtime.messages import Message, decode, encode
from olympus.runtime.node.journal import (
    CLOSED,
    QUIET,
    Ending,
    Kind,
    Wait,
    pack_error,
    unpack_error,
)
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.node import Node
from olympus.runtime.node.params import changed_params
from olympus.runtime.replay.changes import Changes
from olympus.runtime.replay.clocks import ReplayClock, SendingClock
from olympus.runtime.replay.difference import answer_text
from olympus.runtime.replay.halting import Diverged, JournalEnded
from olympus.runtime.replay.rows import Row
from olympus.runtime.replay.turns import Threads, Turns

T = TypeVar("T")
COMPUTED = ("infer", "compute")


class Stage(Protocol):
    """What a node that runs again needs from whoever runs it."""

    threads: Threads

    def pull(self) -> bool:
        """Read on in the journal; False at its end."""

    def published(self, node: ReplayedNode, message: Message, origin: Origin) -> None:
        """Take a message that a node published."""

    def diverged(self, node: ReplayedNode, what: str, recorded: str, replayed: str) -> Diverged:
        """Put down a difference that is no message's; return what ends the node's turn."""

    def other_model(self, node: ReplayedNode, name: str, recorded: str, here: str) -> None:
        """Take notice that a model is another one than the original's."""

    def computed(self, what: str) -> None:
        """Take notice that a model or other work was done again."""

    def waits_alone(self, node: ReplayedNode) -> None:
        """Take notice that a node waits for what neither it nor a thread nor the journal ends."""

    def failed(self, node: ReplayedNode, step: str, error: Exception) -> None:
        """Take notice that a step of the lifecycle failed."""


@dataclass(slots=True)
class _Waiting:
    """Something that the node waits for."""

    wait: Wait[Any]
    future: asyncio.Future[Any]


class ReplayedNode:
    """One start of a node; the node's `NodeJournal`."""

    def __init__(self, name: str, stage: Stage) -> None:
        """Take the part of a node; `take` gives the node itself."""
        self.name, self._stage = name, stage
        self.rows: deque[Row] = deque()
        """What the original did next."""
        self.now_ns = self.began_ns = 0
        self.has_ended = False
        """Whether its journal is at its end, or it diverged."""
        self.errors = 0
        self.node: Node
        self._waits: dict[int, _Waiting] = {}
        self._changes = Changes(self)
        self._number = 0
        self._turns = Turns(stage.threads, self._failed, lambda: stage.waits_alone(self))
        self._is_computing = False

    def make(self, build: Callable[[], Node]) -> None:
        """Build the node, as its host did."""
        self.node = build()
        self.errors = 0

    # What the node does: its NodeJournal.

    def clock(self, clock: Clock) -> Clock:
        """Return a clock that tells what the original was told."""
        return ReplayClock(self)

    def looked(self) -> int:
        """Return what the original's clock said."""
        if self._is_computing:
            return self.now_ns
        row = self._expect(Kind.CLOCK, "looked at the clock")
        self.now_ns = row.at_ns
        return row.at_ns

    def observe(self, what: str, read: Callable[[], T]) -> T:
        """Return what the original saw."""
        row = self._expect(Kind.OBSERVED, f"looked at {what}")
        if row.fields[0] != what:
            raise self._stage.diverged(self, "act", str(row), f"looked at {what}")
        found: T = row.fields[1]
        return found

    def sent(self, message: Message) -> None:
        """Do nothing: what is published came to the stage already."""

    async def wait(self, wait: Wait[T]) -> T:
        """Wait for what the original waited for, as long as it did."""
        row = self._expect(Kind.WAITING, f"began to wait for {wait.kind} {wait.name}")
        self._number += 1
        number, kind, name, version = row.fields
        if (number, kind, name) != (self._number, wait.kind, wait.name):
            said = f"began to wait for {wait.kind} {wait.name}"
            raise self._stage.diverged(self, "act", str(row), said)
        if version != wait.version:
            self._stage.other_model(self, name, version, wait.version)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waits[number] = _Waiting(wait, future)
        self._turns.begins()
        return await future

    def publisher(self, topic: str, cls: type[Message], options: Any) -> Publisher[Any]:
        """Return a publisher whose messages go to the stage, sent when the original's were."""
        clock = SendingClock(self, topic)
        made = Publisher(topic, cls, clock=clock, options=options, subscribers=lambda: (clock,))  # type: ignore[arg-type,return-value]
        clock.is_open = True
        return made

    def sends(self, topic: str) -> int:
        """Return when the original published its next message, which is to be of `topic`."""
        row = self._expect(Kind.SENT, f"published {topic}")
        if row.fields[0] != topic:
            raise self._stage.diverged(self, "act", str(row), f"published {topic}")
        self.now_ns = row.at_ns
        return row.at_ns

    def push(self, message: Message, origin: Origin) -> None:
        """Hand on what was published."""
        self._stage.published(self, message, origin)

    # What comes to the node.

    async def feed(self, event: Row) -> None:
        """Let the original's next event happen.

        Raises:
            Diverged: The node does otherwise than the original.
            JournalEnded: The original's journal ends here.
        """
        self._begin(event)
        fields = event.fields
        match event.kind:
            case Kind.TICK:
                await self._run(getattr(self.node, fields[0]))
            case Kind.ASKED:
                await self._run(self._answer, *fields)
            case Kind.PARAMS:
                self._set(fields[0])
            case Kind.CHANGE if fields[0] in (QUIET, CLOSED):
                await self._reach(fields[0])
            case Kind.CHANGE:
                await self._turns.start(self._change(Transition(fields[0])))
            case _:
                await self._resume(*fields)

    async def deliver(self, event: Row, message: Message) -> None:
        """Let the original's next event, a message, happen.

        Raises:
            Diverged: The node does otherwise than the original.
            JournalEnded: The original's journal ends here.
        """
        self._begin(event)
        await self._run(getattr(self.node, event.fields[0]), message)

    def _begin(self, event: Row) -> None:
        first = self.rows.popleft()
        if first is not event:
            raise self._stage.diverged(self, "act", str(first), "did not")
        self.now_ns = event.at_ns

    async def close(self) -> None:
        """End what still waits; what it does about that is no difference."""
        self.has_ended = True
        await self._turns.close()

    async def _run(self, method: Callable[..., Any], *arguments: Any) -> None:
        """Call a method; what it raises is its own, as in a host."""
        try:
            result = method(*arguments)
        except Exception as error:  # noqa: BLE001  the node boundary: counted, as in a host
            self._failed(error)
            return
        if inspect.isawaitable(result):
            await self._turns.start(self._caught(result))

    async def _caught(self, result: Awaitable[Any]) -> None:
        try:
            await call_handler(lambda: result)
        except Exception as error:  # noqa: BLE001  the node boundary: counted, as in a host
            self._failed(error)

    async def _resume(self, number: int, ending: int, what: Any) -> None:
        waiting = self._waits.pop(number, None)
        if waiting is None:
            what = f"went on after waiting no. {number}"
            raise self._stage.diverged(self, "act", what, "did not wait for it")
        future = waiting.future
        if future.done() and ending != Ending.CANCELLED:
            what = f"went on after {waiting.wait.kind} {waiting.wait.name}"
            raise self._stage.diverged(self, "act", what, "waited for it no more")
        if ending == Ending.CANCELLED:
            future.cancel()
        elif ending == Ending.FAILED:
            future.set_exception(unpack_error(what))
        elif waiting.wait.again is None:
            future.set_result(waiting.wait.unpack(what))
        else:
            self._compute(waiting, what)
        await self._turns.go_on()

    def _compute(self, waiting: _Waiting, recorded: Any) -> None:
        wait, self._is_computing = waiting.wait, True
        try:
            value = wait.again(recorded) if wait.again is not None else None
        except Exception as error:
            found = " ".join(str(part) for part in pack_error(error)[:2])
            what = f"{wait.kind} {wait.name}"
            raise self._stage.diverged(self, what, "was done", found) from error
        finally:
            self._is_computing = False
        packed = wait.pack(value)
        if wait.kind in COMPUTED:
            self._stage.computed(wait.name or wait.kind)
        if isinstance(packed, dict) and packed.get("digest") != recorded.get("digest"):
            digests = (str(recorded.get("digest")), str(packed.get("digest")))
            self._stage.other_model(self, wait.name, *digests)
        if packed != recorded:
            raise self._stage.diverged(
                self, f"{wait.kind} {wait.name}", f"checksums {recorded}", f"checksums {packed}"
            )
        waiting.future.set_result(value)

    async def _answer(self, method: str, number: int, frame: bytes) -> None:
        self._number += 1
        was_cancelled = False
        try:
            answer = await call_handler(getattr(self.node, method), decode(frame))
            found: tuple[Any, ...] = (Ending.DONE, encode(answer))
        except Exception as error:  # noqa: BLE001  an answer too
            found = (Ending.FAILED, tuple(pack_error(error)))
            was_cancelled = isinstance(error.__cause__, asyncio.CancelledError)
        row = self._expect(Kind.ANSWERED, f"answered {method}")
        if was_cancelled and row.fields[1] == Ending.CANCELLED:
            return  # nobody waited for the original's answer any more, and so it was ended
        if row.fields[1:] != found:
            raise self._stage.diverged(
                self, f"answer of {method}", answer_text(row.fields[1:]), answer_text(found)
            )

    def _set(self, values: dict[str, Any]) -> None:
        node = self.node
        old = node.params
        try:
            node.params, changed = changed_params(old, values, node.name)
            if changed:
                node.on_params(changed)
        except ParamError:
            node.params = old

    def awaits_step(self) -> None:
        """Take notice that a deactivation waits until the original's had come as far."""
        self._turns.begins()

    async def _change(self, step: Transition) -> None:
        try:
            await self._changes.make(step)
        except Exception as error:
            self._stage.failed(self, step, error)
            raise

    async def _reach(self, step: str) -> None:
        if (rest := self._changes.reach(step)) is not None:
            await self._turns.start(rest)
        else:
            await self._turns.go_on()

    def _expect(self, kind: Kind, doing: str) -> Row:
        if self.has_ended:
            raise JournalEnded
        while not self.rows:
            if not self._stage.pull():
                raise JournalEnded
        if self.rows[0].kind is not kind:
            raise self._stage.diverged(self, "act", str(self.rows[0]), doing)
        return self.rows.popleft()

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if isinstance(error, OlympusError):
            self.node.log.debug(f"{type(error).__name__}: {error}")
        else:
            self.node.log.debug(f"{type(error).__name__}: {error}", exc_info=error)
