"""Motors in a process of their own, as the drive sees them.

The process has gate and base, this side has neither: it hands orders over and hears measurements.
Should the process fall silent, this side writes neutral to the motors' port itself.
"""

from __future__ import annotations

# varies throughout: these are motors
import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from olympus.drivers.base import STALL_S, BaseState, RoverBase
from olympus.nodes.motor_hand import AGAIN_S, MotorHand
from olympus.nodes.motor_loop import Order, Tell
from olympus.nodes.motor_wire import (
    BEAT_S,
    MotorSpec,
    Packet,
    read_state,
    receive,
    send,
    wait_at_most,
)
from olympus.runtime.errors import DeviceError, MessageError, StallError
from olympus.runtime.safety.acks import Reason
from olympus.runtime.safety.gate import Applied
from olympus.runtime.safety.realtime import real_time

READY_S: Final = 15.0
"""How long the process may take to start and open its base."""

SILENT_S: Final = 3.5 * BEAT_S
"""A process that says nothing for so long does not drive its motors any more."""

_log = logging.getLogger(__name__)
_END_S: Final = 1.0
_EAGER_S: Final = 1.0
_REMEMBERED: Final = 64
_START: Final = """\
import os, sys
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
from olympus.nodes.motor_process import main
raise SystemExit(main(sys.argv[1:]))
"""
"""It must not import at the real-time priority of the host that starts it: that takes long."""


class ApartBase(RoverBase):
    """A base whose gate, commands and port are in a process of their own."""

    def __init__(self, spec: MotorSpec, plugins: Sequence[str] = (), *, tell: Tell) -> None:
        """Describe it; `open` starts the process.

        Args:
            spec: What the process is told.
            plugins: Modules it imports first, for their devices.
            tell: Called when the gate has applied something new; from a thread of this object.
        """
        self._spec, self._plugins, self._tell = spec, tuple(plugins), tell
        self._end: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._news = threading.Condition()
        self._forget()

    @property
    def pid(self) -> int:
        """The process; 0 while it is closed."""
        return self._process.pid if self._process is not None else 0

    @property
    def counts(self) -> Mapping[str, int]:
        """Ticks of the gate by reason since the process started, and packets that were refused."""
        return self._counts | ({"refused_packets": self.refused} if self.refused else {})

    def open(self) -> None:
        """Start the process and wait until its base is open.

        Raises:
            DeviceError: The base can't be opened, or the process ended.
            StallError: It was not ready in time.
        """
        if self._end is not None:
            return
        self._forget()
        try:
            ours = self._start()
        except OSError as error:
            raise DeviceError(f"motors apart: can't start their process: {error}") from error
        self._end = ours
        threading.Thread(target=self._hear, args=(ours,), name="apart", daemon=True).start()
        try:
            self._await_ready()
        except DeviceError:
            self.close()
            raise

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            words = [sys.executable, "-c", _START, str(theirs.fileno())]
            self._process = subprocess.Popen(
                [*words, self._spec.model_dump_json(), *self._plugins],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # whoever ends our group leaves it the time for neutral
            )
        return ours

    def close(self, why: str = "the drive lets go of its motors") -> None:
        """End the process, which brings the motors to neutral first.

        Args:
            why: In words, for the gate that is closed by that.
        """
        end, self._end = self._end, None
        process = self._process
        if end is None or process is None:
            return
        send(end, "end", why=why)
        if not self._ends(process):
            self._hand.write()
            process.kill()
            process.wait()
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        self._hand.let_go()

    def command(self, left_radps: float, right_radps: float) -> None:
        """Refuse: the gate alone commands these motors, and it is elsewhere.

        Raises:
            DeviceError: Always.
        """
        raise DeviceError(f"({left_radps}, {right_radps}): give motors apart an order, not speeds")

    def neutral(self) -> None:
        """Drop the order that the process has; it goes to neutral at once."""
        if self._end is not None:
            send(self._end, "forget")

    def obey(self, order: Order) -> None:
        """Hand an order over."""
        end, command = self._end, order.command
        if end is None:
            return
        with self._news:
            self._orders[command.stamp_ns] = order
            while len(self._orders) > _REMEMBERED:
                self._orders.popitem(last=False)
        left, right = command.channels
        send(end, "order", speeds=[left, right, command.stamp_ns])

    def state(self) -> BaseState:
        """Return the newest measurement.

        Raises:
            StallError: It is too old.
            DeviceError: The process ended, or tells trouble.
        """
        if self._trouble or self._end is None:
            raise DeviceError(self._trouble or "motors apart: closed; call open() first")
        if self._state is None or time.monotonic() - self._state_at > STALL_S:
            raise StallError(f"motors apart: {self._silence()}")
        return self._state

    def _forget(self) -> None:
        self._state: BaseState | None = None
        self._state_at = 0.0
        self._trouble = ""
        self._is_ready = False
        self._hand = MotorHand()
        self.refused = 0
        """Packets of the process that could not be taken since it started."""
        self._refusal = ""
        self._counts: dict[str, int] = {}
        self._orders: OrderedDict[int, Order] = OrderedDict()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        with self._news:
            while not self._is_ready or (self._state is None and not self._trouble):
                if self._trouble:
                    raise DeviceError(self._trouble)
                if time.monotonic() > deadline:
                    raise StallError(
                        f"motors apart: not ready after {READY_S:g} s: {self._silence()}"
                    )
                self._news.wait(0.1)

    def _hear(self, end: socket.socket) -> None:
        """Take in what the process says; when it says nothing, write neutral in its place.

        It is as urgent as the gate in that process; a refusal is told there.
        """
        real_time(self._spec.priority)
        wait_at_most(end, SILENT_S)
        with end:
            while True:
                try:
                    packet = receive(end)
                    if packet is None:
                        break
                    self._take(packet)
                except TimeoutError:
                    self._insist(end)
                except (MessageError, LookupError, TypeError, ValueError) as error:
                    self._refuse(error)
        if self._end is end:  # else it was closed, and perhaps opened again, meanwhile
            self._speak_for_the_ended(end)

    def _speak_for_the_ended(self, end: socket.socket) -> None:
        """Write neutral for a process that ended, and let the drive open another meanwhile.

        A stop is read back from a gate: the sooner there is one again, the more often it can be.
        """
        hand, self._hand = self._hand, MotorHand()  # closing the base does not let this one go
        hand.write()
        with self._news:
            if self._end is end:
                ended = "motors apart: their process has ended; open it again"
                self._trouble, self._is_ready = self._trouble or ended, False
            self._news.notify_all()
        hand.insist(_EAGER_S, lambda: self._is_ready)
        hand.let_go()

    def _take(self, packet: Packet) -> None:
        told = packet.told
        with self._news:
            if packet.kind == "ready":
                self.wheel_radius_m = told["wheel_radius_m"]
                self.track_m = told["track_m"]
                device, frame = told["neutral"]
                self._hand.take_hold(device, frame)
                self._is_ready = True
            elif packet.kind == "state":
                self._state, self._state_at = read_state(told["state"]), time.monotonic()
                self._trouble = ""
            elif packet.kind == "trouble":
                self._trouble = str(told["text"])
            if "counts" in told:
                self._counts = dict(told["counts"])
            self._news.notify_all()
        if packet.kind == "applied":
            self._tell_applied(told)

    def _tell_applied(self, told: Mapping[str, Any]) -> None:
        reason = Reason(told["reason"])
        channels = tuple(told["channels"])
        applied = Applied(channels, reason, told["detail"], told["is_limited"], told["epoch"])
        with self._news:
            order = self._orders.get(told["stamp_ns"])
        self._tell(applied, order, told["at_ns"])

    def _refuse(self, error: Exception) -> None:
        """Count what can't be taken, and hear on; it was heard, so that its gate still ticks."""
        self.refused += 1
        self._refusal = str(error) if isinstance(error, MessageError) else repr(error)
        if self.refused == 1:
            _log.warning("motors apart: a packet of their process is refused: %s", self._refusal)

    def _silence(self) -> str:
        """Say why nothing new is known of the motors."""
        if self._refusal:
            return f"what their process says can't be taken: {self._refusal}"
        return "their process says nothing; it is frozen or overloaded"

    def _insist(self, end: socket.socket) -> None:
        if self._is_ready and self._end is end:
            self._hand.write()
            _log.info("motors to neutral: their process was silent for %.0f ms", SILENT_S * 1e3)

    def _ends(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the process to end; one that takes long may be frozen, and its motors driven."""
        until, wait_s = time.monotonic() + _END_S, SILENT_S
        while True:
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self._hand.write()
            else:
                return True
            if time.monotonic() > until:
                return False
            wait_s = AGAIN_S


class ApartMotors:
    """What the drive gives its orders to, in place of a `MotorLoop`."""

    def __init__(self, base: ApartBase) -> None:
        """Speak to the process of `base`."""
        self._base = base

    def start(self) -> None:
        """Do nothing: the process ticks since it was opened."""

    def obey(self, order: Order) -> None:
        """Hand an order over."""
        self._base.obey(order)

    def stop(self, why: str = "") -> None:
        """Bring the motors to neutral; the process ends when the base is closed.

        Args:
            why: Told when it is closed.
        """
        del why
        self._base.neutral()

    @property
    def counts(self) -> dict[str, int]:
        """Ticks by reason since the process started."""
        return dict(self._base.counts)
