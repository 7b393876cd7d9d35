"""The first nursery of a launch is forked from the launcher: what both need is imported once.

A process that is about to become a launcher calls `plant` before it does anything else, so that the
child finds itself as a new interpreter would after the imports of a host. It waits for its output
and its channel; the launcher takes it when it needs one, and what is not taken ends with the
launcher. A nursery that replaces this one is executed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.launch import nursery
from olympus.runtime.launch.adopting import Adopted, can_adopt
from olympus.runtime.launch.commandline import show, widen
from olympus.runtime.launch.signals import ignore_none
from olympus.runtime.lifeline import tie_to_parent

_WAITING, _ABOVE = 3, 4
"""Descriptors of the child: the one on which it waits, and the first that it closes."""
_OUTPUT = b"output"
_waiting: Planted | None = None


@dataclass(frozen=True, slots=True)
class Planted:
    """A child that waits to become a nursery."""

    pid: int
    """Its id."""
    order: socket.socket
    """Where it waits."""

    def begin(self, output: int, channel: socket.socket) -> Adopted:
        """Make a nursery of it, which begins when it is let go.

        Args:
            output: Where its stdout and stderr go.
            channel: On which it gets its orders.

        Raises:
            OSError: It has ended.
        """
        try:
            socket.send_fds(self.order, [_OUTPUT], [output, channel.fileno()])
            return Adopted(self.pid, self.order)
        except OSError:
            self.end()
            raise

    def end(self) -> None:
        """End it."""
        self.order.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def plant() -> None:
    """Import what a host needs and fork.

    Call it from the main thread. Nothing is forked where that can't be done well: a nursery is
    executed then.

    Raises:
        SystemExit: In the child and in each host, which end here.
    """
    global _waiting
    importlib.import_module(nursery.HOST_MODULE)
    nursery.end_pools()
    is_whole = None not in (sys.stdin, sys.stdout, sys.stderr)
    if not is_whole or not can_adopt() or nursery.threads_problem():
        return
    launcher = os.getpid()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            return
        if pid == 0:
            ours.detach()
            channel = _until_wanted(theirs.detach(), launcher)
            raise SystemExit(nursery.run(channel, launcher))
    _waiting = Planted(pid, ours)
    atexit.register(_end)


def take() -> Planted | None:
    """Return what was planted; None where nothing was, or somebody has it."""
    global _waiting
    taken, _waiting = _waiting, None
    return taken


def _end() -> None:
    if (left := take()) is not None:
        left.end()


def _until_wanted(waiting: int, launcher: int) -> socket.socket:
    """Be as if just executed, and wait to be wanted; return the channel of the orders."""
    os.setsid()
    ignore_none()
    tie_to_parent()
    if os.getppid() != launcher:
        os._exit(1)
    os.dup2(waiting, _WAITING, inheritable=False)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(_WAITING):
        os.dup2(nothing, number)
    os.closerange(_ABOVE, os.sysconf("SC_OPEN_MAX"))
    if not widen():
        os._exit(1)
    show([sys.executable, "-m", nursery.MODULE])  # it is no second launcher
    with socket.socket(fileno=_WAITING) as order:
        _, descriptors, _, _ = socket.recv_fds(order, len(_OUTPUT), 2, socket.MSG_CMSG_CLOEXEC)
        if not descriptors or order.recv(len(nursery.GO)) != nursery.GO:
            os._exit(0)
    output, channel = descriptors
    for source, number in ((channel, 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=False)  # it was the launcher's, maybe a terminal's
    if not sys.flags.safe_path:
        with contextlib.suppress(OSError):  # the folder is gone
            sys.path[0] = str(Path.cwd())
    return socket.socket(fileno=0)
