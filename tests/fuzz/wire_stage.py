"""A host and a stranger at the far end of a real pair of sockets, who does what bytes say.

Imported by the fuzzer, where all is done in Python, and run as a program of its own, where it is
done in C (or the other way round): what is delivered, refused, counted, logged, sent and given back
must be the same. A script is a byte for who subscribes, one for how, and then steps:

    a byte: what to do (the lowest three bits), whether the host reads at once (8), a detail (16 …)
    and what that takes, see `_Player`; what is not there any more is 0
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import socket
import zlib
from collections.abc import Awaitable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgpack
from wire_script import (
    BODIES,
    CLASSES,
    POOLS,
    RULES,
    SLOT,
    SLOTS,
    START_NS,
    TYPES,
    Script,
    bent,
    card,
    pictures,
    record,
)  # fmt: skip

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.bus.ipc.board import RELEASED, Board
from olympus.runtime.bus.ipc.door import Peer
from olympus.runtime.bus.ipc.records import HEAD, LENGTH, MANY
from olympus.runtime.bus.ipc.talk import greet
from olympus.runtime.bus.loop import BusLoop
from olympus.runtime.clock import VirtualClock
from olympus.runtime.messages import Image

if TYPE_CHECKING:
    from olympus.runtime.bus.ipc.member import Member

MOST_STEPS = 60


class _Log(logging.Handler):
    """Keeps what was logged."""

    def __init__(self, told: list[Any]) -> None:
        super().__init__(logging.INFO)
        self.told = told

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.told.append(["log", record.getMessage()])


class _Player:
    """The stranger, and what comes of a script."""

    def __init__(self, bus: Bus, near: Member, clock: VirtualClock, told: list[Any]) -> None:
        self.bus, self.near, self.clock, self.told = bus, near, clock, told
        kinds = socket.AF_UNIX, socket.SOCK_SEQPACKET
        (data, self.data), (talk, self.talk) = (socket.socketpair(*kinds) for _ in range(2))
        for end in (data, talk, self.data, self.talk):
            end.setblocking(False)
        self.board, self.kept = Board(), list[Any]()
        self.pair = greet(near, Peer(1, "far", data, talk), ())
        self.pending, self.gathered = list[bytes](), list[bytes]()
        self.sent = self.ahead = self.gather = 0
        self.last = dict.fromkeys(TYPES, 0)
        self.subscriptions: list[Any] = []
        self.acts = (
            self.good, self.bent, self.raw, self.picture, self.say, self.many, self.look, self.turn,
        )  # fmt: skip

    def subscribe(self, first: int, second: int) -> None:
        """Subscribe as two bytes say."""
        options = SubscriptionOptions(
            qos=RULES[first % 5](), keep_expired=bool(second & 1), takes_unknown=bool(second & 2),
            on_error=lambda error, _: self.told.append(["error", repr(error)]),
        )  # fmt: skip
        for number in range(2 if second & 4 else 1):
            handler = self.handler(number, is_slow=bool(second & 8))
            made = self.bus.subscribe("r", CLASSES[first // 5 % 4], handler, options)
            self.subscriptions.append(made)
        if not second & 16:
            socket.send_fds(self.talk, [msgpack.packb(["board"])], [self.board.memory.descriptor])
        for pool in range(POOLS):
            words = msgpack.packb(["pool", pool, SLOT, SLOTS])
            socket.send_fds(self.talk, [words], [pictures().descriptor])
        for channel in TYPES:
            self.open(channel, 1)
        if not second & 32:
            self.pair.read_talk()

    def handler(self, number: int, *, is_slow: bool) -> Any:
        """Return what takes in the messages of a subscription."""

        async def slow(came: Any) -> None:
            await asyncio.sleep(0)
            result = self.take(number, came)
            if result is not None:
                await result

        return slow if is_slow else lambda came: self.take(number, came)

    def take(self, number: int, came: Any) -> Awaitable[None] | None:
        """Note what was delivered, and do what it names."""
        if isinstance(came, Image):
            state = came.data.shape, zlib.crc32(came.data.tobytes()), came.data.flags.writeable
            text = f"{came.header} {came.encoding} {came.frame_id} {state}"
            self.kept.append(came.data)
            del self.kept[:-3]
        else:
            text = repr(came)
        self.told.append(["came", number, text, bool(self.pair.wire.is_single)])
        match getattr(came, "name", ""):
            case "raise":
                raise ValueError(f"no. {came.header.seq}")
            case "wait":
                return asyncio.sleep(0)
        return None

    async def step(self, script: Script) -> None:
        """Do one thing."""
        act = script.number()
        packets = self.acts[act & 7](act >> 4, script)
        if asyncio.iscoroutine(packets):
            await packets
        else:
            self.put(packets or [])
        if act & 8 or len(self.pending) > 8:
            self.flush()

    def put(self, records: list[bytes]) -> None:
        """Have records sent, several in a packet where that is wanted."""
        for one in records:
            if self.gather:
                self.gather -= 1
                self.gathered.append(LENGTH.pack(len(one)) + one)
                if not self.gather:
                    self.pending.append(bytes((MANY,)) + b"".join(self.gathered))
                    self.gathered.clear()
            else:
                self.pending.append(one)

    def flush(self) -> None:
        """Send what is ready, and have the host read it."""
        for packet in self.pending:
            with contextlib.suppress(OSError):
                self.data.send(packet)
                self.sent += 1
        self.pending.clear()
        self.board.cells[0] = min(max(0, self.sent + self.ahead), 2**64 - 1)
        for _ in range(200):
            if self.pair.is_gone or self.pair.wire.received == self.sent:
                return
            try:
                self.pair.wire.read()
            except Exception as error:  # noqa: BLE001  what a loop would be told
                self.told.append(["out of read", repr(error)])

    # ── what a script can do ──

    def good(self, detail: int, script: Script) -> list[bytes]:
        """Take a byte: which body; send the next record of a channel."""
        channel, which = detail % 4 + 1, script.number()
        self.last[channel] += 1
        body = BODIES[channel][which % 3]
        return [record(channel, self.last[channel], body, pictures=which >> 2)]

    def bent(self, detail: int, script: Script) -> list[bytes]:
        """Do that too, with a number in its head odd, bytes changed, or the end cut off."""
        (made,) = self.good(detail, script)
        how = script.number()
        raw = bytearray(bent(made, script.number(), script.number()) if how & 16 else made)
        for _ in range(how & 3):
            raw[script.number() % len(raw)] = script.number()
        made = bytes(raw[: script.number()]) if how & 4 else bytes(raw)
        if how & 8:
            made += script.take(script.number() & 31)
        return [made] if made else []

    def raw(self, detail: int, script: Script) -> list[bytes]:
        """Take a byte, how many follow, and send those, or so often that they are long."""
        packet = script.take(script.number())
        if detail & 1 and packet:
            packet = (packet * 70_000)[: 60_000 + 1000 * (detail >> 1)]
        return [packet] if packet else []

    def picture(self, detail: int, script: Script) -> list[bytes]:
        """Take a byte: which slot; send a picture."""
        which = script.number()
        self.last[2] += 1
        return [record(2, self.last[2], BODIES[2][detail % 3], pictures=which)]

    def say(self, detail: int, script: Script) -> None:
        """Say something; with 8 in the detail, nobody looks for it yet."""
        what = script.number()
        match detail & 7:
            case 0 | 1:
                self.open(what % 5 + 1, detail & 1 or what)
            case 2:
                self.tell(script.take(what & 63))
            case 3:
                self.tell(msgpack.packb(["open", what % 5, "r", *card(what), "m", 2**63]))
            case 4:
                self.put([HEAD.pack(5, 0, 0, what % 5, 0, 0, 0, 0, 0, 0)])
            case 5:
                self.put([HEAD.pack(what % 5, 2, 4, 1, 1, 0, 0, 0, 0, 4) + script.take(4)])
            case _:
                self.last[what % 4 + 1] += script.number() - 128
        if not detail & 8:
            self.pair.read_talk()

    def many(self, detail: int, script: Script) -> None:
        """Have the next records travel in one packet."""
        self.gather = max(1, detail & 7)

    def look(self, detail: int, script: Script) -> None:
        """Take a byte: what the board says about packets that are not there."""
        self.ahead = (2**64 if detail & 1 else 1) * (script.number() - 128 * (detail >> 3))

    async def turn(self, detail: int, script: Script) -> None:
        """Let the loop have its turns, and time pass; maybe forget all pictures."""
        self.flush()
        if detail & 8:
            self.kept.clear()
        self.clock.advance(detail & 4 and 1000)
        for _ in range(detail & 3):
            await asyncio.sleep(0)

    def open(self, channel: int, incarnation: int) -> None:
        """Open a channel."""
        words = ["open", channel, "r", *card(channel), f"n{channel}", incarnation]
        self.tell(msgpack.packb(words))

    def tell(self, said: bytes) -> None:
        """Say it."""
        if said:
            with contextlib.suppress(OSError):
                self.talk.send(said)

    async def end(self) -> None:
        """Note how it is at the end, and leave nothing."""
        self.flush()
        for _ in range(8):
            await asyncio.sleep(0)
        pair, now_ns = self.pair, self.clock.now_ns() + 1
        for one in self.subscriptions:
            self.told.append(["end", one.dropped, repr(one._seen)])
            self.told.append(repr(one.stats(now_ns)))
        for number, channel in pair.channels.items():
            self.told.append(["channel", number, repr(channel.known), repr(channel.unlike)])
        state = self.near.stray, pair.is_gone, pair.wire.received, bool(pair.wire.is_stuck)
        self.told.append(["pair", *state, sorted(pair.refused.items())])
        copied = [lent.copied for lent in pair.pools.values()]
        self.kept.clear()
        for one in self.subscriptions:
            await self.bus.unsubscribe(one)
        released = sorted(pair.board.cells[64 : 64 + pair.board.cells[RELEASED]].tolist())
        self.told.append(["slots", copied, released])
        pair.close()
        self.told += [["sent", packet.hex()] for packet in drained(self.data)]
        self.board.memory.close()
        self.data.close()
        self.talk.close()


def drained(end: socket.socket) -> list[bytes]:
    """Return all packets that wait."""
    found: list[bytes] = []
    with contextlib.suppress(OSError):
        while packet := end.recv(65_536):
            found.append(packet)
    return found


@cache
def session() -> tuple[asyncio.Runner, Path]:
    """Return what plays scripts and the door of a session, which are there until the end."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    path = Path(stack.enter_context(TemporaryDirectory())) / "s"
    stack.enter_context(open_door(path))
    return stack.enter_context(asyncio.Runner(loop_factory=BusLoop)), path


async def play(path: Path, data: bytes, told: list[Any]) -> None:
    """Play a script."""
    clock, script = VirtualClock(START_NS), Script(data)
    bus = Bus(clock, host="a", door=path)
    assert bus.near is not None
    player = _Player(bus, bus.near, clock, told)
    player.subscribe(script.number(), script.number())
    for _ in range(MOST_STEPS):
        if script.is_over or player.pair.is_gone:
            break
        await player.step(script)
    await player.end()
    await bus.close()


def outcome(data: bytes) -> list[Any]:
    """Return all that comes of a script, as JSON knows it."""
    told: list[Any] = []
    log, loggers = _Log(told), logging.getLogger("olympus")
    runner, path = session()
    loggers.addHandler(log)
    loggers.propagate = False  # who keeps what was logged keeps errors, and so what they hold
    try:
        runner.run(play(path, data, told))
    finally:
        loggers.removeHandler(log)
        loggers.propagate = True
    plain: list[Any] = json.loads(json.dumps(told))
    return plain
