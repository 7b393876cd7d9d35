"""Nodes that can be hurt from outside: each listens for a wound on a socket of its own.

Only the campaign's rig has them. A wound is one word and a number: `gil 1.0`; the answer is when it
took hold, so that a busy machine's delay until then is not taken for the stop's.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Header, Twist
from olympus.runtime.node import Node, NodeParams, output, timer

RATE_HZ = 50.0
SPEED_MPS = 0.25
_MIDDLE_PRIORITY = 30
_FEW = 32


Wounds = dict[str, Callable[[float], None]]
"""What can be suffered, for how many seconds, by name."""


def socket_name(session: str, node: str) -> str:
    """Return the abstract socket on which a node waits for its wound."""
    return f"\0olympus-campaign/{session}/{node}"


class Victim(Node):
    """Does nothing but wait for its wound."""

    class Params(NodeParams):
        """It has none."""

    params: Params
    is_replayed = False

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
        act = self._wounds()[word]

        def suffer() -> None:
            self._socket.sendto(b"%d" % time.monotonic_ns(), sender)
            act(seconds)

        if word in _IN_THREAD:
            suffer()
        else:
            self._loop.call_soon_threadsafe(suffer)

    def _wounds(self) -> Wounds:
        """Return what it can suffer, by name."""
        return _IN_LOOP | _IN_THREAD | {"loop_ended": lambda _: self._loop.stop()}


class Commander(Victim):
    """Asks for the same velocity, at a steady rate, whatever happens; can be made to err."""

    cmd_vel = output("cmd_vel", Twist)
    _kind, _until_ns, _old_ns = "good", 0, 0

    @timer(1 / RATE_HZ)
    def on_tick(self) -> None:
        """Command, or err: send no numbers, an old stamp, one to come, or nothing."""
        now_ns = self.clock.now_ns()
        kind = self._kind if now_ns < self._until_ns else "good"
        stamp_ns = {"replay": self._old_ns, "future": now_ns + 10**9}.get(kind, now_ns)
        speed_mps = math.nan if kind == "nan" else SPEED_MPS
        header = Header(stamp=stamp_ns)
        if kind != "mute":
            self.cmd_vel.publish(Twist(header=header, linear_mps=speed_mps, angular_radps=0.0))

    def _wounds(self) -> Wounds:
        return super()._wounds() | {
            kind: partial(self._err, kind) for kind in ("good", "nan", "replay", "future", "mute")
        }

    def _err(self, kind: str, seconds: float) -> None:
        self._old_ns = self.clock.now_ns() - 10**9
        self._kind, self._until_ns = kind, self.clock.now_ns() + round(seconds * 1e9)


class Flooder(Victim):
    """Can flood the topic of the commands, with old ones or good ones."""

    cmd_vel = output("cmd_vel", Twist)

    def _wounds(self) -> Wounds:
        return super()._wounds() | {
            "flood_old": partial(self._flood, 10**9),
            "flood_good": partial(self._flood, 0),
        }

    def _flood(self, age_ns: int, seconds: float) -> None:
        self._task = self._loop.create_task(self._flood_for(age_ns, seconds))

    async def _flood_for(self, age_ns: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            header = Header(stamp=self.clock.now_ns() - age_ns)
            self.cmd_vel.publish(Twist(header=header, linear_mps=SPEED_MPS, angular_radps=0.0))
            await asyncio.sleep(0)


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


def _hog_memory(seconds: float) -> None:
    hoard: list[bytearray] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        hoard.append(bytearray(b"\1") * (1 << 20))


def _exhaust_descriptors(seconds: float) -> None:
    held: list[int] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # So that they are gone at once, however many the system grants.
    few = max(int(one.name) for one in Path("/proc/self/fd").iterdir()) + _FEW
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], few), limits[1]))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            time.sleep(0.005)
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


_IN_THREAD: Wounds = {
    "gil": _hold_gil,
    "hog": _hog_memory,
    "descriptors": _exhaust_descriptors,
}
_IN_LOOP: Wounds = {
    "block": time.sleep,
    "deadlock": lambda _: _lock_twice(),
    "spin": _spin,
    "spin_rt": lambda s: _spin(s, _MIDDLE_PRIORITY),
    "memory": _exhaust_memory,
}
