"""The client: stop, reset and status for command line, viewer and nodes."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety import stopline
from olympus.runtime.safety.call import Call
from olympus.runtime.safety.lease import LeaseReader, LeaseView
from olympus.runtime.safety.protocol import LONGEST_TEXT, SOCKET, UNGUARDED
from olympus.runtime.safety.readback import LOOK_S, Result, read_back
from olympus.runtime.safety.state import Mode
from olympus.runtime.safety.status import Status, read_status

ANSWER_S: Final = 0.5
"""How long to wait for the guardian's answer."""

PULL_AFTER_S: Final = 0.1
"""A stop that was not answered for so long is also left in shared memory."""

_LARGEST_TEXT: Final = 900
"""Largest text in a datagram, in bytes as JSON writes it: up to 12 for one letter."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stop or a reset."""

    result: Result
    text: str
    """In words, with the way out where there is one."""
    elapsed_s: float
    """From the call until this was known."""

    @property
    def is_confirmed(self) -> bool:
        """Whether it was read back."""
        return self.result is Result.CONFIRMED


class UnguardedError(SafetyError):
    """The launch has no guardian that could answer."""


class SafetyClient:
    """Speaks to the guardian of one safety directory; blocks for at most 1.5 s per call."""

    def __init__(self, directory: Path) -> None:
        """Name the safety directory, `session.run_dir / "safety"`; nothing is opened yet."""
        self._directory = directory
        self._marks = itertools.count(os.getpid() << 20)

    def stop(self, cause: str, by: str = "operator") -> Outcome:
        """Stop every actuator and read back that it did.

        Args:
            cause: Why, in words.
            by: Who asks.

        Returns:
            CONFIRMED when every gate was at neutral after the trip, and stood where it measures
            that; UNCERTAIN when the guardian or a gate does not answer or measure; FAILED when a
            gate still drives its actuator, or the actuator moves on.
        """
        return self._stop("stop", cause, by)

    def kill(self, cause: str, by: str = "operator") -> Outcome:
        """Stop like `stop`, so that only a terminal of this computer or the board may reset.

        Args:
            cause: Why, in words.
            by: Who asks.

        Returns:
            As `stop` does.
        """
        return self._stop("kill", cause, by)

    def deliver(self, sealed: str) -> str:
        """Hand a sealed stop to the guardian.

        Args:
            sealed: What came from elsewhere; this side neither can nor need look into it.

        Returns:
            Empty when it was genuine, else why the guardian refused it.

        Raises:
            SafetyError: No guardian answers.
        """
        try:
            self._demand({"op": "sealed", "order": sealed})
        except _RefusedError as refusal:
            return str(refusal)
        return ""

    def _stop(self, operation: str, cause: str, by: str) -> Outcome:
        began_ns = time.monotonic_ns()
        cause, by = _short(cause), _short(by)
        try:
            with self._call({"op": operation, "cause": cause, "by": by}) as call:
                reply = call.wait(PULL_AFTER_S)
                # Silent, or it made nothing of the words, or it was not the guardian that answered.
                if reply is None or not reply.get("ok") or self._view().valid:
                    reply = self._insist(call, cause, by)
        except SafetyError as refused:  # not even a socket to ask with
            is_pulled = stopline.pull(self._directory, cause, by)
            how = "left in shared memory" if is_pulled else "not even left in shared memory"
            return _outcome(Result.UNCERTAIN, f"{refused}; the stop was {how}", began_ns)
        if reply is None:
            return _outcome(Result.UNCERTAIN, str(self._silence()), began_ns)
        gates, at_ns = _latched(reply, began_ns)
        result, text = read_back(self._directory, gates, at_ns)
        return _outcome(result, text, began_ns)

    def reset(self, by: str, *, latch: int | None = None) -> Outcome:
        """Permit motion again; it causes none.

        Args:
            by: Who resets: a person who has looked.
            latch: `Status.latch` as this person saw it; None to answer to the newest stop.

        Returns:
            CONFIRMED when the lease reads valid; FAILED when refused, with the reasons; UNCERTAIN
            without an answer. A refused press counts as held for 200 ms: wait before the next.
        """
        began_ns = time.monotonic_ns()
        try:
            seen = self.status().latch if latch is None else latch
            self._demand({"op": "reset", "by": _short(by), "latch": seen})
        except _RefusedError as refusal:
            return _outcome(Result.FAILED, f"reset refused: {refusal}", began_ns)
        except SafetyError as silence:
            return _outcome(Result.UNCERTAIN, str(silence), began_ns)
        return self._read_lease(began_ns)

    def status(self) -> Status:
        """Ask how things stand.

        Returns:
            The guardian's view of everything.

        Raises:
            UnguardedError: The launch has no guardian.
            SafetyError: No guardian answers, or it answers nonsense.
        """
        return read_status(self._demand({"op": "status"}))

    def report(
        self, name: str, *, ok: bool, text: str = "", good_for_s: float | None = None
    ) -> None:
        """Report a condition that motion depends on.

        Args:
            name: The condition.
            ok: Whether it is good; False trips.
            text: What is the matter.
            good_for_s: After so long without another report it trips; None to say it once for all.

        Raises:
            SafetyError: No guardian answers, or it refuses.
        """
        told = {"op": "condition", "name": name, "ok": ok, "text": _short(text)}
        self._demand(told | {"good_for_s": good_for_s})

    def _call(self, request: Mapping[str, object]) -> Call:
        try:
            return Call(self._directory / SOCKET, request, next(self._marks))
        except OSError as error:
            raise SafetyError(
                f"the guardian can't be asked: {error.strerror}; this process needs a descriptor "
                "to spare (ulimit -n)"
            ) from error

    def _demand(self, request: Mapping[str, object]) -> Mapping[str, Any]:
        with self._call(request) as call:
            reply = call.wait(ANSWER_S)
        if reply is None:
            raise self._silence()
        if not reply.get("ok"):
            raise _RefusedError(str(reply.get("error")))
        return reply

    def _silence(self) -> SafetyError:
        if (self._directory / UNGUARDED).exists():
            return UnguardedError(
                "this launch has no guardian: its launch file has no `safety` section, so no gate "
                "lets anything move; give it one to move (docs/safety.md)"
            )
        return SafetyError(
            f"no guardian answers in {self._directory}; is a launch running? "
            "start one with `olympus launch …`"
        )

    def _insist(self, call: Call, cause: str, by: str) -> Mapping[str, Any] | None:
        lease = LeaseReader(self._directory)
        at_ns = time.monotonic_ns()
        before = lease.check(at_ns).sequence
        is_pulled = stopline.pull(self._directory, cause, by)
        deadline = time.monotonic() + ANSWER_S - PULL_AFTER_S
        try:
            while time.monotonic() < deadline:
                reply = call.wait(LOOK_S)
                seen = lease.check(time.monotonic_ns())
                if reply is not None and reply.get("ok") and not seen.valid:
                    return reply
                is_latched = seen.mode in (Mode.TRIPPED, Mode.KILLED)
                if is_latched and seen.sequence > before:
                    return {"at_ns": at_ns, "gates": ()}
                time.sleep(LOOK_S)
                is_pulled = is_pulled or stopline.pull(self._directory, cause, by)
        finally:
            lease.close()
        return None

    def _read_lease(self, began_ns: int) -> Outcome:
        view = self._view()
        if view.valid:
            return _outcome(Result.CONFIRMED, f"permitted, epoch {view.epoch}", began_ns)
        return _outcome(Result.UNCERTAIN, f"granted, but now: {view.why}; see status", began_ns)

    def _view(self) -> LeaseView:
        reader = LeaseReader(self._directory)
        try:
            return reader.check(time.monotonic_ns())
        finally:
            reader.close()


class _RefusedError(SafetyError):
    """The guardian answered, with a refusal."""


def _latched(reply: Mapping[str, Any], began_ns: int) -> tuple[tuple[str, ...], int]:
    """Return the gates to read back from, and since when; gates that are there count anyway.

    No stop is older than the asking for it, whatever the answer says.
    """
    try:
        return tuple(map(str, reply["gates"])), max(began_ns, int(reply["at_ns"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return (), began_ns


def _short(text: str) -> str:
    """Cut a text so that two of them fit into a datagram, whatever the alphabet."""
    text = text[:LONGEST_TEXT]
    return text if len(json.dumps(text)) <= _LARGEST_TEXT else text[: _LARGEST_TEXT // 12]


def _outcome(result: Result, text: str, began_ns: int) -> Outcome:
    return Outcome(result, text, (time.monotonic_ns() - began_ns) / 1e9)
