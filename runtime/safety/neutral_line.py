"""The neutral line: a second hand on a motor's serial port, for when its gate does not answer.

A motor controller that holds its last command goes on when the process that commands it is frozen
or dead. Whoever opens such a port says here which bytes mean "neutral"; the guardian keeps the port
open too, and writes them when a gate stays silent after a stop. Standard library only.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.acks import Ack, Flag
from olympus.runtime.safety.heartbeat import AHEAD_NS
from olympus.runtime.safety.shared import suffixes

PREFIX: Final = "neutral."
"""A gate called `drive` has its neutral line described in `neutral.drive`."""

SILENT_NS: Final = 45_000_000
"""A gate that has not ticked for so long after a stop is not waited for any more."""

BRAKED_NS: Final = 600_000_000
"""So long after a stop every brake has ended: a gate that ticks and drives on is spoken for too."""

AGAIN_NS: Final = 20_000_000
"""How soon the frame is written again; ten times slower after the first second."""

_EAGER: Final = 50
_LONGEST_FRAME: Final = 64
_LONGEST_TEXT: Final = 8192


class NeutralLine:
    """One port and the frame that means neutral; never blocks, never raises."""

    def __init__(self, device: Path, frame: bytes) -> None:
        """Open the port beside whoever has it open.

        Args:
            device: A serial port.
            frame: What to write, at most 64 bytes.

        Raises:
            SafetyError: It is no character device, can't be opened, or the frame is too long.
        """
        if not 0 < len(frame) <= _LONGEST_FRAME:
            raise SafetyError(f"a neutral frame of {len(frame)} bytes; 1 to {_LONGEST_FRAME} fit")
        self._frame = frame
        self.is_lost = False
        """Whether the port is gone: unplugged, though there may be a new one of its name."""
        try:
            flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            self._fd = os.open(device, flags)
        except OSError as error:
            raise SafetyError(f"neutral line {device}: {error.strerror}") from error
        if not stat.S_ISCHR(os.fstat(self._fd).st_mode):
            self.close()
            raise SafetyError(f"neutral line {device} is no serial port")

    def write(self) -> bool:
        """Write the frame; False when the port takes nothing now."""
        try:
            # A newline first: it ends whatever a frozen process left half written.
            return os.write(self._fd, b"\n" + self._frame) == len(self._frame) + 1
        except BlockingIOError:
            return False
        except OSError:
            self.is_lost = True
            return False

    def close(self) -> None:
        """Let go of the port."""
        os.close(self._fd)


def announce(directory: Path, gate: str, device: str, frame: bytes) -> None:
    """Tell the guardian how to bring the actuator behind a gate to neutral.

    Args:
        directory: The safety directory.
        gate: The gate's name.
        device: The serial port.
        frame: The bytes that mean neutral.

    Raises:
        SafetyError: It can't be written.
    """
    file, draft = directory / f"{PREFIX}{gate}", directory / f".{PREFIX}{gate}.tmp"
    try:
        draft.write_text(json.dumps({"device": device, "frame": frame.hex()}))
        draft.replace(file)
    except OSError as error:
        raise SafetyError(f"{file}: {error.strerror}") from error


def _is_sure(ack: Ack, since_ns: int) -> bool:
    """Whether a gate has stopped; one that was closed since is believed if it measured that."""
    is_believed = Flag.CLOSED not in ack.flags or ack.is_still is True
    return ack.has_stopped_since(since_ns) and is_believed


class NeutralLines:
    """The guardian's side: all lines that were announced, and when each was used."""

    def __init__(self, directory: Path) -> None:
        """Name the safety directory."""
        self._directory = directory
        self._lines: dict[str, NeutralLine] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._used: dict[str, tuple[int, int]] = {}
        self._unheard_ns: dict[str, int] = {}
        self.written = 0
        """Frames that a port took."""
        self.unlisted = 0
        """Looks in which the directory could not be read."""
        self.troubles: dict[str, str] = {}
        """Why an announced line is of no use, by gate."""

    def look(self) -> None:
        """Open lines that were announced, or announced anew, since the last look."""
        try:
            names = suffixes(self._directory, PREFIX)
        except OSError:  # no descriptor to spare: those that are open are of use all the same
            self.unlisted += 1
            return
        for name in names:
            path = self._directory / f"{PREFIX}{name}"
            try:
                about = path.stat()
            except OSError:
                continue  # gone again
            mark = (about.st_mtime_ns, about.st_ino)
            line = self._lines.get(name)
            is_lost = line is not None and line.is_lost
            if self._seen.get(name) != mark or name in self.troubles or is_lost:
                self._seen[name] = mark
                self._open(name, path)

    def tend(self, acks: Mapping[str, Ack], *, since_ns: int, now_ns: int) -> None:
        """Write neutral wherever a gate has not handed it on since a stop, and is silent or late.

        Args:
            acks: What the gates last did; one that is missing here has never been heard, and is
                waited for no longer than one that fell silent.
            since_ns: When the stop began.
            now_ns: CLOCK_MONOTONIC.
        """
        for name, line in self._lines.items():
            ack = acks.get(name)
            if ack is None:
                heard_ns = self._unheard_ns.setdefault(name, now_ns)
            else:
                heard_ns = ack.tick_ns
                self._unheard_ns.pop(name, None)
            is_sure = ack is not None and _is_sure(ack, since_ns)
            # A tick from the future is none, or it would count as heard until then.
            is_heard = -AHEAD_NS <= now_ns - heard_ns < SILENT_NS
            if is_sure or (is_heard and now_ns - since_ns < BRAKED_NS):
                self._used.pop(name, None)
                continue
            last_ns, count = self._used.get(name, (0, 0))
            if now_ns - last_ns >= (AGAIN_NS if count < _EAGER else 10 * AGAIN_NS):
                self._used[name] = (now_ns, count + 1)
                self.written += line.write()

    def close(self) -> None:
        """Let go of all ports."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _open(self, name: str, path: Path) -> None:
        old = self._lines.pop(name, None)
        if old is not None:
            old.close()
        try:
            told = json.loads(_text(path))
            self._lines[name] = NeutralLine(Path(told["device"]), bytes.fromhex(told["frame"]))
            self.troubles.pop(name, None)
        except (OSError, SafetyError, ValueError, TypeError, KeyError, RecursionError) as error:
            self.troubles[name] = str(error) or type(error).__name__


def _text(path: Path) -> str:
    """Read what was announced; neither a pipe nor a huge file holds the guardian up.

    Raises:
        OSError: It can't be read.
        UnicodeError: It is no text.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.pread(descriptor, _LONGEST_TEXT, 0).decode()
    finally:
        os.close(descriptor)
