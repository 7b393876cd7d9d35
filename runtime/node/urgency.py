"""A host's event loop ahead of ordinary work, where the system grants it, and back when it spins.

Only the thread of the loop is raised. Threads and processes made later start out ordinary again,
and so do those that were there before: what models compute in, Zenoh's own, a driver's. A flood
from another machine or a language model never gets ahead of anything by way of its host.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from olympus.runtime.safety.realtime import forgive_spinning, less_nice, limit_spinning

SPIN_S: Final = 0.1
"""A loop that ran so long without once waiting loses its priority for a while."""

LONGEST_SPIN_S: Final = 1.0
"""One that can't even be told so, in a library's code, is ended by the kernel."""

AGAIN_S: Final = 5.0
"""How long it stays without."""

NICE: Final = -10
"""What is asked for where a real-time priority is refused."""

_log = logging.getLogger(__name__)


class Urgency:
    """Raises the calling thread's loop; for the main thread of a process, once."""

    def __init__(
        self,
        priority: int,
        *,
        again_s: float = AGAIN_S,
        whose: str = "this host's",
        longest_s: float | None = LONGEST_SPIN_S,
        warn: Callable[[str], object] = _log.warning,
    ) -> None:
        """Ask for nothing yet.

        Args:
            priority: Real-time priority, 1..99, below the guardian's; 0 for none, a niceness alone.
            again_s: How long a loop that spun stays without.
            whose: Whose loop it is, in words.
            longest_s: After so long on end the kernel ends the process; None for never.
            warn: Is told when the priority was lost.
        """
        self._priority, self._again_s = priority, again_s
        self._whose, self._longest_s, self._warn = whose, longest_s, warn
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self.spins = 0
        """How often the loop lost its priority."""

    def begin(self) -> str:
        """Raise this thread. Call it once all is loaded: what imports starves every other loop.

        Returns:
            Empty; or what the system refused, what became of it, and the way out.
        """
        refused = self._raise() if self._priority else "the guardian has no real-time priority"
        if not refused:
            signal.signal(signal.SIGXCPU, self._on_spin)
            limit_spinning(SPIN_S, self._longest_s)
            _log.info("%s loop runs at real-time priority %d", self._whose, self._priority)
            return ""
        said = less_nice(NICE)
        if said.startswith("refused"):
            return (
                f"its loop stays at ordinary priority ({refused}; {said}): on a loaded machine "
                "its heartbeat may come late, which trips; raise rtprio in "
                "/etc/security/limits.conf or grant CAP_SYS_NICE"
            )
        return f"its loop has nice {NICE} in place of a real-time priority: {refused}"

    def end(self) -> None:
        """Make this thread an ordinary one again."""
        if self._again is not None:
            self._again.cancel()
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        forgive_spinning()

    def _raise(self) -> str:
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        try:
            os.sched_setscheduler(0, policy, os.sched_param(self._priority))
        except OSError as error:
            return f"real-time priority {self._priority}: {error.strerror}"
        return ""

    def _on_spin(self, _number: int, _frame: FrameType | None) -> None:
        """Take the priority back: runs in the loop's own thread, between two of its steps."""
        self.spins += 1
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        limit_spinning(SPIN_S, self._longest_s)  # the kernel has put the limit off by a second
        if not self._loop.is_closed():
            # A handler must not write a log: it may have interrupted just that.
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._warn(
            f"{self._whose} loop ran for {SPIN_S:g} s without waiting once: it has ordinary "
            f"priority for {self._again_s:g} s ({self.spins} times so far); find what computes in "
            "a handler, and give it to self.infer or a thread"
        )
        self._again = self._loop.call_later(self._again_s, self._raise_again)

    def _raise_again(self) -> None:
        if refused := self._raise():
            self._warn(f"{self._whose} loop keeps ordinary priority: {refused}")
