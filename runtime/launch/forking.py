"""The launcher's side of the nursery: hosts are ordered there, and started anew where it fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.adopting import Adopted, adoption, can_adopt
from olympus.runtime.launch.crew import Crew
from olympus.runtime.launch.nursery import MODULE, ROOM, Order
from olympus.runtime.launch.plan import LaunchPlan
from olympus.runtime.launch.planted import take
from olympus.runtime.launch.process import Command, Fds
from olympus.runtime.launch.report import Report
from olympus.runtime.launch.schema import Host, Respawn
from olympus.runtime.launch.supervisor import Recipe

NURSERY = "nursery"
PATIENCE_S = 2.0
"""How long an order may take; a nursery that takes longer is ended."""
READY_S = 30.0
"""How long a launch waits for its nursery before it goes on without."""
_WORTH_IT = 2
_BACK_SOON = Respawn(policy="always", delay_s=0.1, max_delay_s=5.0, max_restarts=10)
_LONGEST = 4096


def nursery_for(plan: LaunchPlan, crew: Crew, report: Report) -> Orders:
    """Return what forks the processes of a launch.

    Args:
        plan: One host alone has nobody to share with later on.
        crew: Keeps a nursery running.
        report: Tells the person when it is of no use.
    """
    forked = [name for name, host in plan.hosts.items() if host.settings.forked]
    return Nursery(crew, report) if len(forked) >= _WORTH_IT and can_adopt() else Passing()


class Orders:
    """Orders processes from a nursery; from none, as it is here."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._turn = asyncio.Lock()
        self._channel: socket.socket | None = None

    async def start(self) -> None:
        """Start a nursery and wait until it is ready; a launch goes on without one that fails."""

    async def settle(self) -> None:
        """End what was only there for the start."""

    async def fork(
        self, words: Sequence[str], fds: Fds, output: int, *, stdin: socket.socket | None = None
    ) -> Adopted | None:
        """Order a host, or another process of ours that imports what a host does.

        Args:
            words: The command line it would be executed with, `python -m MODULE ...`; it shows it.
            fds: Descriptors it inherits.
            output: Where its stdout and stderr go.
            stdin: Its standard input; None for nothing.

        Returns:
            It, waiting to be let go; None when there is no nursery to ask, or it failed.
        """
        order = Order(list(words), fds.status, fds.lifeline)
        descriptors = [output, fds.status, fds.lifeline, *([stdin.fileno()] if stdin else [])]
        async with self._turn:
            if self._channel is None or not self.is_ready():
                return None
            try:
                with adoption():
                    async with asyncio.timeout(PATIENCE_S):
                        return await self._ordered(self._channel, order, descriptors)
            except TimeoutError:
                self.give_up(f"it did not answer for {PATIENCE_S:g} s")
            except (OSError, LaunchError, ValueError) as error:
                self.give_up(str(error))
        return None

    def is_ready(self) -> bool:
        """Tell whether the nursery takes orders now."""
        return True

    def give_up(self, _why: str) -> None:
        """Ask this nursery no more."""
        self.close()

    def open(self) -> socket.socket:
        """Make a new channel; return the nursery's end."""
        self.close()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        return theirs

    def close(self) -> None:
        """Hang up."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def _ordered(
        self, channel: socket.socket, order: Order, descriptors: Sequence[int]
    ) -> Adopted:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                ours.setblocking(False)
                sent = [*descriptors, theirs.fileno()]
                socket.send_fds(channel, [order.encoded()], sent)
            said = await asyncio.get_running_loop().sock_recv(ours, _LONGEST)
            answer = json.loads(said) if said else {"problem": "it ended"}
            if "pid" not in answer:
                raise LaunchError(str(answer["problem"]))
            return Adopted(int(answer["pid"]), ours)
        except BaseException:  # cancelled, too: whoever was forked ends when this is closed
            ours.close()
            raise


class Nursery(Orders):
    """The nursery of a launch, there as long as the launch is."""

    def __init__(self, crew: Crew, report: Report) -> None:
        """Start nothing yet.

        Args:
            crew: Keeps it running.
            report: Tells the person when it is of no use.
        """
        super().__init__()
        self._crew, self._report = crew, report

    async def start(self) -> None:
        """Start it and wait until it is ready; a launch goes on without one that fails."""
        settings = Host(respawn=_BACK_SOON, ready_timeout_s=READY_S)
        recipe = Recipe(
            name=NURSERY,
            kind="nursery",
            command=lambda _fds, _restarts: self._command(),
            settings=settings,
        )
        try:
            await self._crew.start(recipe)
        except LaunchError as error:
            self.give_up(str(error))

    def is_ready(self) -> bool:
        """Tell whether it takes orders now."""
        return self._crew.is_ready(NURSERY)

    def give_up(self, why: str) -> None:
        """Say once why hosts are started anew, and have it replaced."""
        self.close()
        self._report.say(
            f"{NURSERY}: {why}; hosts are started as new interpreters until there is another",
            "warning",
        )
        self._crew.replace(NURSERY)

    def _command(self) -> Command:
        theirs = self.open()
        words = [sys.executable, "-m", MODULE, str(os.getpid()), ROOM]
        planted = take()

        async def begin(output: int) -> Adopted | None:
            with contextlib.suppress(OSError):  # it has ended: another one is executed
                return planted.begin(output, theirs) if planted is not None else None
            return None

        return Command(words, stdin=theirs, fork=begin)


class Passing(Orders):
    """A nursery that was planted, for as long as a launch starts or is checked.

    It is no process of the launch: nobody is told of it, and none replaces it.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        super().__init__()
        self._process: Adopted | None = None

    async def start(self) -> None:
        """Begin to take orders, if there is one."""
        if (planted := take()) is None:
            return
        with self.open() as theirs, Path(os.devnull).open("wb") as nothing:
            try:
                self._process = planted.begin(nothing.fileno(), theirs)
            except OSError:
                self.close()
                return
        self._process.let_go()

    async def settle(self) -> None:
        """End it."""
        self.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
