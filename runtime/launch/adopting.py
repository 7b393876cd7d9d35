"""Processes that another one forked for us: they become our children, and we wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
from collections.abc import Iterator

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.nursery import GO

_PR_SET_CHILD_SUBREAPER = 36
_log = logging.getLogger(__name__)
_adopting = 0


def can_adopt() -> bool:
    """Tell whether this system lets us wait for processes by descriptor (Linux 5.3)."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


@contextlib.contextmanager
def adoption() -> Iterator[None]:
    """Become the parent of grandchildren whose parent ends meanwhile.

    Only for as long as somebody is forked: what hosts leave behind at other times goes to whoever
    reaps the orphans of this system, as it always did.

    Raises:
        LaunchError: The system refuses.
    """
    global _adopting
    _adopting += 1
    try:
        _reap_orphans(is_on=True)
        yield
    finally:
        _adopting -= 1
        if not _adopting:
            _reap_orphans(is_on=False)


def _reap_orphans(*, is_on: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, int(is_on), 0, 0, 0):
        why = os.strerror(ctypes.get_errno())
        raise LaunchError(f"the system does not let the launcher adopt processes: {why}")


class Adopted:
    """A child that was forked for us, as `asyncio.subprocess.Process` is one that we forked.

    It waits for `let_go` before it begins.
    """

    def __init__(self, pid: int, order: socket.socket) -> None:
        """Take it on.

        Args:
            pid: Its id.
            order: Where it waits for our word; closed with it.

        Raises:
            OSError: It is not our child.
        """
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        self.pid = pid
        self.returncode: int | None = None
        """How it ended: negative for a signal, None while it runs."""
        self._order = order
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._on_end)

    def let_go(self) -> None:
        """Have it begin."""
        with self._order, contextlib.suppress(OSError):  # it has ended: `wait` tells how
            self._order.send(GO)

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        await self._ended.wait()
        return self.returncode if self.returncode is not None else 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def _on_end(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            _log.warning("somebody else waited for process %d; how it ended is lost", self.pid)
            pid, status = self.pid, 255 << 8
        if not pid:
            return
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()
