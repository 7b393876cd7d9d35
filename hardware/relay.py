"""The dead-man relay, as the guardian feeds it: a backstop on a serial port.

It asks the relay to close once per permission, and sends pulses while motion is permitted and every
gate answers. At the end of a permission the power stays on while actuators still brake, at most for
`brake_s`; then, and at once where a gate falls silent, the relay is told to open. Where nothing
can be told any more, it opens by itself. Standard library only.

In a launch file: `- {uses: olympus.hardware.relay, port: /dev/serial/by-id/…}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from olympus.hardware import relay_protocol as protocol
from olympus.hardware.relay_protocol import Cause, RelayReport
from olympus.hardware.serial_port import SerialPort
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.safety.backstop import Outlook, Report, read_options

MS: Final = 1_000_000
PULSE_NS: Final = 18 * MS
"""From one pulse to the next, at least: with ticks of 10 ms that is 50 Hz."""
ANSWER_NS: Final = 300 * MS
"""The relay tells how it is every 50 ms; when it has not for so long, it is not there."""
CLOSE_NS: Final = 250 * MS
"""How long after a permission it may take until the contact reads closed."""
OPEN_NS: Final = 250 * MS
"""How long after it was to open until the contact must read open."""
RETRY_NS: Final = 500 * MS
"""From one try to open the port to the next."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a launch file may say."""

    port: str
    """Serial port of the relay's board; best /dev/serial/by-id/…"""
    baud: int = 115200
    """Speed; a USB port ignores it."""
    gate_silence_s: float = 0.1
    """No pulse while a gate has been silent for longer."""
    brake_s: float = 0.5
    """Longest time that power stays on after a trip while actuators aren't at neutral yet."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            ConfigError: A time is out of range.
        """
        for name, top in (("gate_silence_s", 1.0), ("brake_s", 2.0)):
            if not 0 <= getattr(self, name) <= top:
                raise ConfigError(f"{name}={getattr(self, name)} must be in 0..{top:g} s")


class Port(Protocol):
    """What is needed of a serial port."""

    def read(self) -> bytes:
        """Return what has arrived."""
        ...

    def write(self, data: bytes) -> bool:
        """Send, without waiting."""
        ...

    def close(self) -> None:
        """Close."""
        ...


@dataclass(slots=True)
class Turn:
    """One permission, as far as the power is concerned: on once, off once."""

    epoch: int
    """The permission's number; 0 before the first."""
    begun_ns: int
    """When it was first seen."""
    ended_ns: int = 0
    """When it was first seen to have ended; 0 while it holds."""
    off_ns: int = 0
    """When power was last not wanted any more."""
    is_off: bool = False
    """Whether power has been withdrawn; it never comes back in this turn."""
    challenge: int | None = None
    """What all frames of this turn repeat."""
    has_closed: bool = False
    """Whether the relay was seen closed."""

    def wants_power(self, outlook: Outlook, *, silence_ns: int, brake_ns: int) -> bool:
        """Decide whether the power is to be on; once it was not, it stays off.

        Args:
            outlook: The tick.
            silence_ns: How long a gate may have been silent.
            brake_ns: How long after a trip actuators may take to come to neutral.
        """
        if not outlook.is_permitted and not self.ended_ns:
            self.ended_ns = outlook.now_ns
        is_braking = not outlook.is_neutral and outlook.now_ns - self.ended_ns < brake_ns
        may = self.epoch > 0 and (outlook.is_permitted or is_braking)
        if not self.is_off and not (may and outlook.is_answered(silence_ns)):
            self.is_off, self.off_ns = True, outlook.now_ns
        return not self.is_off


class Relay:
    """Feeds one relay."""

    def __init__(self, options: Options, open_port: Callable[[], Port] | None = None) -> None:
        """Open nothing yet.

        Args:
            options: Port and times.
            open_port: Opens it; another than the serial port of the options, for tests.
        """
        self._options = options
        self._open_port = open_port or (lambda: SerialPort(options.port, options.baud))
        self._port: Port | None = None
        self._retry_ns = 0
        self._reader = protocol.ReportReader()
        self._seen: RelayReport | None = None
        self._seen_ns = 0
        self._turn = Turn(0, 0)
        self._seq = 0
        self._sent_ns = 0

    def feed(self, outlook: Outlook) -> Report:
        """Send what this tick asks for, and tell how the relay is.

        Raises:
            DeviceError: The port is missing or gone; the next feeds try again.
        """
        now_ns = outlook.now_ns
        port = self._opened(now_ns)
        try:
            for seen in self._reader.feed(port.read()):
                self._seen, self._seen_ns = seen, now_ns
            self._drive(port, outlook)
        except DeviceError:
            self._lose(now_ns)
            raise
        return Report(self._problem(outlook), self._text(now_ns), self._facts(port))

    def close(self, *, is_neutral: bool) -> None:
        """Open the relay, whatever the actuators do: its place at rest is open."""
        if self._port is not None:
            self._port.write(protocol.frame(protocol.OPEN_NOW))
            self._port.close()

    def _drive(self, port: Port, outlook: Outlook) -> None:
        if outlook.is_permitted and outlook.epoch != self._turn.epoch:
            self._turn = Turn(outlook.epoch, outlook.now_ns)
        is_wanted = self._turn.wants_power(
            outlook,
            silence_ns=int(self._options.gate_silence_s * 1e9),
            brake_ns=int(self._options.brake_s * 1e9),
        )
        seen = self._seen
        if is_wanted and seen is not None and outlook.now_ns - self._sent_ns >= PULSE_NS:
            if port.write(self._keep_closed(seen)):
                self._sent_ns = outlook.now_ns
        elif not is_wanted and seen is not None and seen.is_closed:
            port.write(protocol.frame(protocol.OPEN_NOW))

    def _keep_closed(self, seen: RelayReport) -> bytes:
        """Return an arm frame until the relay has closed, then pulses.

        Every frame of a permission repeats the challenge that held at its start: once the relay
        has opened it has another, so no later frame of this permission can close it again.
        """
        if self._turn.challenge is None:
            self._turn.challenge = seen.challenge
        if not self._turn.has_closed and not seen.is_closed:
            return protocol.arm(self._seq, self._turn.challenge)
        self._turn.has_closed = True
        self._seq = (self._seq + 1) % protocol.SEQ_RANGE
        return protocol.pulse(self._seq, self._turn.challenge)

    def _problem(self, outlook: Outlook) -> str:
        seen, now_ns = self._seen, outlook.now_ns
        if seen is None or now_ns - self._seen_ns > ANSWER_NS:
            if self._reader.version != protocol.VERSION:
                return f"it speaks version {self._reader.version}; flash the firmware of this one"
            return f"nothing is heard from {self._options.port}"
        if seen.cause is Cause.WELDED:
            return "its contact is welded: it stays closed though not driven; replace the relay"
        if outlook.is_permitted:
            return self._problem_while_permitted(seen, now_ns)
        if seen.sense and now_ns - self._turn.off_ns > OPEN_NS and self._turn.is_off:
            return "its contact reads closed though it was to open"
        return ""

    def _problem_while_permitted(self, seen: RelayReport, now_ns: int) -> str:
        if self._turn.is_off:
            return "power was cut: a gate was silent for too long"
        is_closed = seen.is_closed and seen.sense
        if is_closed or now_ns - self._turn.begun_ns < CLOSE_NS:
            return ""
        return f"{seen.text} while motion is permitted ({seen.cause.name.lower()}); power is off"

    def _opened(self, now_ns: int) -> Port:
        if self._port is None:
            if now_ns < self._retry_ns:
                raise DeviceError(f"{self._options.port} is not there; it is tried again")
            self._retry_ns = now_ns + RETRY_NS
            self._port = self._open_port()
            self._port.write(protocol.frame(protocol.QUERY))
        return self._port

    def _lose(self, now_ns: int) -> None:
        if self._port is not None:
            self._port.close()
        self._port, self._seen, self._retry_ns = None, None, now_ns + RETRY_NS
        self._turn.is_off, self._turn.off_ns = True, now_ns

    def _text(self, now_ns: int) -> str:
        if self._seen is None or now_ns - self._seen_ns > ANSWER_NS:
            return "silent"
        if self._seen.is_closed:
            return f"{self._seen.text}, longest gap {self._seen.longest_gap_ms} ms"
        return f"{self._seen.text} ({self._seen.cause.name.lower()})"

    def _facts(self, port: Port) -> Mapping[str, object]:
        seen = self._seen
        told: dict[str, object] = {"bad_lines": self._reader.bad}
        told["skipped_writes"] = getattr(port, "skipped", 0)
        if seen is not None:
            told |= {
                "is_closed": seen.is_closed,
                "sense": seen.sense,
                "cause": seen.cause.name,
                "longest_gap_ms": seen.longest_gap_ms,
                "closings": seen.closings,
            }
        return told


def backstop(options: Mapping[str, object]) -> Relay:
    """Make the backstop that a launch file names.

    Raises:
        ConfigError: An option is unknown, missing, or out of range.
    """
    return Relay(read_options(Options, options))
