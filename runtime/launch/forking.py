"""The launcher's side of the nursery: hosts are ordered there, and started anew where it fails."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Sequence

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.adopting import Adopted, adoption, can_adopt
from olympus.runtime.launch.crew import Crew
from olympus.runtime.launch.nursery import MODULE, ROOM, Order
from olympus.runtime.launch.plan import LaunchPlan
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


def nursery_for(plan: LaunchPlan, crew: Crew, report: Report) -> Nursery | None:
    """Return what will fork hosts; None where fewer than two would share anything."""
    forked = [name for name, host in plan.hosts.items() if host.settings.forked]
    return Nursery(crew, report) if len(forked) >= _WORTH_IT and can_adopt() else None


class Nursery:
    """Orders hosts from the nursery of a launch."""

    def __init__(self, crew: Crew, report: Report) -> None:
        """Start nothing yet.

        Args:
            crew: Keeps it running.
            report: Tells the person when it is of no use.
        """
        self._crew, self._report = crew, report
        self._turn = asyncio.Lock()
        self._channel: socket.socket | None = None

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
            self._give_up(str(error))

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
            if self._channel is None or not self._crew.is_ready(NURSERY):
                return None
            try:
                with adoption():
                    async with asyncio.timeout(PATIENCE_S):
                        return await self._ordered(self._channel, order, descriptors)
            except TimeoutError:
                self._give_up(f"it did not answer for {PATIENCE_S:g} s")
            except (OSError, LaunchError, ValueError) as error:
                self._give_up(str(error))
        return None

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

    def _give_up(self, why: str) -> None:
        """Say once why hosts are started anew, and have the nursery replaced."""
        self.close()
        self._report.say(
            f"{NURSERY}: {why}; hosts are started as new interpreters until there is another",
            "warning",
        )
        self._crew.replace(NURSERY)

    def _command(self) -> Command:
        self.close()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        words = [sys.executable, "-m", MODULE, str(os.getpid()), ROOM]
        return Command(words, stdin=theirs)
