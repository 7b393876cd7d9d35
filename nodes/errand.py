"""A plan being carried out: which step it is at, and what the navigator is told."""

from __future__ import annotations

from dataclasses import dataclass

from olympus.models.planner.plan import Plan, Step, spoken
from olympus.runtime.messages import Command, MissionState, Percept

LONG_S = 86400.0
"""How long it waits at most for something to be seen or heard."""
LATE_S = 5.0
"""Without any word from the navigator for so long after a step began, the plan is given up."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a plan is over, in words."""

    text: str
    is_done: bool


class Errand:
    """Steps, one after the other, without time or bus of its own.

    Each step is one command for the navigator. It is over when the navigator counts a mission
    accomplished, or when what the step waits for was seen or heard. When the navigator does
    something else or nothing, somebody stopped it or gave it another command: then the plan is over
    as well, and nothing goes on by itself.
    """

    def __init__(self, plan: Plan) -> None:
        """Begin before the first step."""
        self.plan = plan
        self._at = -1
        self._began_ns = 0
        self._done_before = 0
        self._was_at_it = False
        self._is_met = False

    @property
    def step(self) -> Step:
        """The step it is at."""
        return self.plan[max(0, self._at)]

    @property
    def text(self) -> str:
        """The sentence of the command that it is at."""
        return command_of(self.step).text

    def advance(self, state: MissionState | None, now_ns: int) -> Command | None:
        """Go on to the next step.

        Args:
            state: The navigator's latest word.
            now_ns: Robot time.

        Returns:
            What to tell the navigator; None after the last step.
        """
        if self._at + 1 >= len(self.plan):
            return None
        self._at += 1
        self._began_ns, self._was_at_it, self._is_met = now_ns, False, False
        self._done_before = state.done if state is not None else 0
        return command_of(self.step)

    def notice(self, percept: Percept) -> None:
        """Look whether this is what the step waits for; what is older than the step is not."""
        until = self.step.until
        if until is None or percept.header.stamp < self._began_ns:
            return
        sees = percept.kind == "object" and percept.label == until.sees
        hears = percept.kind == "sound" and percept.label == until.hears
        self._is_met = self._is_met or sees or hears

    def look(self, state: MissionState | None, now_ns: int) -> bool | Ended:
        """Tell whether the step is over.

        Args:
            state: The navigator's latest word.
            now_ns: Robot time.

        Returns:
            True when the next step may begin, False when not yet; `Ended` when the plan is over.
        """
        if state is not None and state.state == "stopped":
            return Ended("motion was stopped: the plan is given up", is_done=False)
        if self._is_met:
            return True
        if state is not None and state.done > self._done_before:
            return True
        is_at_it = state is not None and state.mission == self.text
        self._was_at_it = self._was_at_it or is_at_it
        if self._was_at_it and not is_at_it and state is not None and state.state == "failed":
            return Ended(f"{self.text}: {state.reason}: the plan is given up", is_done=False)
        if self._was_at_it and not is_at_it:
            return Ended("another command came, or a stop: the plan is given up", is_done=False)
        if not is_at_it and now_ns - self._began_ns > LATE_S * 1e9:
            return Ended("the navigator does not begin: the plan is given up", is_done=False)
        return False


def command_of(step: Step) -> Command:
    """Write a step as the navigator's command."""
    args: dict[str, str] = {}
    for name in ("place", "direction"):
        if (word := getattr(step, name)) is not None:
            args[name] = word
    for name in ("x", "y", "rounds", "degrees", "seconds"):
        if (number := getattr(step, name)) is not None:
            args[name] = f"{number:g}"
    if step.minutes is not None:
        args["seconds"] = f"{60 * step.minutes:g}"
    if step.do == "wait" and step.until is not None:
        args["seconds"] = f"{LONG_S:g}"
    return Command(text=spoken((step,)), verb=step.do, args=args)
