"""The motors' own process: it holds gate and base, so that a drive that is frozen still halts.

Started by `motors_apart.ApartBase`, or as `python -m olympus.nodes.motor_process FD SPEC`. Commands
that stop coming grow stale here; when the other end is gone, the motors go to neutral at once.
"""

from __future__ import annotations

# varies throughout: these are motors
import contextlib
import importlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from olympus.drivers.base import RoverBase
from olympus.drivers.registry import make_base
from olympus.nodes.motor_loop import MotorLoop, Order
from olympus.nodes.motor_wire import BEAT_S, MotorSpec, Packet, receive, send, told_state
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, DeviceError, MessageError, OlympusError
from olympus.runtime.safety.gate import Applied, Command
from olympus.runtime.safety.realtime import limit_spinning, real_time
from olympus.runtime.telemetry.logs import log_to

LONGEST_SPIN_S: Final = 1.0
"""After so long at real-time priority without once waiting, the kernel ends this process."""

LONGEST_TEXT: Final = 4096
"""More of what a base says of itself is cut."""


class MotorProcess:
    """Serves one drive until it lets go."""

    def __init__(self, spec: MotorSpec, end: socket.socket) -> None:
        """Make the base; `serve` opens it."""
        self._spec, self._end = spec, end
        clock = SystemClock(spec.session.clock_offset_ns)
        self._base: RoverBase = make_base(spec.source, clock=clock, session=spec.session)
        self._loop = MotorLoop(
            self._base,
            spec.session.safety_dir,
            spec.rules(),
            rate_hz=spec.rate_hz,
            tell=self._tell,
            clock_offset_ns=spec.session.clock_offset_ns,
        )
        self._is_ending = threading.Event()

    def serve(self) -> None:
        """Open the base, carry out orders, and end with neutral motors.

        Raises:
            OlympusError: The base can't be opened.
        """
        with self._base as base:
            base.neutral()
            self._loop.start()
            reports = threading.Thread(target=self._report, name="reports", daemon=True)
            why = "the drive is gone: nobody holds the other end of its line"
            try:
                device, frame = base.neutral_line(hand=1) or ("", b"")
                send(
                    self._end,
                    "ready",
                    wheel_radius_m=base.wheel_radius_m,
                    track_m=base.track_m,
                    neutral=[device, frame.hex()],
                )
                reports.start()
                while (packet := receive(self._end)) is not None and packet.kind != "end":
                    self._carry_out(packet)
                if packet is not None:
                    why = str(packet.told.get("why"))
            except BaseException as error:
                why = f"their process fails: {type(error).__name__}: {error}"
                raise
            finally:
                base.neutral()  # before anything that could take time
                self._is_ending.set()
                self._loop.stop(why)

    def _carry_out(self, packet: Packet) -> None:
        if packet.kind == "order":
            left, right, stamp_ns = packet.told["speeds"]
            self._loop.obey(Order(None, Command((left, right), stamp_ns)))
        elif packet.kind == "forget":
            self._loop.forget()

    def _tell(self, applied: Applied, order: Order | None, at_ns: int) -> None:
        send(
            self._end,
            "applied",
            channels=list(applied.channels),
            reason=int(applied.reason),
            detail=applied.detail,
            is_limited=applied.is_limited,
            epoch=applied.epoch,
            at_ns=at_ns,
            stamp_ns=order.command.stamp_ns if order is not None else 0,
        )

    def _report(self) -> None:
        due = time.monotonic()
        while not self._is_ending.is_set():
            self._report_state()
            due = max(due + 1 / self._spec.report_hz, time.monotonic())
            while not self._is_ending.wait(min(due - time.monotonic(), BEAT_S)):
                if time.monotonic() >= due:
                    break
                send(self._end, "beat")

    def _report_state(self) -> None:
        counts = dict(self._loop.counts)
        try:
            state = told_state(self._base.state())
            send(self._end, "state", state=state, counts=counts, faults=self._loop.faults)
        except (DeviceError, MessageError) as error:
            send(self._end, "trouble", text=str(error)[:LONGEST_TEXT], counts=counts)


def main(arguments: Sequence[str]) -> int:
    """Run the process.

    Args:
        arguments: File descriptor of a seqpacket socket, a `MotorSpec` as JSON, and plug-ins to
            import.

    Returns:
        The exit code.
    """
    try:
        descriptor, spec = int(arguments[0]), MotorSpec.model_validate_json(arguments[1])
    except (IndexError, ValueError, ValidationError) as error:
        sys.stderr.write(f"usage: python -m olympus.nodes.motor_process FD SPEC ({error})\n")
        return ConfigError.exit_code
    # It ends with its drive, after neutral, and not with a key press at the launch terminal.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    log_to(SystemClock(spec.session.clock_offset_ns))
    said = real_time(spec.priority, whole_process=True)
    if said.startswith("refused"):
        sys.stderr.write(f"motors: real-time priority {said}\n")
    elif spec.priority:
        # Whoever spins at such a priority drives no motors; the drive's hand says neutral then.
        limit_spinning(LONGEST_SPIN_S, LONGEST_SPIN_S)
    with socket.socket(fileno=descriptor) as end:
        try:
            for plugin in arguments[2:]:
                importlib.import_module(plugin)
            MotorProcess(spec, end).serve()
        except OlympusError as error:
            with contextlib.suppress(OSError):
                send(end, "trouble", text=str(error)[:LONGEST_TEXT])
            return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
