"""What the person at the launch terminal may do: permit motion, stop, quit."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from pathlib import Path

from olympus.runtime.errors import OlympusError, SafetyError
from olympus.runtime.launch.report import Report
from olympus.runtime.safety.client import Outcome, SafetyClient
from olympus.runtime.safety.events import FILE as EVENTS
from olympus.runtime.safety.readback import Result
from olympus.runtime.safety.state import Mode

BY = "operator at the launch terminal"
"""Who acts, in the guardian's records."""
AGAIN = "permit it again with: olympus reset"
AGAIN_AFTER_KILL = "only `olympus reset` at a terminal of this computer, or the board, lifts that"
_LOOK_S = 0.25
_CLEAR_S = 0.05
HELP = "keys: r permits motion, space stops, q quits"


class Operator:
    """Carries a person's deliberate acts to the guardian."""

    def __init__(self, safety_dir: Path, report: Report) -> None:
        """Speak to the guardian of `safety_dir`; tell outcomes to `report`."""
        self._safety_dir = safety_dir
        self._report = report
        self._acts: set[asyncio.Task[bool]] = set()

    async def permit(self) -> bool:
        """Reset the latch, so that motion is permitted; return whether that is certain."""
        return self._told("permit", await self._ask(lambda client: client.reset(BY)))

    async def permit_once_clear(self, within_s: float) -> bool:
        """Permit motion as soon as nothing stands against it any more, or say what still does.

        Args:
            within_s: How long to wait for it.

        Returns:
            Whether motion is certainly permitted.
        """
        await self.until_clear(within_s)
        return await self.permit()

    async def until_clear(self, within_s: float) -> None:
        """Wait until nothing stands against motion any more, or for so long, s.

        At the start of a launch every host is active a moment before the guardian has seen its
        first heartbeat: a reset in that moment would be refused.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while await self._is_held_back():
                    await asyncio.sleep(_CLEAR_S)

    async def stop(self, cause: str) -> bool:
        """Ask for a protective stop; return whether it was read back."""
        return self._told("stop", await self._ask(lambda client: client.stop(cause, BY)))

    async def brake(self, within_s: float) -> None:
        """Stop before the launch ends, so that actuators brake while their gates still answer.

        Args:
            within_s: How long to wait for it.
        """
        ask = self._ask(lambda client: client.stop("the launch ends", "launcher"))
        with contextlib.suppress(TimeoutError, OlympusError):
            await asyncio.wait_for(ask, within_s)

    async def trips(self) -> int:
        """Return how often the guardian has tripped; 0 when none answers."""
        try:
            return await asyncio.to_thread(lambda: SafetyClient(self._safety_dir).status().latch)
        except SafetyError:
            return 0

    async def _is_held_back(self) -> bool:
        try:
            status = await asyncio.to_thread(SafetyClient(self._safety_dir).status)
        except SafetyError:
            return True  # the reset will say why nobody answers
        return bool(status.blockers)

    async def watch(self) -> None:
        """Tell every trip and permission that came from elsewhere, until cancelled."""
        file = self._safety_dir / EVENTS
        seen = file.stat().st_size if file.exists() else 0
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(OSError, ValueError), file.open("rb") as stream:
                stream.seek(seen)
                *lines, rest = stream.read().split(b"\n")
                seen = stream.tell() - len(rest)
                for line in lines:
                    self._note(json.loads(line))

    def _note(self, event: dict[str, object]) -> None:
        by = event.get("by") or "guardian"
        if by == BY:
            return  # told already, with the answer
        if event.get("event") == "trip":
            cause = event.get("cause") or "no cause given"
            is_killed = event.get("state") == Mode.KILLED.name
            what, way = ("killed", AGAIN_AFTER_KILL) if is_killed else ("stopped", AGAIN)
            self._report.say(f"motion {what}: {cause} (by {by}); {way}", "warning")
        elif event.get("event") == "permit":
            self._report.say(f"motion permitted (by {by})", "good")
        elif event.get("event") == "socket remade":
            self._report.say("the guardian's socket was deleted; it is bound again", "warning")

    def keys(self, leave: Callable[[], None]) -> dict[str, Callable[[], None]]:
        """Return what each key does.

        Args:
            leave: Ends the launch.
        """
        return {
            "r": lambda: self._start(self.permit()),
            " ": lambda: self._start(self.stop("space bar at the launch terminal")),
            "q": leave,
            "?": lambda: self._report.say(HELP),
            "h": lambda: self._report.say(HELP),
        }

    def _start(self, act: Coroutine[None, None, bool]) -> None:
        task = asyncio.create_task(act)
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)

    async def _ask(self, act: Callable[[SafetyClient], Outcome]) -> Outcome:
        # A client of its own for each act: it belongs to the thread that asks.
        return await asyncio.to_thread(lambda: act(SafetyClient(self._safety_dir)))

    def _told(self, what: str, outcome: Outcome) -> bool:
        kinds = {Result.CONFIRMED: "good", Result.UNCERTAIN: "warning", Result.FAILED: "error"}
        self._report.say(f"{what}: {outcome.result}, {outcome.text}", kinds[outcome.result])
        return outcome.is_confirmed
