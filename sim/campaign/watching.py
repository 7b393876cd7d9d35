"""The harness's view of an observer: starts it, and keeps what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from olympus.runtime.errors import OlympusError

_MODULE = "olympus.sim.campaign.observer"
_ANSWER_S = 20.0  # only a campaign in which all is lost waits for so long


class CampaignError(OlympusError):
    """The campaign itself can't go on; says nothing about the stop."""


class WrongAnswerError(CampaignError):
    """What was hurt did what it must not do: the trial has failed."""


@dataclass(frozen=True, slots=True)
class Change:
    """The motors' command turned from neutral to driven, or back."""

    at_ns: int
    """When the bytes that said so arrived, CLOCK_MONOTONIC."""
    is_driven: bool
    seq: int
    """Number of the frame: tells the gate from the guardian's own hand on the line."""


class Watching:
    """An observer and its changes so far."""

    def __init__(self, link: Path, *, priority: int | None = 60) -> None:
        """Name the serial port that programs will find.

        Args:
            link: Where.
            priority: Real-time priority of the observer, so that load does not touch its clock.
        """
        self.link = link
        self.changes: list[Change] = []
        """All of them, oldest first."""
        self._words = [sys.executable, "-m", _MODULE, str(link), str(priority or 0)][
            : 5 if priority else 4
        ]
        self._news = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._is_ready = False
        self._mark = self._marked = 0

    @property
    def is_driven(self) -> bool:
        """Whether the motors are commanded to turn now."""
        changes = self.changes
        return bool(changes) and changes[-1].is_driven

    def __enter__(self) -> Self:
        """Start it and wait until it plays."""
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, name="observer", daemon=True).start()
        self.wait(lambda: self._is_ready, 20.0, "the observer plays")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wire(self, state: str) -> None:
        """Make the wire towards the motors `whole`, `cut` or `stutter`."""
        self._order(state)

    def catch_up(self) -> None:
        """Wait until every change up to now is known here, however busy the machine is.

        Raises:
            CampaignError: The observer does not answer.
        """
        self._mark += 1
        mark = self._mark
        self._order(f"mark {mark}")
        self.wait(lambda: self._marked >= mark, _ANSWER_S, "the observer answers")

    def wait(self, is_so: Callable[[], object], seconds: float, what: str) -> None:
        """Wait for something that the observer's news decide.

        Raises:
            CampaignError: It did not happen in time.
        """
        if not self.happens(is_so, seconds):
            raise CampaignError(f"not within {seconds:g} s: {what}")

    def happens(self, is_so: Callable[[], object], seconds: float) -> bool:
        """Tell whether something happens in time."""
        until = time.monotonic() + seconds
        with self._news:
            while not is_so():
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return False
                self._news.wait(min(left_s, 0.02))
        return True

    def neutral_after(self, at_ns: int) -> Change | None:
        """Return the last change after `at_ns` if it is one to neutral."""
        later = [one for one in self.changes if one.at_ns > at_ns]
        return later[-1] if later and not later[-1].is_driven else None

    def driven_after(self, at_ns: int) -> Change | None:
        """Return the first change after `at_ns` that drives, or None."""
        return next((one for one in self.changes if one.at_ns > at_ns and one.is_driven), None)

    def was_driven(self, at_ns: int) -> bool:
        """Tell whether the motors were commanded to turn at a moment that is past."""
        before = [one for one in self.changes if one.at_ns <= at_ns]
        return bool(before) and before[-1].is_driven

    def _order(self, words: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(words + "\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                with self._news:
                    if told.get("ready"):
                        self._is_ready = True
                    elif "mark" in told:
                        self._marked = told["mark"]
                    else:
                        self.changes.append(Change(**told))
                    self._news.notify_all()
