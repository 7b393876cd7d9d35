"""Services between hosts of one machine: questions and answers are records like any other.

`seq` of such a record is the number of the call; what its header says besides is in the body.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from olympus.runtime.bus.failure import failure_bytes, failure_of
from olympus.runtime.bus.ipc.frames import Frame, asked_header
from olympus.runtime.bus.ipc.outbox import PATIENT
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.ipc.records import HEAD, Kind, Packed, Packing, bare
from olympus.runtime.bus.ipc.shelf import NoRoomError
from olympus.runtime.bus.service import Service
from olympus.runtime.errors import BusError, MessageError, OlympusError
from olympus.runtime.messages import Message, schema_by_class
from olympus.runtime.messages.parts import parts_of

if TYPE_CHECKING:
    from olympus.runtime.bus.ipc.member import Member

_WAIT_S, _LOOK_S = 0.5, 0.002


class Calls:
    """The questions this host asks and answers."""

    def __init__(self, member: Member) -> None:
        self.services: dict[str, Service] = {}
        self._member = member
        self._packings: dict[tuple[str, type[Message]], Packing] = {}
        self._asked: dict[int, tuple[Pair, str, asyncio.Future[Message]]] = {}
        self._answering: dict[tuple[Pair, int], asyncio.Task[None]] = {}
        self._count = 0

    async def ask(self, pair: Pair, name: str, question: Message, timeout_s: float) -> Message:
        """Ask a service of another host and return its answer.

        Who is cancelled meanwhile, or waits in vain, has the answering cancelled too.

        Raises:
            BusError: No answer in time, or that host is gone.
            ServiceError: The service failed; also of the class that it raised.
            MessageError: The question or the answer can't travel.
            CancelledError: The task of the caller is asked to end.
        """
        self._count += 1
        number = self._count
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = pair, name, answer
        try:
            await self._send(pair, Kind.ASK, name, number, question)
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            self._send_bare(pair, Kind.CANCEL, number)
            raise BusError(f"service {name!r} gave no answer in {timeout_s:g} s") from None
        except asyncio.CancelledError:
            self._send_bare(pair, Kind.CANCEL, number)
            raise
        finally:
            del self._asked[number]

    def take(self, pair: Pair, frame: Frame, record: bytes | memoryview) -> None:
        """Take in a question, an answer, or the end of one."""
        kind, number = frame.head[0], frame.head[4]
        if kind == Kind.ASK:
            task = asyncio.get_running_loop().create_task(self._answer(pair, number, frame))
            self._answering[pair, number] = task
            task.add_done_callback(lambda _: self._answering.pop((pair, number), None))
        elif kind == Kind.CANCEL:
            if (task_of := self._answering.get((pair, number))) is not None:
                task_of.cancel()
        elif number in self._asked and self._asked[number][0] is pair:
            _, name, answer = self._asked[number]
            if not answer.done():
                self._settle(answer, name, frame, record)

    def forget(self, pair: Pair) -> None:
        """Fail what was asked there, and stop answering its questions: that host is gone."""
        for other, name, answer in self._asked.values():
            if other is pair and not answer.done():
                answer.set_exception(BusError(f"{name}: its host {pair.host} is gone"))
        for (other, _), task in list(self._answering.items()):
            if other is pair:
                task.cancel()

    def close(self) -> None:
        """Stop answering."""
        for task in self._answering.values():
            task.cancel()

    def _settle(
        self, answer: asyncio.Future[Message], name: str, frame: Frame, record: bytes | memoryview
    ) -> None:
        if frame.head[0] == Kind.FAILURE:
            answer.set_exception(failure_of(bytes(record[HEAD.size :]), name))
            return
        try:
            answer.set_result(_message_of(frame))
        except MessageError as error:
            answer.set_exception(error)

    async def _answer(self, pair: Pair, number: int, frame: Frame) -> None:
        try:
            question = _message_of(frame)
            service = self.services.get(frame.channel.topic)
            if service is None:
                raise BusError("it is not served here any more")
            await self._send(pair, Kind.ANSWER, "", number, await service.answer(question))
        except OlympusError as error:
            self._send_bare(pair, Kind.FAILURE, number, failure_bytes(error))

    async def _send(self, pair: Pair, kind: Kind, name: str, number: int, message: Message) -> None:
        packing, card = self._packing(name, type(message)), schema_by_class(type(message))
        header = message.header
        stamps = (header.tier, number, header.stamp, header.expires, 0)
        hops = [[hop.topic, hop.seq, hop.stamp, hop.sent] for hop in header.trace]
        call = [header.seq, header.source, hops]
        packed = await self._room_for(lambda: packing.pack(kind, message, stamps, call=call))
        if packing.channel not in pair.opened:
            pair.opened.add(packing.channel)
            pair.tell("open", packing.channel, name, card.name, card.version, card.hash, "", 0)
        member = self._member
        try:
            if packed.slots:
                member.lend(pair, packed.slots)
                await self._room_for(lambda: _held(pair, packed, member.readers))
            pair.send(packed, packing.channel, PATIENT)
        finally:
            for slot in packed.taken:
                member.pools.drop(slot)

    async def _room_for(self, act: Any) -> Any:
        """Do something that needs slots, as soon as there are some.

        Raises:
            BusError: There are none for too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _WAIT_S
        while True:
            try:
                return act()
            except NoRoomError:
                if loop.time() > deadline:
                    raise BusError("no shared memory is free; who keeps arrays?") from None
                await asyncio.sleep(_LOOK_S)

    def _send_bare(self, pair: Pair, kind: Kind, number: int, text: bytes = b"") -> None:
        pair.send(bare(kind, 0, number, text), 0, PATIENT)

    def _packing(self, name: str, cls: type[Message]) -> Packing:
        found = self._packings.get((name, cls))
        if found is None:
            found = Packing(cls, self._member.next_number(), self._member.pools)
            self._packings[name, cls] = found
        return found


def _held(pair: Pair, packed: Packed, readers: int) -> None:
    if not pair.is_gone and not pair.holds.add(packed.slots, readers):
        raise NoRoomError


def _message_of(frame: Frame) -> Message:
    message, call = frame.read()
    header = asked_header(call, message.header, frame.channel.type)
    made: Message = parts_of(type(message)).with_header(message, header)
    return made
