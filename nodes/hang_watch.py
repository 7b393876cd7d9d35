"""Models that compute without end: noticed, aborted, remembered; if need be the process ends.

It looks from a thread of its own, since what hangs may be the event loop that runs a quick model.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.scheduler import Job

MOST_HANGS = 2
"""A model that has hung so often in a session is not run again in it."""
LOOK_S = 0.25
_GRACE = 0.5
"""What part of `hang_s` an aborted run may take to end."""
_END_S = 2.5
"""How long the event loop may take to end the process."""
_log = logging.getLogger(__name__)
Running = Callable[[], tuple[tuple[Job, int], ...]]
OnHang = Callable[[str, float], object]
"""Told a model's name and for how long it has hung, s."""


class HangWatch:
    """Looks again and again at what runs."""

    def __init__(
        self,
        clock: Clock,
        running: Running,
        *,
        hang_s: float,
        file: Path | None,
        abort: OnHang,
        end: OnHang,
    ) -> None:
        """Make it; `start` begins to look.

        Args:
            clock: Robot time.
            running: Returns the jobs that run, and since when each has been at its piece, ns.
            hang_s: A piece that takes longer has hung.
            file: Remembers how often each model has hung in this session.
            abort: Has a model give up; on the thread that looks.
            end: Ends the process, where that did not help; on the event loop.
        """
        self._clock, self._running, self._limit_ns = clock, running, hang_s * NS_PER_S
        self._file, self._abort, self._end = file, abort, end
        self._aborted: dict[tuple[int, int], int] = {}
        self._counts = _read(file) if file is not None else {}
        self._is_over = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on."""
        self._is_over = is_over = threading.Event()
        watch = threading.Thread(  # varies: what it finds ends a model or the process
            target=self._watch, args=(loop, is_over), name="hang-watch", daemon=True
        )
        watch.start()

    def close(self) -> None:
        """Look no longer; again is harmless."""
        self._is_over.set()

    def counts(self) -> dict[str, int]:
        """Return how often models have hung in this session, also before this process began."""
        return dict(self._counts)

    def _watch(self, loop: asyncio.AbstractEventLoop, is_over: threading.Event) -> None:
        while not is_over.wait(LOOK_S):  # real time: nothing takes any in virtual time
            if (stuck := self._look()) is not None:
                self._end_process(loop, is_over, *stuck)
                return

    def _look(self) -> tuple[str, float] | None:
        """Abort what has hung; return what did not end by that."""
        stuck, now = None, self._clock.now_ns()
        aborted, self._aborted = self._aborted, {}
        for job, since_ns in self._running():
            if now - since_ns <= self._limit_ns:
                continue
            piece, seconds = (job.number, since_ns), (now - since_ns) / NS_PER_S
            if piece not in aborted:
                self._note(job.what)
                self._abort(job.what, seconds)
            elif now - aborted[piece] > self._limit_ns * _GRACE:
                stuck = job.what, seconds
            self._aborted[piece] = aborted.get(piece, now)
        return stuck

    def _end_process(
        self, loop: asyncio.AbstractEventLoop, is_over: threading.Event, name: str, seconds: float
    ) -> None:
        def end() -> None:
            is_over.set()
            self._end(name, seconds)

        try:
            loop.call_soon_threadsafe(end)
        except RuntimeError:  # it is closed: the process is ending
            return
        if not is_over.wait(_END_S):
            text = "model %s has hung for %.1f s on the event loop; this process is cut off"
            _log.critical(text, name, seconds)
            os._exit(1)

    def _note(self, name: str) -> None:
        self._counts = {**self._counts, name: self._counts.get(name, 0) + 1}
        if self._file is None:
            return
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(self._counts))
            fresh.replace(self._file)  # whole or not at all: this process may be cut off next
        except OSError as error:  # a full disk must not end the watch
            _log.error("that model %s has hung is forgotten with this process: %s", name, error)


def _read(file: Path) -> dict[str, int]:
    try:
        found = json.loads(file.read_text())
        return {str(name): int(count) for name, count in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        _log.error("how often models have hung before is not known: %s: %s", file, error)
        return {}
