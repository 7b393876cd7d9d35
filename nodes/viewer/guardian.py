"""The latch as the page shows it, asked of the guardian itself and never of a topic."""

from __future__ import annotations

# varies throughout: this speaks to the guardian for people
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from olympus.nodes.viewer.streams import Json, Value, ms
from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.client import Outcome, SafetyClient, UnguardedError
from olympus.runtime.safety.lease import LeaseReader
from olympus.runtime.safety.status import Status

BY = "operator at the viewer"
"""Who acts, in the guardian's records."""
ASK_EVERY_S = 1.0
UNKNOWN: Json = {"state": "unknown"}
UNGUARDED: Json = {"state": "unguarded"}
"""Of a launch without a guardian."""


class Latch:
    """Follows the guardian: the lease at every look, the whole status when it changes."""

    def __init__(self, directory: Path, value: Value, now_ns: Callable[[], int]) -> None:
        """Follow the guardian of a safety directory.

        Args:
            directory: The session's safety directory.
            value: Where the page's view of it goes.
            now_ns: Robot time.
        """
        self._directory = directory
        self._value = value
        self._now_ns = now_ns
        self._lease = LeaseReader(directory)
        self._seen: object = None
        self._asked_s = 0.0
        value.set(UNKNOWN)

    async def look(self) -> None:
        """Look at the lease; ask for the status if that changed, or now and then."""
        view = self._lease.check(time.monotonic_ns())
        seen = (view.mode, view.epoch, view.valid)
        if seen == self._seen and time.monotonic() - self._asked_s < ASK_EVERY_S:
            return
        self._seen, self._asked_s = seen, time.monotonic()
        try:
            status = await asyncio.to_thread(self._client().status)
        except UnguardedError:
            self._value.set(UNGUARDED)
        except SafetyError:
            self._value.set(UNKNOWN)
        else:
            self._value.set(self._shown(status))

    async def stop(self, cause: str) -> Outcome:
        """Trip the guardian and read back what came of it."""
        outcome = await asyncio.to_thread(self._client().stop, cause, BY)
        self._seen = None
        return outcome

    async def reset(self, latch: int | None) -> Outcome:
        """Permit motion again; `latch` is the number of the stop that the person saw."""
        outcome = await asyncio.to_thread(lambda: self._client().reset(BY, latch=latch))
        self._seen = None
        return outcome

    def close(self) -> None:
        """Stop looking."""
        self._lease.close()

    def _client(self) -> SafetyClient:
        # One for each question: a client belongs to the thread that asks.
        return SafetyClient(self._directory)

    def _shown(self, status: Status) -> Json:
        offset_ns = self._now_ns() - time.monotonic_ns()
        return {
            "state": status.state.value.lower(),
            "cause": status.cause,
            "by": status.by,
            "since": round(ms(status.since_ns + offset_ns)),
            "epoch": status.epoch,
            "latch": status.latch,
            "waiting": list(status.blockers),
            "estop": None if status.estop is None else status.estop.is_pressed,
            "gates": [[gate.name, gate.is_neutral, gate.is_fresh] for gate in status.gates],
        }


def told(outcome: Outcome) -> dict[str, Json]:
    """Return an outcome as the page is told it."""
    return {
        "ok": outcome.is_confirmed,
        "outcome": outcome.result.value,
        "text": outcome.text,
        "ms": round(outcome.elapsed_s * 1e3, 2),
    }
