"""One process of the launch over its whole life: started, ready, ended, started again."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.hostlog import HostLog
from olympus.runtime.launch.process import (
    Child,
    Command,
    Ears,
    Fds,
    Grace,
    start_child,
)
from olympus.runtime.launch.respawn import Backoff
from olympus.runtime.launch.schema import Host
from olympus.runtime.node.spec import CANT_RUN

_TOLD_LINES = 6


class Phase(StrEnum):
    """Where a process is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one process is started and treated."""

    name: str
    """Unique in the launch."""
    kind: Literal["guardian", "broker", "nursery", "host"]
    """What it is."""
    command: Callable[[Fds, int], Command]
    """What to execute, for its descriptors and how often it was restarted."""
    settings: Host = field(default_factory=Host)
    """Affinity, priority, respawn, time to get ready."""
    nodes: tuple[str, ...] = ()
    """Ids of the nodes in it."""


@dataclass(slots=True)
class Life:
    """What is known of a process now; written by its supervisor, read by everybody."""

    phase: Phase = Phase.WAITING
    """Where it is."""
    pid: int | None = None
    """Process id while it runs."""
    restarts: int = 0
    """How often it was started again."""
    ready_s: float | None = None
    """How long its last start took."""
    last_exit: str = ""
    """How it ended the last time: `exit 1`, `SIGKILL`."""
    nodes: dict[str, str] = field(default_factory=dict)
    """Lifecycle state of each node."""


class Witness:
    """Is told what happens to processes; the default looks away."""

    def changed(self, recipe: Recipe, life: Life) -> None:
        """Take note of a new phase, pid or node state."""

    def became_ready(self, recipe: Recipe, life: Life) -> None:
        """Take note that it is ready, for the first time or again."""

    def warned(self, recipe: Recipe, text: str) -> None:
        """Take note of something that is not as it should be."""

    def refused(self, recipe: Recipe, text: str) -> None:
        """Take note that the system refused a host what it asked for, at its first start."""

    def ended(self, recipe: Recipe, text: str, is_final: bool) -> None:
        """Take note that it ended though nobody asked it to."""


class Supervisor:
    """Keeps one process running as its recipe says."""

    def __init__(self, recipe: Recipe, log: HostLog, witness: Witness) -> None:
        """Start nothing yet."""
        self.recipe = recipe
        self.life = Life(nodes=dict.fromkeys(recipe.nodes, "unconfigured"))
        self.announced: dict[str, JsonValue] = {}
        """What its ready line said: a broker's port and url."""
        self._log = log
        self._witness = witness
        self._backoff = Backoff(recipe.settings.respawn)
        self._child: Child | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._problem = ""

    async def start(self) -> None:
        """Start the process for the first time and wait until it is ready; then watch over it.

        Raises:
            LaunchError: It ended, or was not ready in time; tells its last lines and the way out.
        """
        begun = time.monotonic()
        await self._spawn()
        problem = await self._became_ready(begun)
        if problem is not None:
            await self._end_child(Grace(0.3, 0.3))
            self._enter(Phase.FAILED)
            raise LaunchError(self._told(problem))
        self._task = asyncio.create_task(self._watch_over(), name=f"watch {self.recipe.name}")

    async def stop(self, grace: Grace) -> None:
        """End the process, and let it rest.

        Args:
            grace: How long to wait between the signals.
        """
        self._stopping.set()
        await self._end_child(grace)
        if self._task is not None:
            await self._task
        if self.life.phase is not Phase.FAILED:
            self._enter(Phase.STOPPED)
        await self._close_log()

    def retire(self) -> None:
        """Let it run, but don't start it again."""
        self._stopping.set()

    def replace(self) -> None:
        """End the process at once; another one follows as its recipe says."""
        if self._child is not None and self._child.exit_code is None:
            self._child.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._stopping.set()
        if self._child is not None:
            self._child.kill()

    async def _spawn(self) -> None:
        self._ready.clear()
        self._problem = ""
        self.life.nodes = dict.fromkeys(self.recipe.nodes, "unconfigured")
        restarts = self.life.restarts
        self._child, refused = await start_child(
            lambda fds: self.recipe.command(fds, restarts),
            self.recipe.settings,
            Ears(on_output=self._heard, on_status=self._heard_status),
        )
        self.life.pid = self._child.pid
        if self._stopping.is_set():  # it was told to stop in the meantime
            self._child.kill()
        self._enter(Phase.STARTING)
        self._tell_refused(refused)

    def _tell_refused(self, sentences: list[str]) -> None:
        for sentence in sentences if self.life.restarts == 0 else ():
            self._witness.warned(self.recipe, sentence)

    async def _became_ready(self, begun: float) -> str | None:
        """Wait for readiness; return what went wrong, or None."""
        child = self._require_child()
        limit_s = self.recipe.settings.ready_timeout_s
        ready = asyncio.create_task(self._ready.wait())
        ended = asyncio.create_task(child.wait())
        done, _ = await asyncio.wait(
            {ready, ended}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if ended in done:
            return self._problem or f"ended while starting ({_exit_name(ended.result())})"
        ended.cancel()
        if ready not in done:
            waiting = [name for name, state in self.life.nodes.items() if state != "active"]
            who = f"; not active: {', '.join(waiting)}" if waiting else ""
            hint = "; what takes so long? 'ready_timeout_s' of the host lets it take longer"
            return self._problem or f"not ready after {limit_s:g} s{who}{hint}"
        if self._problem:
            return self._problem
        self.life.ready_s = time.monotonic() - begun
        self._enter(Phase.READY)
        self._witness.became_ready(self.recipe, self.life)
        return None

    async def _watch_over(self) -> None:
        while not self._stopping.is_set():
            code = await self._require_child().wait()
            self.life.pid = None
            self.life.last_exit = _exit_name(code)
            if self._stopping.is_set() or not await self._comes_back(code):
                return
            begun = time.monotonic()
            try:
                await self._spawn()
            except LaunchError as error:
                self._witness.warned(self.recipe, str(error))
                self.life.pid = None
                continue
            problem = await self._became_ready(begun)
            if problem is not None and not self._stopping.is_set():
                self._witness.warned(self.recipe, self._told(problem))
                await self._end_child(Grace(0.3, 0.3))

    async def _comes_back(self, code: int) -> bool:
        """Wait out the back-off; return whether there is another start."""
        delay_s = self._backoff.delay_s(code, time.monotonic())
        how = f"ended by itself ({_exit_name(code)})"
        if delay_s is None:
            is_failure = code != 0 or self.recipe.settings.respawn.policy == "always"
            self._enter(Phase.FAILED if is_failure else Phase.STOPPED)
            self._witness.ended(self.recipe, f"{how}; stays down: {self._backoff.reason()}", True)
            return False
        self.life.restarts = self._backoff.restarts
        self._enter(Phase.RESTARTING)
        text = f"{how}; restart {self.life.restarts} in {delay_s:.1f} s"
        self._witness.ended(self.recipe, text, False)
        try:
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        except TimeoutError:
            return True
        return False

    async def _end_child(self, grace: Grace) -> None:
        if self._child is not None and self._child.exit_code is None:
            is_starting = self.life.phase is Phase.STARTING
            await self._child.stop(
                Grace(0.0, grace.interrupt_s + grace.terminate_s) if is_starting else grace
            )
        self.life.pid = None

    async def _close_log(self) -> None:
        if self._log.is_closed:
            return
        await asyncio.to_thread(self._log.close)  # a disk may take its time: the loop goes on
        if self._log.lost:
            text = f"{self._log.lost} lines of its log are lost: the disk is full, or too slow"
            self._witness.warned(self.recipe, text)

    def _require_child(self) -> Child:
        if self._child is None:
            raise LaunchError(f"{self.recipe.name} was never started; call start() first")
        return self._child

    def _heard(self, line: str) -> None:
        if self.recipe.kind != "host" and _event(line).get("ready") is True:
            self.announced.update(_event(line))
            self._ready.set()
            return
        self._log.write(line)

    def _heard_status(self, line: str) -> None:
        event = _event(line)
        match event.get("event"):
            case "ready":
                self._ready.set()
            case "refused":
                if self.life.restarts == 0:
                    self._witness.refused(self.recipe, str(event.get("text")))
            case "state":
                self.life.nodes[str(event.get("node"))] = str(event.get("state"))
                if self.life.phase not in (Phase.WAITING, Phase.RESTARTING):  # told with the start
                    self._witness.changed(self.recipe, self.life)
            case "failed":
                self._problem = str(event.get("text", ""))
                self._ready.set()

    def _enter(self, phase: Phase) -> None:
        self.life.phase = phase
        self._witness.changed(self.recipe, self.life)

    def _told(self, problem: str) -> str:
        said = frozenset(problem.splitlines())
        last = [one.text for one in list(self._log.tail)[-_TOLD_LINES:]]
        lines = [f"  | {text}" for text in last if not _repeats(text, said)]
        return "\n".join([f"{self.recipe.kind} {self.recipe.name!r}: {problem}", *lines])


def _repeats(text: str, said: frozenset[str]) -> bool:
    """Tell whether a line of a host's log is what it told the launcher, too."""
    return any(text == one or text.endswith(f"{CANT_RUN}{one}") for one in said)


def _event(line: str) -> dict[str, JsonValue]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _exit_name(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
