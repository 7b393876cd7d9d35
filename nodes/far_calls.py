"""Calls of far models for a model host: beside its scheduler, on threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from olympus.models.attempt import Attempt
from olympus.runtime.clock import Clock
from olympus.runtime.messages.inference import Infer, Prompt
from olympus.runtime.scheduler import End, Job
from olympus.runtime.scheduler.ticket import shed_error

FAR_CALLS: Final = 8
"""So many at once; more wait for their turn."""


class FarCalls:
    """They only wait, so they need no turn among the models here.

    One that hangs takes no thread from the other nodes of the process, and one that nobody waits
    for any more is not begun; under way, it goes on to its end and is paid for.
    """

    def __init__(self, clock: Clock) -> None:
        """Start no thread yet."""
        self._clock = clock
        self._threads = ThreadPoolExecutor(FAR_CALLS, "far")  # varies: so does what is far

    async def carry_out(self, attempt: Attempt, question: Infer | Prompt) -> Mapping[str, Any]:
        """Have a far model answer.

        Raises:
            ModelError: It fails, or may not be paid.
            JobDroppedError: The deadline passed before it could be called.
        """

        def call() -> None:
            now_ns = self._clock.now_ns()
            if question.deadline and question.deadline <= now_ns:  # 0 is never
                job = Job(0, question.tier, question.deadline, question.source, attempt.name)
                raise shed_error(job, End.EXPIRED, now_ns)
            attempt.step()

        await asyncio.get_running_loop().run_in_executor(self._threads, call)
        return attempt.result()

    def close(self) -> None:
        """Begin none any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
