"""Questions of outside clients about the past: `get KEY?last=N` on any topic, answered by a store.

More of them may stand in the selector: `since` and `until`, capture times in ns. Each reply is a
frame on its topic's key; there may be many on one key, so a client asks without consolidation.
"""

from __future__ import annotations

import asyncio
import logging

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.failure import failure_bytes
from olympus.runtime.bus.link import AnswerHistory
from olympus.runtime.bus.zenoh_samples import Declared, encoding_of
from olympus.runtime.errors import BusError, MessageError, OlympusError
from olympus.runtime.messages import read_header
from olympus.runtime.messages.history import HistoryQuery

LAST = "last"
MAX_QUESTIONS = 8
"""Questions that are answered at the same time; more are refused."""
_BOUND = 2**63
_log = logging.getLogger(__name__)


class ZenohHistory:
    """Answers for one store."""

    def __init__(
        self, session: zenoh.Session, loop: asyncio.AbstractEventLoop, answer: AnswerHistory
    ) -> None:
        """Begin to answer.

        Args:
            session: Where questions come from.
            loop: Where `answer` runs.
            answer: The store.
        """
        self._loop, self._answer_history = loop, answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._declared = Declared(
            session.declare_queryable(
                "**",
                Callback(self._on_query, indirect=False),
                allowed_origin=zenoh.Locality.REMOTE,
            )
        )

    def close(self) -> None:
        """Stop answering; again is harmless."""
        self._declared.close()
        for task in self._tasks:
            task.cancel()

    def _on_query(self, query: zenoh.Query) -> None:
        """Look at a question; this is one of Zenoh's threads, and most are not for us."""
        if not is_about_the_past(query):
            with query:
                return
        try:
            self._loop.call_soon_threadsafe(self._start, query)
        except RuntimeError:  # the loop is closed
            _log.debug("a question came to a host that has ended")

    def _start(self, query: zenoh.Query) -> None:
        if len(self._tasks) >= MAX_QUESTIONS:
            _refuse(query, BusError(f"{MAX_QUESTIONS} questions are being answered; try later"))
            return
        task = self._loop.create_task(self._answer(query))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, query: zenoh.Query) -> None:
        try:
            history = await self._answer_history(asked(str(query.key_expr), query.parameters))
        except OlympusError as error:
            _refuse(query, error)
            return
        with query:
            for item in history.items:
                frame = item.frame.tobytes()
                query.reply(item.topic, frame, encoding=encoding_of(read_header(frame)[0]))
            if history.is_cut:
                _tell(query, BusError("there is more than goes into one answer; ask for less"))


def is_about_the_past(query: zenoh.Query) -> bool:
    """Tell whether a question is one for a store, and for nobody else."""
    return query.parameters.get(LAST) is not None


def asked(key: str, parameters: zenoh.Parameters) -> HistoryQuery:
    """Return what a selector asks for.

    Raises:
        MessageError: A parameter is no number.
    """
    numbers = {}
    for name in (LAST, "since", "until"):
        text = parameters.get(name, "") or "0"
        if not (text.isascii() and text.isdigit()) or int(text[:20]) >= _BOUND:
            raise MessageError(f"{name}={text!r:.40} is no number")
        numbers[name] = int(text[:20])
    return HistoryQuery(
        topic=key, count=numbers[LAST], since=numbers["since"], until=numbers["until"]
    )


def _tell(query: zenoh.Query, error: OlympusError) -> None:
    query.reply_err(failure_bytes(error), encoding=zenoh.Encoding.TEXT_PLAIN)


def _refuse(query: zenoh.Query, error: OlympusError) -> None:
    with query:
        _tell(query, error)
