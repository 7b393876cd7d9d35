"""What ends a node that runs again: it differs, its journal ends, or it reaches for a device."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from ipaddress import ip_address
from typing import Any
from weakref import WeakSet

from olympus.runtime.node.devices import HARMLESS, PLACES
from olympus.runtime.node.journal import Halted

OnReach = Callable[[str], None]
"""Told what the node reached for."""
COMPUTES = ("/dev/dri", "/dev/nvidia", "/dev/kfd", "/dev/fd")
"""Devices on which models run."""
_STARTS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec")
_SOCKETS = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")
_EVENTS = frozenset(("open", *_STARTS, *_SOCKETS))
_watching: ContextVar[OnReach | None] = ContextVar("watching", default=None)
_importing: ContextVar[bool] = ContextVar("importing", default=False)
"""Whether what runs may start programs: libraries look for others by them when imported."""
_guards: dict[int, OnReach] = {}
"""Who is told of other threads that have no context of who started them, by the thread of the
replay."""
_left: WeakSet[threading.Thread] = WeakSet()
"""Threads that began while a guard stood, and go on: they are refused for ever."""


class Diverged(Halted):
    """The node does otherwise than the original."""


class JournalEnded(Halted):
    """The original's journal ends within what the node does; nothing more can be said of it."""


class Reached(Halted):
    """The node reaches for a device or a socket, where the original's journal tells of none."""


@contextmanager
def watching(on_reach: OnReach, *, is_import: bool = False) -> Iterator[None]:
    """Refuse devices, sockets and programs to whatever runs within, and to the tasks it begins.

    Python itself tells of each file and socket that is opened by way of it, and of each program
    that is started (an audit hook); what a library opens by itself it does not.

    Args:
        on_reach: Told of what was refused, in the thread that reached for it.
        is_import: A module is imported: programs may be started.
    """
    _install()
    token, before = _watching.set(on_reach), _importing.set(is_import)
    try:
        yield
    finally:
        _watching.reset(token)
        _importing.reset(before)


@contextmanager
def guarding(on_reach: OnReach) -> Iterator[None]:
    """Refuse them for this time to all threads but this one, whoever started them."""
    _install()
    before = set(threading.enumerate())
    _guards[threading.get_ident()] = on_reach
    try:
        yield
    finally:
        _left.update(set(threading.enumerate()) - before)
        del _guards[threading.get_ident()]


@cache
def _install() -> None:
    sys.addaudithook(_look)  # stays for as long as the process, and asks nothing outside of a watch
    told = threading.excepthook

    def tell(end: threading.ExceptHookArgs) -> None:
        if not issubclass(end.exc_type, Halted):
            told(end)

    threading.excepthook = tell


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    if (on_reach := _watching.get() or _guard()) is None:
        return
    if event in _STARTS:
        what = None if _importing.get() else _program(event, arguments)
    else:
        what = _device(arguments[0]) if event == "open" else _way_out(event, arguments[1])
    if what is not None:
        on_reach(what)
        raise Reached


def _guard() -> OnReach | None:
    """Return who is told of what this thread does; None where it may do anything."""
    if not (_guards or _left) or threading.get_ident() in _guards:
        return None
    if threading.current_thread() in _left:
        return _nobody
    return next(iter(_guards.values()), None)


def _nobody(_: str) -> None:
    """The replay of which this thread was left over is told already, or over."""


def _program(event: str, arguments: tuple[Any, ...]) -> str:
    """Return what is started; of a shell, what it is given."""
    name = arguments[0]
    if event == "subprocess.Popen" and list(arguments[1][:2]) == ["/bin/sh", "-c"]:
        name = arguments[1][2]
    return f"the program {os.fsdecode(name)}"


def _device(path: object) -> str | None:
    if not isinstance(path, str | bytes):
        return None  # a file that is open already
    name = os.fsdecode(path)
    if name.startswith(("/dev/std", "/dev/fd/")):
        return None  # likewise
    real = os.path.realpath(name)
    is_device = real.startswith(PLACES) and not real.startswith((*HARMLESS, *COMPUTES))
    return real if is_device else None


def _way_out(event: str, address: object) -> str | None:
    """Return what is reached for by a socket; None at a port that nobody outside can know.

    Libraries find out so, while they are imported, whether there is IPv6.
    """
    if event == "socket.bind" and isinstance(address, tuple) and address[1:2] == (0,):
        try:
            is_ours = ip_address(address[0]).is_loopback
        except ValueError:  # a name
            is_ours = address[0] == "localhost"
        if is_ours:
            return None
    return f"{event} {address!r}"


def unless_halted(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what went wrong in the loop, but not the end of a task that a node kept to itself."""
    if not isinstance(context.get("exception"), Halted):
        loop.default_exception_handler(context)
