"""The Linux watchdog, as the guardian feeds it: the backstop that restarts a frozen computer.

It is fed at every tick of the guardian, whatever the state: a stopped robot needs no restart. It
bites when the guardian's loop, the kernel or the computer stands still. That takes whole seconds:
a killed guardian was reset 1.02 to 1.13 s after its last feed with a timeout of 1 s, since closing
makes the kernel feed once more. What must be quicker is the relay's (`relay.py`). Standard library
only.

In a launch file: `- {uses: olympus.hardware.watchdog, timeout_s: 2, at_end: disarm}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from olympus.hardware.watchdog_device import Ability, Identity, WatchdogDevice, is_nowayout
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.safety.backstop import Outlook, Report, read_options

MS: Final = 1_000_000
PING_NS: Final = 90 * MS
"""From one feed to the next, at least: with ticks of 10 ms that is about 10 Hz."""
RETRY_NS: Final = 1000 * MS
ENDS: Final = ("disarm", "bite")


@dataclass(frozen=True, slots=True)
class Options:
    """What a launch file may say."""

    at_end: str
    """What happens when the guardian ends properly: `disarm`, if every actuator was at neutral, or
    `bite`: the computer restarts. There is no default, so that somebody has thought about it."""
    device: str = "/dev/watchdog0"
    """The watchdog."""
    timeout_s: int = 2
    """Whole seconds without a feed until it bites; the device may take more only."""
    pretimeout_s: int | None = None
    """Interrupt so many seconds before, where the device can; what happens then is the kernel's
    pretimeout governor's."""
    unstopped_s: float | None = None
    """Stop feeding when a gate is not at neutral so long after a trip; for boards without a relay,
    whose pins a restart takes to their rest."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            ConfigError: A value is out of range.
        """
        if self.at_end not in ENDS:
            raise ConfigError(f"at_end={self.at_end!r} must be disarm or bite")
        if not 1 <= self.timeout_s <= 60:
            raise ConfigError(f"timeout_s={self.timeout_s} must be in 1..60")
        if self.pretimeout_s is not None and not 1 <= self.pretimeout_s < self.timeout_s:
            raise ConfigError(f"pretimeout_s={self.pretimeout_s} must be in 1..{self.timeout_s}-1")
        if self.unstopped_s is not None and not 0.5 <= self.unstopped_s <= 60:
            raise ConfigError(f"unstopped_s={self.unstopped_s} must be in 0.5..60")


class Device(Protocol):
    """What is needed of a watchdog."""

    def identity(self) -> Identity:
        """Ask what it is."""
        ...

    def boot_status(self) -> Ability:
        """Ask why the machine last started."""
        ...

    def set_timeout(self, wanted_s: int) -> int:
        """Set when it bites; return what it took."""
        ...

    def set_pretimeout(self, before_s: int) -> bool:
        """Set when it warns; False where it can't."""
        ...

    def left_s(self) -> int | None:
        """Ask how many seconds are left."""
        ...

    def ping(self) -> None:
        """Feed it."""
        ...

    def close(self, *, disarm: bool) -> None:
        """Let go of it."""
        ...


class Watchdog:
    """Feeds one watchdog."""

    def __init__(self, options: Options, arm: Callable[[], Device] | None = None) -> None:
        """Arm nothing yet; the first feed does.

        Args:
            options: Device and times.
            arm: Opens it; another than the device of the options, for tests.
        """
        self._options = options
        self._arm = arm or (lambda: WatchdogDevice(options.device))
        self._device: Device | None = None
        self._retry_ns = 0
        self._pinged_ns = 0
        self._driven_ns: int | None = None
        self._text = ""
        self._facts: dict[str, object] = {}

    def feed(self, outlook: Outlook) -> Report:
        """Feed it, unless an actuator is still driven long after a trip.

        Raises:
            DeviceError: It is missing or gone; the next feeds try again.
        """
        device = self._armed(outlook.now_ns)
        problem = self._unstopped(outlook)
        if not problem and outlook.now_ns - self._pinged_ns >= PING_NS:
            try:
                device.ping()
            except DeviceError:
                self._device = None
                device.close(disarm=False)
                raise
            self._pinged_ns = outlook.now_ns
        return Report(problem, self._text, self._facts)

    def close(self, *, is_neutral: bool) -> None:
        """Disarm if that was asked for and every actuator is at neutral; else let it bite."""
        if self._device is not None:
            self._device.close(disarm=self._options.at_end == "disarm" and is_neutral)

    def _unstopped(self, outlook: Outlook) -> str:
        limit_s = self._options.unstopped_s
        if limit_s is None or outlook.is_permitted or outlook.is_neutral:
            self._driven_ns = None
            return ""
        self._driven_ns = outlook.now_ns if self._driven_ns is None else self._driven_ns
        driven_s = (outlook.now_ns - self._driven_ns) / 1e9
        if driven_s < limit_s:
            return ""
        return f"a gate is not at neutral {driven_s:.1f} s after the trip: the board will restart"

    def _armed(self, now_ns: int) -> Device:
        if self._device is None:
            if now_ns < self._retry_ns:
                raise DeviceError(f"{self._options.device} is not there; it is tried again")
            self._retry_ns = now_ns + RETRY_NS
            device = self._arm()
            try:
                self._settle(device)
            except DeviceError:
                # Open it is armed, and closed it could not be had again: either would restart the
                # computer, again and again, for a watchdog that can't be used.
                device.close(disarm=True)
                raise
            self._device = device
        return self._device

    def _settle(self, device: Device) -> None:
        options, identity = self._options, device.identity()
        taken_s = device.set_timeout(options.timeout_s)
        words = [f"{identity.name} armed, bites after {taken_s} s"]
        if taken_s != options.timeout_s:
            words.append(f"it can't count to {options.timeout_s} s")
        if options.pretimeout_s is not None and not device.set_pretimeout(options.pretimeout_s):
            words.append("it has no pretimeout")
        if Ability.ALARM_ONLY in identity.abilities:
            words.append("it only tells and resets nothing")
        if options.at_end == "disarm" and is_nowayout(options.device):
            words.append("nowayout: it can't be disarmed, the board will restart at the end")
        has_bitten = Ability.CARD_RESET in device.boot_status()
        if has_bitten:
            words.append("the last boot was its doing")
        self._text = "; ".join(words)
        self._facts = {
            "identity": identity.name,
            "timeout_s": taken_s,
            "left_s": device.left_s(),
            "has_bitten": has_bitten,
            "at_end": options.at_end,
        }


def backstop(options: Mapping[str, object]) -> Watchdog:
    """Make the backstop that a launch file names.

    Raises:
        ConfigError: An option is unknown, missing, or out of range.
    """
    return Watchdog(read_options(Options, options))
