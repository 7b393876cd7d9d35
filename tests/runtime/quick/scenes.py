"""A host, and a stranger who sends it what a test says: what comes of it, as plain values.

Imported where a test runs, and run as a program of its own where nothing is built: it reads a scene
a line, as JSON, and answers with a line each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack

from olympus.runtime.bus import Bus, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.bus.ipc.board import Board
from olympus.runtime.bus.ipc.door import enter
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.loop import BusLoop
from olympus.runtime.clock import VirtualClock
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Command, Message, Reading, message
from olympus.runtime.qos import QoS

START_NS = 10**18


@message("quick/Picky")
class Picky(Message):
    """Refuses what is negative."""

    name: str
    number: int
    text: str = ""

    def __post_init__(self) -> None:
        if self.number < 0:
            raise MessageError(f"number={self.number} is negative")


class Ending(BaseException):
    """Is no failure of a handler."""


RULES: dict[str, Callable[[], QoS]] = {
    "latest": QoS.latest, "queue": lambda: QoS.queue(3),
    "newest": lambda: QoS.queue(2, drop="newest"),
    "block": lambda: QoS.block(2), "lossless": lambda: QoS.lossless(4),
}  # fmt: skip
CLASSES: dict[str, type[Message]] = {
    "Reading": Reading, "Picky": Picky, "Command": Command, "Message": Message,
}  # fmt: skip


class Log(logging.Handler):
    """Keeps what was logged."""

    def __init__(self, told: list[Any]) -> None:
        super().__init__(logging.INFO)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._told.append(["log", record.levelname, record.getMessage()])


class Scene:
    """One host and its subscriptions, whose handlers do what a message names."""

    def __init__(self, bus: Bus, pair: Pair, told: list[Any]) -> None:
        self.bus, self.pair, self.told = bus, pair, told
        self.subscriptions: list[Any] = []
        self.tasks: list[asyncio.Future[None]] = []
        self.asking: list[asyncio.Future[None]] = []
        self.out = bus.publisher("out", Reading, PublisherOptions(node="a"))
        self.back = bus.publisher("r", Reading, PublisherOptions(node="a"))

    def subscribe(self, given: dict[str, Any]) -> None:
        """Subscribe as a test says."""
        number = len(self.subscriptions)

        def prompt(came: Any) -> object:
            return self.act(number, came)

        async def slow(came: Any) -> None:
            await asyncio.sleep(0)
            result = self.act(number, came)
            if asyncio.iscoroutine(result):
                await result

        options = SubscriptionOptions(
            qos=RULES[given["rule"]](), keep_expired=given["keep"], takes_unknown=given["unknown"],
            on_error=lambda error, came: self.note_error(number, error, came),
        )  # fmt: skip
        handler: Any = slow if given["slow"] else prompt
        made = self.bus.subscribe(given["topic"], CLASSES[given["cls"]], handler, options)
        self.subscriptions.append(made)

    def serve(self, names: Iterable[str]) -> None:
        """Answer questions."""
        for name in names:
            self.bus.serve(name, Reading, self.answer, response=Reading)

    async def answer(self, question: Reading) -> Message:
        """Answer a question, or fail as its name says."""
        self.told.append(["asked", repr(question)])
        match question.name:
            case "raise":
                raise ValueError("no answer")
            case "refuse":
                raise MessageError("another one")
            case "wait":
                await asyncio.sleep(0)
            case "close":
                self.pair.close()
            case "odd":
                return Picky(name="", number=1)
        return Reading(name="answer", value=question.value, unit="Cel")

    def ask(self, name: str) -> None:
        """Ask the stranger."""

        async def asked() -> None:
            try:
                answer = await self.bus.call("far", Reading(name=name, value=1.0, unit=""), Reading)
                self.told.append(["answered", name, repr(answer)])
            except Exception as error:  # noqa: BLE001  whichever it is
                self.told.append(["failed", name, type(error).__name__, str(error)])

        self.asking.append(asyncio.ensure_future(asked()))

    async def end(self) -> None:
        """Wait for what is under way, but for answers that do not come, and leave."""
        for asking in self.asking:
            asking.cancel()
        await asyncio.gather(*self.tasks, *self.asking, return_exceptions=True)
        await self.bus.close()

    def note_error(self, number: int, error: Exception, came: Any) -> None:
        """Keep what a handler failed with, and whether it is being handled; maybe fail too."""
        handled = sys.exc_info()[1]
        about = [type(error).__name__, str(error), type(error.__cause__).__name__]
        self.told.append(["error", number, *about, type(handled).__name__, came.header.seq])
        if came.text == "!":
            raise LookupError("nor can this")

    def act(self, number: int, came: Any) -> object:
        """Do what a message names."""
        self.told.append(["came", number, repr(came), bool(self.pair.wire.is_single)])
        act = getattr(self, f"do_{getattr(came, 'name', '')}", None)
        return act(number) if act is not None else None

    def do_raise(self, number: int) -> None:
        """Fail."""
        raise ValueError(f"no. {number}")

    def do_cancel(self, number: int) -> None:
        """Be cancelled, as by something that was waited for."""
        raise asyncio.CancelledError

    def do_end(self, number: int) -> None:
        """Raise what is no failure, as KeyboardInterrupt is none."""
        raise Ending

    async def do_wait(self, number: int) -> None:
        """Wait for a turn."""
        await asyncio.sleep(0)
        self.told.append(["waited", number])

    def do_promise(self, number: int) -> object:
        """Return something that can be awaited, and is no coroutine."""
        return asyncio.ensure_future(self.do_wait(number))

    def do_odd(self, number: int) -> object:
        """Return what nobody asked for."""
        return 5

    def do_unsubscribe(self, number: int) -> None:
        """Hear nothing any more."""
        self.tasks.append(asyncio.ensure_future(self.bus.unsubscribe(self.subscriptions[number])))

    def do_close(self, number: int) -> None:
        """End the pair that it is read from."""
        self.pair.close()

    def do_leave(self, number: int) -> None:
        """End all pairs."""
        assert self.bus.near is not None
        self.bus.near.close()

    def do_publish(self, number: int) -> None:
        """Answer on another topic."""
        self.out.publish(Reading(name="", value=1.0, unit=""))

    def do_echo(self, number: int) -> None:
        """Answer on the same topic."""
        self.back.publish(Reading(name="", value=2.0, unit=""))

    def do_read(self, number: int) -> None:
        """Read on, from within."""
        self.pair.wire.read()

    def do_talk(self, number: int) -> None:
        """Take in what was said."""
        self.pair.read_talk()


class Stranger:
    """The other end of the pair."""

    def __init__(self, peer: Any, clock: VirtualClock) -> None:
        self.peer, self.clock, self.board, self.sent = peer, clock, Board(), 0
        said = msgpack.packb(["board"])
        socket.send_fds(peer.talk, [said], [self.board.memory.descriptor])

    def step(self, scene: Scene, kind: str, what: Any) -> None:
        """Do one thing, and have the host take in what comes of it."""
        pair = scene.pair
        if pair.is_gone:
            return
        if kind == "say":
            self.peer.talk.send(
                msgpack.packb([bytes.fromhex(w[0]) if type(w) is list else w for w in what])
            )
            pair.read_talk()
        elif kind == "ask":
            scene.ask(what)
        elif kind == "wait":
            self.clock.advance(what)
        else:
            packets, ahead = what
            for packet in packets:
                self.peer.data.send(bytes.fromhex(packet))
                self.sent += 1
            self.board.cells[0] = self.sent + ahead
            self.have_read(scene)

    def have_read(self, scene: Scene) -> None:
        """Have the host read all that was sent."""
        for _ in range(100):
            try:
                scene.pair.wire.read()
            except BaseException as error:  # noqa: BLE001  what a loop would be told
                scene.told.append(["out of read", type(error).__name__, str(error)])
            if scene.pair.is_gone or scene.pair.wire.received == self.sent:
                return
        raise AssertionError("it does not read")


async def play(door: Path, given: dict[str, Any], told: list[Any]) -> None:
    """Play a scene to its end."""
    clock = VirtualClock(START_NS)
    bus = Bus(clock, host="a", door=door)
    near = bus.near
    assert near is not None
    ours, (peer,) = enter(door, "stranger")
    peer.data.setblocking(False)
    while not near.pairs():
        await asyncio.sleep(0)
    (pair,) = near.pairs()
    stranger = Stranger(peer, clock)
    peer.talk.send(msgpack.packb(["sub", 1, "out", "drop_oldest", 10]))
    pair.read_talk()
    scene = Scene(bus, pair, told)
    scene.serve(given.get("serves", ()))
    for subscription in given["subscriptions"]:
        scene.subscribe(subscription)
    await asyncio.sleep(0)
    for kind, what, turns in given["steps"]:
        stranger.step(scene, kind, what)
        for _ in range(turns):
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    told += [["end", s.dropped, repr(s.stats(clock.now_ns() + 1))] for s in scene.subscriptions]
    told += [["end", near.stray, pair.is_gone, pair.wire.received, bool(pair.wire.is_stuck)]]
    told += [["sent", packet.hex()] for packet in drained(peer.data)]
    await scene.end()
    for end in (ours, peer.data, peer.talk):
        end.close()
    stranger.board.memory.close()


def drained(end: socket.socket) -> list[bytes]:
    """Return all packets that wait."""
    found: list[bytes] = []
    try:
        while packet := end.recv(65_536):
            found.append(packet)
    except OSError:
        return found
    return found


def outcome(given: dict[str, Any]) -> list[Any]:
    """Return all that came of a scene."""
    told: list[Any] = []
    log = Log(told)
    loggers = logging.getLogger("olympus")
    loggers.addHandler(log)
    try:
        with (
            TemporaryDirectory() as folder,
            open_door(Path(folder) / "s"),
            asyncio.Runner(loop_factory=BusLoop) as runner,
        ):
            runner.run(play(Path(folder) / "s", given, told))
    finally:
        loggers.removeHandler(log)
    plain: list[Any] = json.loads(json.dumps(told))
    return plain


if __name__ == "__main__":
    logging.lastResort = None
    for line in sys.stdin:
        sys.stdout.write(json.dumps(outcome(json.loads(line))) + "\n")
        sys.stdout.flush()
