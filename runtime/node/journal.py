"""A node's journal: all that came to it from outside, in the order in which it noticed it.

A node is a machine that runs from one event to the next: a message, a tick of a timer, a question,
the end of something it waited for. Between two events nothing disturbs it. So whoever gives the
same code the same events, and the same answers when it looks at the clock or at the world, gets the
same node again, bit for bit, no matter how fast, on how many cores or in how many processes the
first one ran. A host writes the rows of its nodes one after the other; `olympus.runtime.replay`
reads them.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, Protocol, Self, TypeVar

import msgpack
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.failure import service_error_class, subclasses
from olympus.runtime.clock import Clock
from olympus.runtime.errors import OlympusError, ServiceError
from olympus.runtime.messages import Message, encode
from olympus.runtime.scheduler import JobDroppedError
from olympus.runtime.scheduler.job import End

T = TypeVar("T")
FORMAT = "olympus-journal-2"
QUIET, CLOSED = "quiet", "closed"
"""Steps of a deactivation: nothing is heard any more and what was spawned ends; nothing may be
published any more. What still ran when it began goes on until then, for as long as it takes."""
FIRST = 2
"""So many messages of each publisher are kept in the journal itself: one that has just come, such
as an operator's command, may reach a node before it reaches the recorder."""


class Halted(BaseException):
    """A replay ends the node here: no handler of it may catch this, and nobody reports it."""


class Kind(IntEnum):
    """What a row tells; the fields after kind and node in brackets, `dt` counts ns from row to row.

    Rows from `CHANGE` to `RESUMED` are events; those after it are what the node did about them.
    """

    HEAD = 0
    """[facts]: of the host; the first row."""
    TEXT = 1
    """[text]: the next number stands for this text."""
    NODE = 2
    """[facts]: of a node; the next number stands for it."""
    CHANGE = 3
    """[dt, transition]: the lifecycle goes on; or it has come so far: `QUIET`, `CLOSED`."""
    MESSAGE = 4
    """[dt, method, topic, source, seq, ns since its stamp, ns since it was sent, frame or nil]"""
    TICK = 5
    """[dt, method]"""
    ASKED = 6
    """[dt, method, number, frame]: a question came to a service."""
    PARAMS = 7
    """[dt, values]: parameters were set."""
    RESUMED = 8
    """[dt, number, ending, what came of it]: something it waited for has ended."""
    CLOCK = 9
    """[dt]: it looked at the clock."""
    OBSERVED = 10
    """[what, value]: it looked at something else outside."""
    SENT = 11
    """[dt, topic, seq]: it published."""
    WAITING = 12
    """[number, for what, of what name, checksum of its version]: it began to wait."""
    ANSWERED = 13
    """[number, ending, what]: it answered a question."""
    TRACE = 14
    """[resource, bytes]: a piece of a dispatch trace; of no node."""


EVENTS = range(Kind.CHANGE, Kind.RESUMED + 1)
TIMED = (*EVENTS, Kind.CLOCK, Kind.SENT)


class Ending(IntEnum):
    """How waiting, or a service, ended."""

    DONE = 0
    FAILED = 1
    CANCELLED = 2


@dataclass(frozen=True, slots=True)
class Wait(Generic[T]):
    """Something that a node waits for."""

    kind: str
    """`infer`, `compute`, `call`, `sleep`, `act` or `spawn`."""
    name: str
    """Of the model, the service, the act."""
    live: Callable[[], Awaitable[T]]
    """What is waited for."""
    again: Callable[[Any], T] | None = None
    """How a replay does it anew, told what the journal keeps of it; None = all of it is kept."""
    pack: Callable[[T], Any] = lambda value: value
    """What the journal keeps of it: all of it, or with `again` a checksum."""
    unpack: Callable[[Any], T] = lambda packed: packed
    version: str = ""
    """Checksum of the model."""


class NodeJournal(Protocol):
    """Stands between a node and what is outside of it; one keeps a journal, another replays it."""

    def clock(self, clock: Clock) -> Clock:
        """Return the clock that the node reads."""

    def observe(self, what: str, read: Callable[[], T]) -> T:
        """Return what there is to see outside."""

    async def wait(self, wait: Wait[T]) -> T:
        """Wait for something."""

    def sent(self, message: Message) -> None:
        """Take notice of what the node published."""


class HostJournal:
    """The rows of one host's nodes. For the thread of its event loop only."""

    def __init__(self, clock: Clock, facts: Mapping[str, Any]) -> None:
        """Begin a journal.

        Args:
            clock: Robot time.
            facts: What a replay has to know of the host: plain values.
        """
        self.now_ns = clock.now_ns
        self._thread = threading.get_ident()
        self._pack = msgpack.Packer(autoreset=True).pack
        self._rows = bytearray()
        self._texts: dict[str, int] = {}
        self._nodes = 0
        self._last_ns = self.now_ns()
        self._is_kept = True
        self.unseen = 0
        """Looks at a node's clock from another thread, of which a replay knows nothing."""
        self.add(Kind.HEAD, {"format": FORMAT, "start_ns": self._last_ns, **facts})

    def begin(self, facts: Mapping[str, Any]) -> int:
        """Begin the journal of a node; return the node's number."""
        self.add(Kind.NODE, dict(facts))
        self._nodes += 1
        return self._nodes - 1

    @property
    def size(self) -> int:
        """Bytes that `take` would return."""
        return len(self._rows)

    def take(self) -> bytes:
        """Return the rows since the last call."""
        rows = bytes(self._rows)
        self._rows.clear()
        return rows

    def give_up(self) -> None:
        """Keep nothing any more."""
        self._is_kept = False
        self._rows.clear()

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is the event loop's; others are counted."""
        if threading.get_ident() == self._thread:
            return True
        self.unseen += 1
        return False

    def add(self, *row: object) -> None:
        """Write a row."""
        if self._is_kept:
            self._rows += self._pack(row)

    def step(self, now_ns: int) -> int:
        """Return the time since the last timed row."""
        step, self._last_ns = now_ns - self._last_ns, now_ns
        return step

    def text(self, text: str) -> int:
        """Return the number that stands for a text."""
        number = self._texts.get(text)
        if number is None:
            number = self._texts[text] = len(self._texts)
            self.add(Kind.TEXT, text)
        return number


class JournalKeeper:
    """Writes down what comes to one node."""

    def __init__(self, host: HostJournal, node: int) -> None:
        """Write as the host's node of a number."""
        self._host, self._node = host, node
        self._number = 0

    @classmethod
    def of(cls, host: HostJournal, facts: Mapping[str, Any]) -> Self:
        """Begin the journal of a node."""
        return cls(host, host.begin(facts))

    def clock(self, clock: Clock) -> Clock:
        """Return a clock that writes down what it tells."""
        return _JournalClock(self, clock)

    def looked(self, now_ns: int) -> None:
        """Write down that the node looked at the clock."""
        if self._host.is_here:
            self._host.add(Kind.CLOCK, self._node, self._host.step(now_ns))

    def observe(self, what: str, read: Callable[[], T]) -> T:
        """Return what `read` returns, and write it down."""
        value = read()
        self._host.add(Kind.OBSERVED, self._node, self._host.text(what), value)
        return value

    def sent(self, message: Message) -> None:
        """Write down what the node published."""
        hop, host = message.header.trace[-1], self._host
        topic = host.text(hop.topic)
        host.add(Kind.SENT, self._node, host.step(hop.sent), topic, hop.seq)

    async def wait(self, wait: Wait[T]) -> T:
        """Wait, and write down beginning and end.

        Raises:
            CancelledError: The caller is to end.
        """
        number, host = self._next(), self._host
        kind, name = host.text(wait.kind), host.text(wait.name)
        host.add(Kind.WAITING, self._node, number, kind, name, wait.version)
        try:
            value = await wait.live()
        except asyncio.CancelledError:
            self._resumed(number, Ending.CANCELLED, None)
            raise
        except Exception as error:
            self._resumed(number, Ending.FAILED, pack_error(error))
            raise
        self._resumed(number, Ending.DONE, wait.pack(value))
        return value

    def changes(self, transition: str) -> None:
        """Write down that the lifecycle goes on."""
        self._event(Kind.CHANGE, self._host.text(transition))

    def takes(self, method: str, message: Message) -> None:
        """Write down that a handler begins with a message."""
        header, host = message.header, self._host
        topic = header.trace[-1].topic if header.trace else ""
        sent = header.trace[-1].sent if header.trace else 0
        numbers = host.text(method), host.text(topic), host.text(header.source)
        now = host.now_ns()
        step = host.step(now)
        frame = encode(message) if header.seq <= FIRST else None
        row = (*numbers, header.seq, now - header.stamp, now - sent, frame)
        host.add(Kind.MESSAGE, self._node, step, *row)

    def ticks(self, method: str) -> None:
        """Write down that a timer's method begins."""
        self._event(Kind.TICK, self._host.text(method))

    def asked(self, method: str, question: Message) -> int:
        """Write down that a service's method begins; return the question's number."""
        number, name = self._next(), self._host.text(method)
        self._event(Kind.ASKED, name, number, encode(question))
        return number

    def answered(self, number: int, ending: Ending, what: Any) -> None:
        """Write down how a question was answered: with a frame, or an error's row."""
        self._host.add(Kind.ANSWERED, self._node, number, ending, what)

    def set(self, values: Mapping[str, Any]) -> None:
        """Write down that parameters are set."""
        self._event(Kind.PARAMS, dict(values))

    def _resumed(self, number: int, ending: Ending, what: Any) -> None:
        self._event(Kind.RESUMED, number, ending, what)

    def _event(self, kind: Kind, *fields: object) -> None:
        host = self._host
        host.add(kind, self._node, host.step(host.now_ns()), *fields)

    def _next(self) -> int:
        self._number += 1
        return self._number


class _JournalClock:
    """A clock whose readings are written down."""

    def __init__(self, keeper: JournalKeeper, clock: Clock) -> None:
        self._keeper, self._clock = keeper, clock

    def now_ns(self) -> int:
        """Return robot time in nanoseconds."""
        now = self._clock.now_ns()
        self._keeper.looked(now)
        return now

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of robot time."""
        await self._keeper.wait(Wait("sleep", "", lambda: self._clock.sleep(seconds), _nothing))


def _nothing(_: object) -> None:
    return None


def checksum(tensors: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Return the CRC-32 of each tensor's bytes."""
    return {name: zlib.crc32(np.ascontiguousarray(one).data) for name, one in tensors.items()}


def pack_error(error: Exception) -> list[object]:
    """Return an error as a row can hold it: class, text, whether a service's, how a job ended."""
    end = error.end.value if isinstance(error, JobDroppedError) else ""
    return [type(error).__name__, str(error), isinstance(error, ServiceError), end]


def unpack_error(row: list[Any]) -> Exception:
    """Return the error that `pack_error` packed; a RuntimeError for classes that aren't ours."""
    name, text, is_service, end = row
    known: dict[str, type[OlympusError]] = {one.__name__: one for one in subclasses(OlympusError)}
    cls = known.get(name)
    if cls is None:
        return RuntimeError(f"{name}: {text}")
    if is_service:
        cls = service_error_class(cls)
    made = cls.__new__(cls, text)
    if isinstance(made, JobDroppedError) and end:
        made.end = End(end)
    return made
