"""Nodes that can be hurt from outside: each listens for a wound on a socket of its own.

Only the campaign's rig has them. A wound is one word and a number: `gil 1.0`; the answer is when it
took hold, so that a busy machine's delay until then is not taken for the stop's.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Twist
from olympus.runtime.node import Node, NodeParams, output, timer

RATE_HZ = 50.0
SPEED_MPS = 0.25
_MIDDLE_PRIORITY = 30


def socket_name(session: str, node: str) -> str:
    """Return the abstract socket on which a node waits for its wound."""
    return f"\0olympus-campaign/{session}/{node}"


class Victim(Node):
    """Does nothing but wait for its wound."""

    class Params(NodeParams):
        """It has none."""

    params: Params

    async def on_activate(self) -> None:
        """Listen.

        Raises:
            ConfigError: There is no session.
        """
        if self.session is None:
            raise ConfigError(f"{self.name}: only within a session")
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(socket_name(self.session.name, self.name))
        threading.Thread(target=self._listen, name="wounds", daemon=True).start()

    async def on_deactivate(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                words, sender = self._socket.recvfrom(100)
                word, number = words.decode().split()
                self._suffer(word, float(number), sender)

    def _suffer(self, word: str, seconds: float, sender: str) -> None:
        wounds = _IN_LOOP | _IN_THREAD
        wounds["loop_ended"] = lambda _: self._loop.stop()

        def suffer() -> None:
            self._socket.sendto(b"%d" % time.monotonic_ns(), sender)
            wounds[word](seconds)

        if word in _IN_THREAD:
            suffer()
        else:
            self._loop.call_soon_threadsafe(suffer)


class Commander(Victim):
    """Asks for the same velocity, at a steady rate, whatever happens."""

    cmd_vel = output("cmd_vel", Twist)

    @timer(1 / RATE_HZ)
    def on_tick(self) -> None:
        """Command."""
        self.cmd_vel.publish(Twist(linear_mps=SPEED_MPS, angular_radps=0.0))


def _hold_gil(seconds: float) -> None:
    # PyDLL keeps the interpreter's lock while it calls, as a bad extension module does.
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def _lock_twice() -> None:
    lock = threading.Lock()
    with lock:
        lock.acquire()


def _spin(seconds: float, priority: int | None = None) -> None:
    was = os.sched_getscheduler(0), os.sched_getparam(0)
    if priority is not None:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    if priority is not None:
        os.sched_setscheduler(0, *was)


def _exhaust_memory(seconds: float) -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123  as little as possible is allocated here
        pages = int(file.read().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), limits[1]))
    hoard: list[bytes] = []
    size, until = 1 << 20, time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            hoard.append(b"\1" * size)
        except MemoryError:
            size = max(size // 2, 1 << 10)
            time.sleep(0.001)
    hoard.clear()
    resource.setrlimit(resource.RLIMIT_AS, limits)


def _exhaust_descriptors(seconds: float) -> None:
    held: list[int] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            time.sleep(0.005)
    for descriptor in held:
        os.close(descriptor)


_IN_THREAD: dict[str, Callable[[float], None]] = {
    "gil": _hold_gil,
    "descriptors": _exhaust_descriptors,
}
_IN_LOOP: dict[str, Callable[[float], None]] = {
    "block": time.sleep,
    "deadlock": lambda _: _lock_twice(),
    "spin": _spin,
    "spin_rt": lambda s: _spin(s, _MIDDLE_PRIORITY),
    "memory": _exhaust_memory,
}
