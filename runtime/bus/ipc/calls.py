"""Services between hosts of one machine: questions and answers are records like any other.

`seq` of such a record is the number of the call; what its header says besides is in the body.
"""

from __future__ import annotations

import asyncio
import math
from asyncio import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from olympus.runtime.bus.failure import MAX_CALLS, busy, failure_bytes, failure_of
from olympus.runtime.bus.habit import Habit
from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.outbox import PATIENT
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.ipc.records import HEAD, Kind, Packed, Packing, bare
from olympus.runtime.bus.ipc.shelf import NoRoomError
from olympus.runtime.bus.loop import selector_of
from olympus.runtime.bus.service import Service, checked
from olympus.runtime.errors import BusError, MessageError, OlympusError
from olympus.runtime.messages import Message, schema_by_class
from olympus.runtime.messages.compiled import maker

if TYPE_CHECKING:
    from olympus.runtime.bus.ipc.member import Member

A = TypeVar("A", bound=Message)
_WAIT_S, _LOOK_S = 0.5, 0.002
MOST_HABITS = 256


class Calls:
    """The questions this host asks and answers."""

    def __init__(self, member: Member) -> None:
        self.services: dict[str, Service] = {}
        self._member = member
        self._packings: dict[tuple[str, type[Message]], Packing] = {}
        self._asked: dict[int, _Asked] = {}
        self._answering: dict[tuple[Pair, int], asyncio.Task[None]] = {}
        self._count = 0
        self._loop = asyncio.get_running_loop()
        self._selector = selector_of(self._loop)
        self._habits: dict[tuple[str, object], Habit] = {}
        """By service, and what tells questions apart there."""
        self._look: asyncio.TimerHandle | None = None
        self._look_s = math.inf
        """When it is looked who has waited for too long: one timer is enough for all questions, and
        nearly none of them ever has. Times are the loop's."""

    async def ask(
        self, pair: Pair, name: str, question: Message, cls: type[A], timeout_s: float
    ) -> A:
        """Ask a service of another host and return its answer.

        Who is cancelled meanwhile, or waits in vain, has the answering cancelled too.

        Raises:
            BusError: No answer in time, or that host is gone.
            ServiceError: The service failed; also of the class that it raised.
            MessageError: The question or the answer can't travel, or that is not of the class.
            CancelledError: The task of the caller is asked to end.
        """
        self._count = number = self._count + 1
        asked = _make_asked(pair, name, Future(loop=self._loop), math.inf, None)
        self._asked[number] = asked
        habit, sent_s = None, 0.0
        try:
            if pair.is_gone:  # since it was chosen
                raise BusError(f"{name}: its host {pair.host} is gone")
            if not self._sent(pair, Kind.ASK, name, number, question):
                await self._send_with_room(pair, Kind.ASK, name, number, question)
            sent_s = self._loop.time()
            asked.due_s = due_s = sent_s + timeout_s
            if due_s < self._look_s:
                self._look_at(due_s)
            # There is time while the other side computes.
            habit = self._expect(pair, name, question, sent_s)
            await asked.is_over
            found, asked.answer = asked.answer, None  # the loop holds the future for longer
            return found if isinstance(found, cls) else checked(found, cls, name)
        except TimeoutError:
            self._send_bare(pair, Kind.CANCEL, number)
            raise BusError(f"service {name!r} gave no answer in {timeout_s:g} s") from None
        except asyncio.CancelledError:
            self._send_bare(pair, Kind.CANCEL, number)
            if asked.is_over.done() and not asked.is_over.cancelled():
                asked.is_over.exception()  # nobody else will look at it
            raise
        finally:
            if habit is not None:  # also of what was waited for in vain
                habit.note(self._loop.time() - sent_s)
            del self._asked[number]

    def take(self, pair: Pair, frame: Frame, record: bytes | memoryview) -> None:
        """Take in a question, an answer, or the end of one."""
        kind, number = frame.head[0], frame.head[4]
        if kind == Kind.ASK:
            try:
                question = frame.asked()
            except MessageError as error:
                return self._send_bare(pair, Kind.FAILURE, number, failure_bytes(error))
            self.take_read(pair, kind, number, frame.channel, question)
        elif kind == Kind.CANCEL:
            if (task_of := self._answering.get((pair, number))) is not None:
                task_of.cancel()
        else:
            asked = self._asked.get(number)
            if asked is not None and asked.pair is pair and not asked.is_over.done():
                _settle(asked, frame, record)

    def take_read(
        self, pair: Pair, kind: int, number: int, channel: Channel, message: Message
    ) -> None:
        """Do what `take` does, for a question or an answer that is read already."""
        if kind == Kind.ASK:
            selector = self._selector
            is_alone = selector is not None and selector.is_alone and pair.wire.is_single
            if not (is_alone and self._answered_at_once(pair, number, channel.topic, message)):
                self._begin(pair, number, channel.topic, message)
            return
        asked = self._asked.get(number)
        if asked is not None and asked.pair is pair and not asked.is_over.done():
            asked.answer = message
            asked.is_over.set_result(None)

    def forget(self, pair: Pair) -> None:
        """Fail what was asked there, and stop answering its questions: that host is gone."""
        for asked in self._asked.values():
            if asked.pair is pair and not asked.is_over.done():
                gone = BusError(f"{asked.name}: its host {pair.host} is gone")
                asked.is_over.set_exception(gone)
        for (other, _), task in list(self._answering.items()):
            if other is pair:
                task.cancel()

    def close(self) -> None:
        """Stop answering."""
        if self._look is not None:
            self._look.cancel()
        for task in self._answering.values():
            task.cancel()

    def _expect(self, pair: Pair, name: str, question: Message, sent_s: float) -> Habit | None:
        """Have the loop awake when an answer is due; returns who learns from it."""
        selector = self._selector
        if selector is None or not selector.spin_s:
            return None
        alike = name, getattr(question, question.ALIKE) if question.ALIKE else ""
        if (habit := self._habits.get(alike)) is None:
            if len(self._habits) >= MOST_HABITS:
                self._habits.clear()
            habit = self._habits[alike] = Habit(selector.spin_s, selector.soon_s)
        if (window := habit.window()) is not None:
            selector.expect(sent_s + window[0], sent_s + window[1])
        if habit.is_soon and not (pair.other is not None and pair.other.is_crowded):
            selector.expect_soon(sent_s)
        return habit

    def _look_at(self, time_s: float) -> None:
        if self._look is not None:
            self._look.cancel()
        self._look, self._look_s = self._loop.call_at(time_s, self._give_up), time_s

    def _give_up(self) -> None:
        """Tell those that have waited for too long, and look again when the next one will have."""
        self._look, self._look_s = None, math.inf
        now_s = self._loop.time()
        for asked in self._asked.values():
            if asked.is_over.done():
                continue
            if asked.due_s <= now_s:
                asked.is_over.set_exception(TimeoutError())
            elif asked.due_s < self._look_s:
                self._look_s = asked.due_s
        if self._look_s < math.inf:
            self._look_at(self._look_s)

    def _answered_at_once(self, pair: Pair, number: int, name: str, question: Message) -> bool:
        """Answer a question to which the service has the answer without waiting; else False."""
        service = self.services.get(name)
        if service is None or service.at_once is None:
            return False
        try:
            if (found := service.answer_at_once(question)) is None:
                return False
        except OlympusError as error:
            self._send_bare(pair, Kind.FAILURE, number, failure_bytes(error))
            return True
        answer, do_the_rest = found
        try:
            if not self._sent(pair, Kind.ANSWER, "", number, answer):
                self._begin(pair, number, name, question, answer)
        except OlympusError as error:
            self._send_bare(pair, Kind.FAILURE, number, failure_bytes(error))
        finally:
            do_the_rest()
        return True

    def _begin(
        self, pair: Pair, number: int, name: str, question: Message, answer: Message | None = None
    ) -> None:
        under_way = len(self._answering)
        if under_way >= MAX_CALLS or (pair, number) in self._answering:
            return self._send_bare(pair, Kind.FAILURE, number, failure_bytes(busy(under_way)))
        task = self._loop.create_task(self._answer(pair, number, name, question, answer))
        self._answering[pair, number] = task
        task.add_done_callback(lambda _: self._answering.pop((pair, number), None))

    async def _answer(
        self, pair: Pair, number: int, name: str, question: Message, answer: Message | None
    ) -> None:
        try:
            if answer is None:
                answer = await self._found(name, question)
            if not self._sent(pair, Kind.ANSWER, "", number, answer):
                await self._send_with_room(pair, Kind.ANSWER, "", number, answer)
        except OlympusError as error:
            self._send_bare(pair, Kind.FAILURE, number, failure_bytes(error))

    async def _found(self, name: str, question: Message) -> Message:
        if (service := self.services.get(name)) is None:
            raise BusError("it is not served here any more")
        return await service.answer(question)

    def _sent(self, pair: Pair, kind: Kind, name: str, number: int, message: Message) -> bool:
        """Send a question or an answer; False if no shared memory is free for it now.

        Raises:
            MessageError: It can't travel.
        """
        cls = type(message)
        packing = self._packings.get((name, cls)) or self._packing(name, cls)
        in_c, packed = packing.call_in_c, None
        if in_c is not None:
            packed = in_c(kind, message, number)
        if type(packed) is not bytes and type(packed) is not Packed:
            try:
                packed = packing.call_in_python(kind, message, number, packed)
            except NoRoomError:
                return False
        channel = packing.channel
        if channel not in pair.opened:
            card = schema_by_class(cls)
            pair.opened.add(channel)
            pair.tell("open", channel, name, card.name, card.version, card.hash, "", 0)
        if isinstance(packed, bytes):
            if not pair.post(packed):
                pair.send(Packed(packed), channel, PATIENT)
            return True
        return self._sent_with_slots(pair, channel, packed)

    def _sent_with_slots(self, pair: Pair, channel: int, packed: Packed) -> bool:
        member, slots = self._member, packed.slots
        try:
            for slot in slots:
                if slot >> 32 not in pair.lent:
                    member.lend(pair, slots)
            is_held = len(slots) == 1 and pair.holds.add_one(slots[0], member.readers)
            if not (is_held or pair.is_gone or pair.holds.add(slots, member.readers)):
                return False
            if not pair.post(packed.data):
                pair.send(packed, channel, PATIENT)
        finally:
            for slot in packed.taken:
                member.pools.drop(slot)
        return True

    async def _send_with_room(
        self, pair: Pair, kind: Kind, name: str, number: int, message: Message
    ) -> None:
        """Send a question or an answer as soon as shared memory is free for it.

        Raises:
            BusError: There is none for too long.
            MessageError: It can't travel.
        """
        deadline = self._loop.time() + _WAIT_S
        while not self._sent(pair, kind, name, number, message):
            if self._loop.time() > deadline:
                raise BusError("no shared memory is free; who keeps arrays?")
            await asyncio.sleep(_LOOK_S)

    def _send_bare(self, pair: Pair, kind: Kind, number: int, text: bytes = b"") -> None:
        pair.send(bare(kind, 0, number, text), 0, PATIENT)

    def _packing(self, name: str, cls: type[Message]) -> Packing:
        found = self._packings.get((name, cls))
        if found is None:
            found = Packing(cls, self._member.next_number(), self._member.pools)
            self._packings[name, cls] = found
        return found


@dataclass(slots=True, eq=False)
class _Asked:
    """A question that waits for its answer."""

    pair: Pair
    name: str
    is_over: Future[None]
    due_s: float
    """When it is given up; infinite before it is sent."""
    answer: Message | None
    """Not in the future, which would keep it."""


_make_asked = maker(_Asked)


def _settle(asked: _Asked, frame: Frame, record: bytes | memoryview) -> None:
    if frame.head[0] == Kind.FAILURE:
        asked.is_over.set_exception(failure_of(bytes(record[HEAD.size :]), asked.name))
        return
    try:
        asked.answer = frame.asked()
    except MessageError as error:
        asked.is_over.set_exception(error)
    else:
        asked.is_over.set_result(None)
