"""A service: a question this host answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from olympus.runtime.bus.handling import call_handler
from olympus.runtime.bus.link import Closable
from olympus.runtime.errors import BusError, MessageError, OlympusError
from olympus.runtime.messages import Message, decode, encode

A = TypeVar("A", bound=Message)
ServiceHandler = Callable[[Any], Awaitable[Message] | Message]
AtOnce = Callable[[Any], Generator[Message, None, None]]
"""Yields the answer where it has it without waiting; does the rest, if any, when it is closed.

Where it yields nothing it has done nothing, and the handler is asked. Only for questions of other
hosts of this machine, when one is all that has come.
"""
_log = logging.getLogger(__name__)


class Service:
    """A question this host answers."""

    def __init__(
        self,
        name: str,
        request: type[Message],
        handler: ServiceHandler,
        response: type[Message] = Message,
        at_once: AtOnce | None = None,
    ) -> None:
        self.name, self.request, self.response = name, request, response
        self._handler, self.at_once = handler, at_once
        self.ends: list[Closable] = []

    async def answer(self, question: Message) -> Message:
        """Return the handler's answer.

        Raises:
            MessageError: The question or the answer is of another type than the service says.
            OlympusError: What the handler raises.
            BusError: The handler failed with an error that is not ours.
        """
        self._check(question)
        try:
            answer = await call_handler(self._handler, question)
        except OlympusError:
            raise
        except Exception as error:
            raise self._failed(error) from error
        return checked(answer, self.response, self.name)

    def answer_at_once(self, question: Message) -> tuple[Message, Callable[[], object]] | None:
        """Return the answer where the service has it without waiting, else None.

        To be called from an event loop that has nothing else to do first.

        Returns:
            The answer, and what is to be called as soon as it is on its way.

        Raises:
            MessageError: As for `answer`.
            OlympusError: As for `answer`.
            BusError: As for `answer`.
        """
        if self.at_once is None:
            return None
        if not isinstance(question, self.request):
            self._check(question)
        try:
            answering = self.at_once(question)
            answer = next(answering, None)
        except OlympusError:
            raise
        except Exception as error:
            raise self._failed(error) from error
        if answer is None:
            return None
        if not isinstance(answer, self.response):
            answering.close()
            checked(answer, self.response, self.name)
        return answer, answering.close

    async def answer_frame(self, question: bytes) -> bytes:
        """Return the answer to a question that came from another host.

        Raises:
            OlympusError: As for `answer`; MessageError too when the question is no message.
        """
        return encode(await self.answer(decode(question)))

    def _check(self, question: Message) -> None:
        if not isinstance(question, self.request):
            raise MessageError(
                f"service {self.name} takes {self.request.__name__}, not {type(question).__name__}"
            )

    def _failed(self, error: Exception) -> BusError:
        """Log a failure that is not ours; returns what the caller is told."""
        _log.error("service %s failed", self.name, exc_info=error)
        return BusError(f"the service failed: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Stop answering; again is harmless."""
        for end in self.ends:
            end.close()


def checked(answer: object, cls: type[A], service: str) -> A:
    """Return an answer if it is of the type that is needed.

    Raises:
        MessageError: It is not.
    """
    if isinstance(answer, cls):
        return answer
    raise MessageError(
        f"service {service} answered {type(answer).__name__} where {cls.__name__} is needed"
    )
