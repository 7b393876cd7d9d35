"""The guardian: the separate process that decides whether actuators may move.

Start it as `python -S -m olympus.runtime.safety.guardian CONFIG.json` (`spawn.py` knows how). It
prints one line of JSON when it is ready. Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

from olympus.runtime.errors import ConfigError, OlympusError, SafetyError
from olympus.runtime.safety import realtime
from olympus.runtime.safety.backstop import load as load_backstop
from olympus.runtime.safety.feeders import Feeders, make_feeders
from olympus.runtime.safety.keeper import Keeper
from olympus.runtime.safety.lock import DirectoryLock
from olympus.runtime.safety.mailbox import Datagram, Mailbox
from olympus.runtime.safety.processes import has_terminal
from olympus.runtime.safety.protocol import (
    LARGEST,
    ConditionReport,
    Request,
    ResetRequest,
    SealedOrder,
    StatusRequest,
    StopRequest,
    mark_of,
    parse,
)
from olympus.runtime.safety.seal import SealReader, read_keys
from olympus.runtime.safety.service import ServiceManager
from olympus.runtime.safety.settings import Settings, load
from olympus.runtime.safety.shared import private_directory
from olympus.runtime.safety.state import Authority
from olympus.runtime.safety.stopinput import StopButton

CHECK: Final = "--check"
"""First argument of a guardian that only reads its configuration and loads its backstops."""

_MOST_PER_PERIOD: Final = 64
"""More datagrams wait for the next period, so that a flood can't take the processor."""

_LEAST_PER_PERIOD: Final = 4
"""So many are answered even when the next look is due already; the others wait for it."""

_SOCKET_LOOK_NS: Final = 500_000_000
"""So often it is looked whether the socket's name still leads here."""


class Guardian:
    """Serves one safety directory until it is told to end."""

    def __init__(self, settings: Settings) -> None:
        """Take the directory, boot stopped, and open the socket.

        Args:
            settings: The configuration.

        Raises:
            SafetyError: The directory can't be used, or another guardian has it.
            DeviceError: The stop input can't be opened.
            ConfigError: A backstop can't be loaded or refuses its options.
            ConfigError: The file of keys can't be used.
        """
        self._settings = settings
        keys = read_keys(settings.keys_file) if settings.keys_file else {}
        self._lock = DirectoryLock(private_directory(settings.dir))
        self._button = _button(settings)
        self.keeper = Keeper(settings, backstops=_feeders(settings), button=self._button)
        """The decisions."""
        # Not poll: that refuses to wait once the process may have no descriptors.
        self._poll = select.epoll()
        self._heard: dict[int, Callable[[], None]] = {}
        self._openings = 0
        try:
            self._mailbox = Mailbox(settings.dir)
        except SafetyError:
            self.keeper.close()
            self._poll.close()
            self._lock.close()
            raise
        self._hear_mailbox()
        self._former: Mailbox | None = None
        self._socket_due_ns, self._is_unbound = 0, False
        self._watch_button()
        self._seals = SealReader(settings.dir, keys, self.keeper.counters)
        self._manager = ServiceManager()
        self._realtime: Mapping[str, str] = {}
        self._parent = settings.parent_pid or os.getppid()
        self._ending = ""

    def prepare(self) -> None:
        """Ask the system for real-time priority and locked memory; keep what it said."""
        self._realtime = realtime.prepare(self._settings)
        if self._settings.die_with_parent:
            realtime.end_with_parent()

    def end(self, why: str) -> None:
        """Leave the loop within one period; safe in a signal handler."""
        self._ending = why

    def serve(self) -> None:
        """Answer requests and look at everything once per period, until told to end."""
        period_ns = self._settings.period_ms * 1_000_000
        due_ns = time.monotonic_ns()
        while not self._ending:
            self._answer_until(due_ns)
            self.keeper.tick()
            self._watch_button()
            self._watch_lock()
            self._watch_socket(time.monotonic_ns())
            self._manager.feed(time.monotonic_ns())
            self._watch_parent()
            now_ns = time.monotonic_ns()
            if now_ns - due_ns > period_ns:
                self.keeper.counters["late_ticks"] += 1
            due_ns = max(due_ns + period_ns, now_ns)

    def close(self) -> None:
        """Stop, take the lease back first, then let go of everything."""
        self.keeper.stop(self._ending or "guardian closed", "guardian")
        self.keeper.close()
        self._seals.close()
        self._forget_former()
        self._mailbox.close()
        self._poll.close()
        self._manager.close()
        self._lock.close()

    def ready(self) -> str:
        """The line that says it is ready, as JSON."""
        return json.dumps(
            {
                "ready": True,
                "pid": os.getpid(),
                "dir": str(self._settings.dir),
                "state": self.keeper.state.mode,
                "realtime": dict(self._realtime),
            }
        )

    def _answer_until(self, due_ns: int) -> None:
        left = _MOST_PER_PERIOD
        while not self._ending:
            wait_s = (due_ns - time.monotonic_ns()) / 1e9
            is_over = wait_s <= 0 and left <= _MOST_PER_PERIOD - _LEAST_PER_PERIOD
            ready = self._poll.poll(max(0.0, wait_s)) if left > 0 and not is_over else ()
            for descriptor, _ in ready:
                left -= 1
                self._heard[descriptor]()
            if not ready and wait_s <= 0:
                return
            if left <= 0:
                time.sleep(max(0.0, wait_s))

    def _hear(self, descriptor: int, answer: Callable[[], None]) -> None:
        self._heard[descriptor] = answer
        self._poll.register(descriptor, select.EPOLLIN)

    def _watch_button(self) -> None:
        """Hear the stop input's changes at once; one that is back has another descriptor."""
        if self._button is None or self._button.openings == self._openings:
            return
        self._openings = self._button.openings
        descriptor = self._button.fileno()
        if descriptor is not None:
            self._hear(descriptor, self.keeper.read_button)

    def _hear_mailbox(self) -> None:
        self._hear(self._mailbox.fileno(), partial(self._answer_next, self._mailbox))

    def _answer_next(self, mailbox: Mailbox) -> None:
        datagram = mailbox.receive()
        if datagram is not None:
            mailbox.answer(datagram.sender, self._reply(datagram))

    def _reply(self, datagram: Datagram) -> Mapping[str, object]:
        try:
            if datagram.is_oversized:
                raise SafetyError(f"larger than {LARGEST} bytes; shorten it")
            request, mark = parse(datagram.raw)
        except SafetyError as error:
            self.keeper.counters["malformed"] += 1
            return {"ok": False, "id": mark_of(datagram.raw), "error": str(error)}
        return {"id": mark} | self._handle(request, datagram)

    def _handle(self, request: Request, sender: Datagram) -> dict[str, object]:
        uid = sender.uid
        if isinstance(request, StopRequest):
            return self._stop(request, f"asked by user {uid}, process {sender.pid}")
        if isinstance(request, SealedOrder):
            return self._open(request)
        if isinstance(request, StatusRequest):
            counters = {"unanswered": self._mailbox.unanswered, "pid": os.getpid()}
            return {"ok": True, "realtime": dict(self._realtime)} | counters | self.keeper.status()
        if uid not in (0, os.getuid()):
            self.keeper.counters["refused_senders"] += 1
            return {"ok": False, "error": f"user {uid} may stop, but nothing else"}
        refusal = self._ask(request, sender.pid)
        return {"ok": not refusal, "error": refusal, "epoch": self.keeper.state.epoch}

    def _stop(self, request: StopRequest, evidence: str) -> dict[str, object]:
        trip = self.keeper.stop(request.cause, request.by, evidence, is_kill=request.is_kill)
        latch, names = self.keeper.state.latch, list(self.keeper.gate_names())
        return {"ok": True, "at_ns": trip.at_ns, "latch": latch, "gates": names}

    def _open(self, order: SealedOrder) -> dict[str, object]:
        found = self._seals.open(order.text)
        if isinstance(found, str):
            return {"ok": False, "error": found}
        request = StopRequest(found.cause, found.by, found.is_kill)
        answer = self._stop(request, f"sealed with key {found.key}")
        self._seals.remember()
        return answer

    def _ask(self, request: ResetRequest | ConditionReport, pid: int | None) -> str:
        if isinstance(request, ResetRequest):
            authority = Authority.CONSOLE if has_terminal(pid) else Authority.OPERATOR
            return self.keeper.reset(request.by, request.latch, authority)
        return self.keeper.report(request)

    def _watch_lock(self) -> bool:
        """Keep the directory: where the lock was deleted, a second guardian could permit motion."""
        try:
            is_kept = self._lock.keeps()
        except SafetyError:
            self.end(f"another guardian keeps {self._settings.dir}")
            return False
        self.keeper.counters["locks_remade"] = self._lock.remade
        return is_kept

    def _watch_socket(self, now_ns: int) -> None:
        """Keep its name: where it was deleted or taken, nobody could ask for anything."""
        if now_ns < self._socket_due_ns:
            return
        self._socket_due_ns = now_ns + _SOCKET_LOOK_NS
        self._forget_former()
        # The lock is looked at last: a name that another guardian took is its own.
        if self._mailbox.is_displaced() and self._watch_lock():
            self._bind_again()

    def _forget_former(self) -> None:
        if self._former is not None:
            self._poll.unregister(self._former.fileno())
            self._former.close()
            self._former = None

    def _bind_again(self) -> None:
        try:
            anew = Mailbox(self._settings.dir)
        except (OSError, SafetyError) as error:
            if not self._is_unbound:
                self.keeper.note("socket lost", why=str(error))
            self._is_unbound = True
            return
        # Whoever asked by the former one is answered by it until the next look.
        self._former, self._mailbox = self._mailbox, anew
        anew.unanswered = self._former.unanswered
        self._hear_mailbox()
        self._is_unbound = False
        self.keeper.counters["sockets_remade"] += 1
        self.keeper.note("socket remade")

    def _watch_parent(self) -> None:
        if self._settings.die_with_parent and os.getppid() != self._parent:
            self.end("the launcher is gone")


def main(arguments: Sequence[str]) -> int:
    """Run a guardian.

    Args:
        arguments: The path of its configuration; `--check` before it only reads it.

    Returns:
        Exit code: 0 after a proper end, else that of the error.
    """
    try:
        if arguments[:1] == [CHECK]:
            return _check(load(_only(arguments[1:])))
        guardian = Guardian(load(_only(arguments)))
    except OlympusError as error:
        sys.stderr.write(f"guardian: {error}\n")
        return error.exit_code

    def on_signal(number: int, _frame: FrameType | None) -> None:
        guardian.end(f"guardian ended by {signal.Signals(number).name}")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        guardian.prepare()
        _announce(guardian.ready())
        guardian.serve()
    finally:
        guardian.close()
    return 0


def _check(settings: Settings) -> int:
    """Load the backstops and use none."""
    _look_beside(settings)
    for spec in settings.backstops:
        load_backstop(spec)
    return 0


def _feeders(settings: Settings) -> Feeders:
    _look_beside(settings)
    return make_feeders(settings)


def _button(settings: Settings) -> StopButton | None:
    return StopButton(settings.estop, time.monotonic_ns()) if settings.estop is not None else None


def _look_beside(settings: Settings) -> None:
    if settings.beside is not None and str(settings.beside) not in sys.path:
        sys.path.append(str(settings.beside))


def _only(arguments: Sequence[str]) -> Path:
    if len(arguments) != 1:
        raise ConfigError("give one argument: the path of the guardian's configuration")
    return Path(arguments[0])


def _announce(line: str) -> None:
    try:
        os.write(1, f"{line}\n".encode())
    except OSError as error:  # the launcher may be gone; the guardian then notices by itself
        sys.stderr.write(f"guardian: nobody reads the ready line: {error}\n")


if __name__ == "__main__":  # pragma: no cover  (runs in a process of its own)
    sys.exit(main(sys.argv[1:]))
