"""One child process: started, tied to us, heard, and stopped for certain."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.adopting import Adopted
from olympus.runtime.launch.pipes import LinePipe, open_pipe
from olympus.runtime.launch.schema import Host
from olympus.runtime.safety.realtime import favour_session, forgive_spinning

_DRAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Fds:
    """File descriptors that a child inherits, by the same numbers."""

    status: int
    """Writing end: it tells its state here, JSON lines."""
    lifeline: int
    """Reading end: it ends when this does; see `olympus.runtime.lifeline`."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute."""

    words: Sequence[str]
    """The program and its arguments."""
    environment: Mapping[str, str] | None = None
    """All of its environment; None for ours."""
    stdin: socket.socket | None = None
    """Its standard input, closed here once it has it; None for nothing."""
    fork: Callable[[int], Awaitable[Adopted | None]] | None = None
    """Has it forked, its output going to a descriptor; where that comes to None it is executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Who is told what a child says."""

    on_output: Callable[[str], None]
    """A line of its stdout or stderr."""
    on_status: Callable[[str], None]
    """A line on its status pipe."""


@dataclass(frozen=True, slots=True)
class Grace:
    """How long each stop signal may take, in seconds."""

    interrupt_s: float = 2.2
    """From SIGINT to SIGTERM; 0 for no SIGINT, which a starting interpreter tells at length."""
    terminate_s: float = 0.8
    """From SIGTERM to SIGKILL."""


class Process(Protocol):
    """What we know of a process, whoever forked it."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def returncode(self) -> int | None:
        """How it ended: negative for a signal, None while it runs."""

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""

    def send_signal(self, signal: int, /) -> None:
        """Send it a signal."""


class Child:
    """A running child process; `start_child` makes one."""

    def __init__(self, process: Process, pipes: Sequence[LinePipe], lifeline: int) -> None:
        """Use `start_child` instead."""
        self._process = process
        self._pipes = pipes
        self._lifeline = lifeline

    @property
    def pid(self) -> int:
        """Process id, and id of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended: negative for a signal, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and its last words.

        Returns:
            The exit code; negative for a signal.
        """
        code = await self._process.wait()
        self.kill()  # what it may have left behind in its group
        for pipe in self._pipes:
            await pipe.drain(_DRAIN_S)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process; nothing when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL to the process and everything in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, grace: Grace) -> None:
        """Ask it to end, then insist, then end it.

        Args:
            grace: How long to wait between the signals; a signal without time is left out.
        """
        for number, wait_s in (
            (signal.SIGINT, grace.interrupt_s),
            (signal.SIGTERM, grace.terminate_s),
        ):
            if wait_s <= 0:
                continue
            self.send(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), wait_s)
                return
        self.kill()
        await self._process.wait()


async def start_child(
    command: Callable[[Fds], Command], settings: Host, ears: Ears
) -> tuple[Child, list[str]]:
    """Start a process in a group of its own.

    Args:
        command: Gives what to execute, for the file descriptors it will have.
        settings: Affinity and niceness.
        ears: Who hears it.

    Returns:
        The child, and what the system refused, a sentence each.

    Raises:
        LaunchError: It can't be started.
    """
    output = await open_pipe(ears.on_output)
    status = await open_pipe(ears.on_status)
    lifeline_theirs, lifeline_ours = os.pipe()
    try:
        fds = Fds(status.child_fd, lifeline_theirs)
        execute = command(fds)
        with execute.stdin or contextlib.nullcontext():
            forked = await execute.fork(output.child_fd) if execute.fork is not None else None
            process = forked or await _executed(execute, output.child_fd, fds)
    except OSError as error:
        os.close(lifeline_ours)
        await output.drain(0)
        await status.drain(0)
        raise LaunchError(f"can't start a process: {error}; {_way_out(error)}") from error
    finally:
        os.close(lifeline_theirs)
    output.handed_over()
    status.handed_over()
    child = Child(process, (output, status), lifeline_ours)
    refused = apply_settings(process.pid, settings)
    if forked is not None:
        forked.let_go()
    return child, refused


async def _executed(command: Command, output: int, fds: Fds) -> asyncio.subprocess.Process:
    """Execute a program; the loop waits until it is.

    A thread would wait in its place, but the kernel ends a process that is tied to its parent
    (`olympus.runtime.lifeline`) with the thread that started it: the guardian, too.
    """
    return await asyncio.create_subprocess_exec(
        *command.words,
        env=command.environment,
        stdin=command.stdin.fileno() if command.stdin else asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(fds.status, fds.lifeline),
        start_new_session=True,
    )


def _way_out(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # its settings are a file
        return "make room in the run folder, or set XDG_RUNTIME_DIR to another place"
    return "free memory or processes"


def apply_settings(pid: int, settings: Host) -> list[str]:
    """Give a process its processors and niceness.

    Args:
        pid: The process, just started, so that threads it makes inherit them.
        settings: What to apply.

    Returns:
        A sentence for each thing the system refused.
    """
    refused: list[str] = []
    with contextlib.suppress(OSError):  # it has ended already
        forgive_spinning(pid)  # what limits our own loop is not for it
    if settings.cpu_affinity is not None:
        try:
            os.sched_setaffinity(pid, settings.cpu_affinity)
        except OSError as error:
            have = ", ".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
            refused.append(
                f"cpu_affinity {settings.cpu_affinity}: {error.strerror}; processors here: {have}"
            )
    for name, resource in settings.resources.items():
        if lacking := sorted(set(resource.cores) - os.sched_getaffinity(0)):
            have = ", ".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
            refused.append(
                f"resource {name}: cores {lacking} are not here, so what `olympus check` says of "
                f"its jobs does not hold; processors here: {have}"
            )
    if settings.nice:
        try:
            os.setpriority(os.PRIO_PROCESS, pid, settings.nice)
            favour_session(Path(f"/proc/{pid}/autogroup"), settings.nice)
        except OSError as error:
            refused.append(f"nice {settings.nice}: {error.strerror}; needs CAP_SYS_NICE below 0")
    return refused
