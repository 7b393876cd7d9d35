"""The stop input: a button's normally closed contact, which the guardian itself reads.

Closed says run; pressed, cut, unplugged and unreadable all say stop. A press counts at once,
however short; a release counts only after the input has been quiet for a while, since contacts
bounce. Standard library only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.safety.backstop import read_options
from olympus.runtime.safety.gpio_line import Flags, GpioLine, find
from olympus.runtime.safety.state import Trip

NAME: Final = "stop input"
"""What it is called among causes and in the way of a reset."""

RETRY_NS: Final = 1_000_000_000
"""How often an input that was lost is looked for."""

_MS: Final = 1_000_000
_CLOSED: Final = (b"0\n", b"0")
_ENOUGH: Final = 3  # a byte more than those have
_PULLS: Final = {"ground": Flags.PULL_UP, "supply": Flags.PULL_DOWN | Flags.ACTIVE_LOW}
_OWN: Final = {"ground": Flags.NO_PULL, "supply": Flags.NO_PULL | Flags.ACTIVE_LOW}


@dataclass(frozen=True, slots=True)
class StopInput:
    """What a launch file says of it under `safety.estop`.

    There is no polarity to choose: it follows from the wiring, so that an open contact stops.
    """

    line: str = ""
    """The GPIO line's name, as in the board maps of `hardware/boards`, or its number on `chip`."""
    chip: str = ""
    """Device, kernel name or label of the chip; empty: any chip with a line of that name."""
    file: str = ""
    """In place of a line: a file of the kernel that holds 0 while the contact is closed, else 1."""
    contact: str = "ground"
    """What the closed contact ties the line to: `ground` or `supply`."""
    resistor: str = "internal"
    """What pulls the line when the contact is open: the chip (`internal`), or a resistor
    (`external`)."""
    release_s: float = 0.1
    """How long it must have been quiet before it counts as released."""
    kill: bool = False
    """Whether it is a kill, which only the console lifts."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            ConfigError: A value is out of range, or there is none or too much to read.
        """
        if bool(self.line) == bool(self.file):
            raise ConfigError(
                "safety.estop: name one `line`, such as GPIO5, or one `file`, and not both"
            )
        if self.chip and not self.line:
            raise ConfigError("safety.estop: `chip` needs a `line` on it")
        if self.line.isdecimal() and not self.chip:
            raise ConfigError(
                f"safety.estop.line={self.line}: a number needs its `chip`; or give its name"
            )
        if self.contact not in _PULLS:
            raise ConfigError(f"safety.estop.contact={self.contact!r} must be ground or supply")
        if self.resistor not in ("internal", "external"):
            raise ConfigError(
                f"safety.estop.resistor={self.resistor!r} must be internal or external"
            )
        if not (math.isfinite(self.release_s) and 0.02 <= self.release_s <= 2):
            raise ConfigError(f"safety.estop.release_s={self.release_s} must be in 0.02..2")

    @property
    def flags(self) -> Flags:
        """How the line is taken: active is an open contact."""
        return (_PULLS if self.resistor == "internal" else _OWN)[self.contact]


def read_stop_input(found: object) -> StopInput | None:
    """Read `safety.estop`.

    Args:
        found: A mapping with the fields of `StopInput`, or nothing.

    Raises:
        ConfigError: It is something else.
    """
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise ConfigError("safety.estop must be a mapping such as {line: GPIO5}")
    try:
        return read_options(StopInput, found)
    except ConfigError as error:
        words = str(error)
        raise ConfigError(
            words if words.startswith("safety.") else f"safety.estop: {words}"
        ) from error


def written(found: StopInput | None) -> dict[str, object] | None:
    """Write it so that `read_stop_input` reads the same."""
    return None if found is None else asdict(found)


class Contact(Protocol):
    """Something that is open or closed."""

    text: str
    """What it is, in words."""

    def is_active(self) -> bool:
        """Tell whether it is open, that is pressed."""
        ...

    def rose_ns(self) -> int | None:
        """Tell when it last opened since this was asked, where that is known."""
        ...

    def fileno(self) -> int | None:
        """Return what becomes readable when it changes; None where nothing does."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class FileContact:
    """A file of the kernel that holds 0 or 1; kept open, so that no descriptor is lacking later."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            DeviceError: It can't be opened.
        """
        self.text = str(path)
        """Where it is."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise DeviceError(f"{path} can't be opened: {error.strerror}") from error

    def is_active(self) -> bool:
        """Read it: anything but a lone 0 is an open contact.

        Raises:
            DeviceError: It can't be read, or is there no more.
        """
        try:
            if not os.fstat(self._descriptor).st_nlink:
                raise DeviceError(f"{self.text} is gone")
            return os.pread(self._descriptor, _ENOUGH, 0) not in _CLOSED
        except OSError as error:
            raise DeviceError(f"{self.text} can't be read: {error.strerror}") from error

    def rose_ns(self) -> int | None:
        """Nothing is known between two looks."""
        return None

    def fileno(self) -> int | None:
        """Nothing tells of a change."""
        return None

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def open_contact(settings: StopInput) -> Contact:
    """Open what a launch file names.

    Raises:
        DeviceError: It is not there, or can't be had.
    """
    if settings.file:
        return FileContact(Path(settings.file))
    return GpioLine(find(settings.chip, settings.line), settings.flags)


class StopButton:
    """Follows a stop input."""

    def __init__(
        self,
        settings: StopInput,
        now_ns: int,
        open_it: Callable[[StopInput], Contact] = open_contact,
    ) -> None:
        """Open it; until it has been seen released for a while, it counts as pressed.

        Args:
            settings: Which, and how it is wired.
            now_ns: CLOCK_MONOTONIC.
            open_it: Opens it; another than the kernel's, for tests.

        Raises:
            DeviceError: It can't be opened: there is no guardian without the input it is to read.
        """
        self._settings = settings
        self._open = open_it
        self._contact: Contact | None = open_it(settings)
        self.openings = 1
        """How often it was opened: it has another descriptor since then."""
        self.text = self._contact.text
        """What is read, in words."""
        self._trouble = ""
        self._is_pressed = True
        self._heard_ns = self._retry_ns = now_ns
        self.presses = 0
        """How often it was pressed, or lost."""

    def fileno(self) -> int | None:
        """Return what becomes readable when it changes; None where it is only looked at."""
        return None if self._contact is None else self._contact.fileno()

    def look(self, now_ns: int) -> Trip | None:
        """Read it.

        Args:
            now_ns: CLOCK_MONOTONIC.

        Returns:
            A stop when it is newly pressed, cut or lost; None when nothing is new.
        """
        was_pressed = self._is_pressed
        evidence = self._open_evidence(now_ns)
        if evidence:
            self._heard_ns = now_ns
        quiet_ns = now_ns - self._heard_ns
        self._is_pressed = bool(evidence) or quiet_ns < self._settings.release_s * 1e9
        if not self._is_pressed or was_pressed:
            return None
        self.presses += 1
        cause = "stop input lost" if self._trouble else "stop input pressed or cut"
        return Trip(cause, NAME, now_ns, evidence, self._settings.kill)

    def problem(self) -> str:
        """Say what stands against motion; empty when it is released."""
        if self._trouble:
            return f"{NAME}: {self._trouble}"
        return f"{NAME}: {self.text} is pressed, or its wire is cut" if self._is_pressed else ""

    def told(self) -> dict[str, object]:
        """Tell how it is, ready for JSON."""
        has_edges = self.fileno() is not None
        return {
            "text": self.text,
            "is_pressed": self._is_pressed,
            "problem": self.problem(),
            "seen": "at once" if has_edges else "at every look",
            "presses": self.presses,
        }

    def close(self) -> None:
        """Let go of it."""
        if self._contact is not None:
            self._contact.close()
            self._contact = None

    def _open_evidence(self, now_ns: int) -> str:
        """Say what shows that the contact is open, or was since the last look."""
        try:
            contact = self._opened(now_ns)
            rose_ns = contact.rose_ns()
            if contact.is_active():
                return f"{contact.text} is open{_ago(rose_ns, now_ns)}"
            return "" if rose_ns is None else f"{contact.text} was open{_ago(rose_ns, now_ns)}"
        except DeviceError as error:
            self._trouble = str(error)
            self.close()
            return self._trouble

    def _opened(self, now_ns: int) -> Contact:
        """Return the contact, looked for again now and then where it was lost.

        Raises:
            DeviceError: It is not there.
        """
        if self._contact is None:
            if now_ns < self._retry_ns:
                raise DeviceError(self._trouble)
            self._retry_ns = now_ns + RETRY_NS
            self._contact = self._open(self._settings)
            self.openings += 1
        self._trouble = ""
        return self._contact


def _ago(rose_ns: int | None, now_ns: int) -> str:
    return "" if rose_ns is None else f", opened {(now_ns - rose_ns) / _MS:.1f} ms before"
