"""The client: stop, reset and status for command line, viewer and nodes."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety import stopline
from olympus.runtime.safety.acks import Ack, AckBoard
from olympus.runtime.safety.call import Call
from olympus.runtime.safety.lease import LeaseReader
from olympus.runtime.safety.protocol import LONGEST_TEXT, SOCKET
from olympus.runtime.safety.state import Mode
from olympus.runtime.safety.status import Status, read_status

ANSWER_S: Final = 0.5
"""How long to wait for the guardian's answer."""

PULL_AFTER_S: Final = 0.1
"""A stop that was not answered for so long is also left in shared memory."""

READBACK_S: Final = 1.0
"""How long to wait, after a stop, for every gate to read back neutral."""

_LOOK_S: Final = 0.002


class Result(StrEnum):
    """How sure it is that what was asked for has happened."""

    CONFIRMED = "CONFIRMED"
    """It was read back: every gate is at neutral, or motion is permitted."""
    UNCERTAIN = "UNCERTAIN"
    """It was asked for, but something did not answer."""
    FAILED = "FAILED"
    """It was refused, or an actuator is still driven."""


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
            CONFIRMED when every gate was at neutral after the trip; UNCERTAIN when the guardian or
            a gate does not answer; FAILED when a gate still drives its actuator.
        """
        began_ns = time.monotonic_ns()
        cause, by = cause[:LONGEST_TEXT], by[:LONGEST_TEXT]
        with self._call({"op": "stop", "cause": cause, "by": by}) as call:
            reply = call.wait(PULL_AFTER_S) or self._insist(call, cause, by)
        if reply is None:
            return _outcome(Result.UNCERTAIN, self._nobody(), began_ns)
        result, text = self._read_back(int(reply["at_ns"]), reply["gates"])
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
            self._demand({"op": "reset", "by": by[:LONGEST_TEXT], "latch": seen})
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
            SafetyError: No guardian answers, or it answers nonsense.
        """
        return read_status(self._demand({"op": "status"}))

    def report(self, name: str, *, ok: bool, text: str = "") -> None:
        """Report a condition that motion depends on.

        Args:
            name: The condition.
            ok: Whether it is good; False trips.
            text: What is the matter.

        Raises:
            SafetyError: No guardian answers, or it refuses.
        """
        text = text[:LONGEST_TEXT]
        self._demand({"op": "condition", "name": name, "ok": ok, "text": text})

    def _call(self, request: Mapping[str, object]) -> Call:
        return Call(self._directory / SOCKET, request, next(self._marks))

    def _demand(self, request: Mapping[str, object]) -> Mapping[str, Any]:
        with self._call(request) as call:
            reply = call.wait(ANSWER_S)
        if reply is None:
            raise SafetyError(self._nobody())
        if not reply.get("ok"):
            raise _RefusedError(str(reply.get("error")))
        return reply

    def _nobody(self) -> str:
        return (
            f"no guardian answers in {self._directory}; is a launch running? "
            "start one with `olympus launch …`"
        )

    def _insist(self, call: Call, cause: str, by: str) -> Mapping[str, Any] | None:
        lease = LeaseReader(self._directory)
        at_ns = time.monotonic_ns()
        before = lease.check(at_ns).sequence
        stopline.pull(self._directory, cause, by)
        deadline = time.monotonic() + ANSWER_S - PULL_AFTER_S
        try:
            while time.monotonic() < deadline:
                reply = call.wait(_LOOK_S)
                if reply is not None:
                    return reply
                seen = lease.check(time.monotonic_ns())
                if seen.mode is Mode.TRIPPED and seen.sequence > before:
                    return {"at_ns": at_ns, "gates": ()}
                time.sleep(_LOOK_S)
        finally:
            lease.close()
        return None

    def _read_back(self, at_ns: int, gates: Iterable[str]) -> tuple[Result, str]:
        board = AckBoard(self._directory, gates)
        board.look()
        if not board.names():
            return (
                Result.UNCERTAIN,
                "the stop is latched, but there is no gate to read it back from",
            )
        deadline = time.monotonic() + READBACK_S
        try:
            while waiting := _still(board, at_ns):
                if time.monotonic() > deadline:
                    return _verdict(waiting, at_ns)
                time.sleep(_LOOK_S)
        finally:
            board.close()
        return Result.CONFIRMED, f"latched; at neutral: {', '.join(board.names())}"

    def _read_lease(self, began_ns: int) -> Outcome:
        reader = LeaseReader(self._directory)
        view = reader.check(time.monotonic_ns())
        reader.close()
        if view.valid:
            return _outcome(Result.CONFIRMED, f"permitted, epoch {view.epoch}", began_ns)
        return _outcome(Result.UNCERTAIN, f"granted, but now: {view.why}; see status", began_ns)


class _RefusedError(SafetyError):
    """The guardian answered, with a refusal."""


def _outcome(result: Result, text: str, began_ns: int) -> Outcome:
    return Outcome(result, text, (time.monotonic_ns() - began_ns) / 1e9)


def _still(board: AckBoard, at_ns: int) -> dict[str, Ack | None]:
    acks = board.read()
    found = {name: acks.get(name) for name in board.names()}
    return {name: ack for name, ack in found.items() if not (ack and ack.has_stopped_since(at_ns))}


def _verdict(waiting: Mapping[str, Ack | None], at_ns: int) -> tuple[Result, str]:
    driven = [name for name, ack in waiting.items() if ack and ack.tick_ns > at_ns]
    if driven:
        return Result.FAILED, f"latched, but still driven: {', '.join(driven)}; cut the power"
    silent = ", ".join(waiting)
    return Result.UNCERTAIN, f"latched, but no answer from gate {silent}; look at the actuators"
