"""All processes of a launch together: started in order, stopped in order, told about."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.launch.budgets import BudgetWatch
from olympus.runtime.launch.hostlog import HostLog, LogLine
from olympus.runtime.launch.ledger import Ledger
from olympus.runtime.launch.process import Grace
from olympus.runtime.launch.report import Report
from olympus.runtime.launch.supervisor import Life, Phase, Recipe, Supervisor, Witness

HOST_LOGGER = "runtime.node.host"
_LOOK_S = 1.0
_TURN_S = 1.0
_ENDED = (Phase.FAILED, Phase.STOPPED)


class Crew(Witness):
    """The processes of one launch."""

    def __init__(
        self, log_dir: Path, now_ns: Callable[[], int], ledger: Ledger, report: Report
    ) -> None:
        """Start nothing yet.

        Args:
            log_dir: Where each process gets its log file.
            now_ns: Robot time.
            ledger: Is told every change.
            report: Tells the person.
        """
        self._log_dir, self._now_ns = log_dir, now_ns
        self._ledger, self._report = ledger, report
        self._members: dict[str, Supervisor] = {}
        self._changed = asyncio.Event()
        self._refused: set[str] = set()
        self.is_verbose = False
        """Whether informative log lines are shown too."""

    async def start(self, recipe: Recipe, announced: dict[str, JsonValue] | None = None) -> None:
        """Start one process and wait until it is ready.

        Args:
            recipe: What to start.
            announced: Is given what its ready line said.

        Raises:
            LaunchError: It did not become ready.
        """
        log = HostLog(self._log_dir / f"{recipe.name}.jsonl", self._now_ns, self._logged)
        member = self._members[recipe.name] = Supervisor(recipe, log, self)
        await member.start()
        if announced is not None:
            announced.update(member.announced)

    async def start_in_order(
        self, recipes: Mapping[str, Recipe], needs: Mapping[str, Sequence[str]]
    ) -> None:
        """Start hosts, each as soon as all it needs is ready.

        Args:
            recipes: Hosts by name.
            needs: Hosts that each host needs.

        Raises:
            LaunchError: One did not become ready; those that wait for it are not started.
        """
        ready = {name: asyncio.Event() for name in recipes}

        async def start_one(name: str, recipe: Recipe) -> None:
            for need in needs[name]:
                await ready[need].wait()
            await self.start(recipe)
            ready[name].set()

        await all_or_first_error(*(start_one(*item) for item in recipes.items()))

    async def stop_hosts(self, grace: Grace, needs: Mapping[str, Sequence[str]]) -> None:
        """Stop the hosts, those that need others first; guardian and broker go on.

        Nobody waits longer than `_TURN_S` for its turn, and all are gone after the grace.

        Args:
            grace: How long to wait between the signals, counted from now for all of them.
            needs: Hosts that each host needs.
        """
        for member in self._members.values():
            member.retire()
        gone = {name: asyncio.Event() for name in needs}
        begun = time.monotonic()

        async def stop_one(name: str, member: Supervisor) -> None:
            users = [gone[user].wait() for user in needs if name in needs[user]]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*users), _TURN_S)
            waited_s = time.monotonic() - begun
            await member.stop(Grace(max(grace.interrupt_s - waited_s, 0.2), grace.terminate_s))
            gone[name].set()

        members = {name: self._members[name] for name in needs if name in self._members}
        for name in needs.keys() - members.keys():
            gone[name].set()  # it was never started
        await asyncio.gather(*(stop_one(*item) for item in members.items()))

    async def stop_all(self, grace: Grace) -> None:
        """Stop whatever still runs."""
        await asyncio.gather(*(member.stop(grace) for member in self._members.values()))

    def is_ready(self, name: str) -> bool:
        """Tell whether a process is there and ready."""
        member = self._members.get(name)
        return member is not None and member.life.phase is Phase.READY

    def replace(self, name: str) -> None:
        """End a process at once; its supervisor starts another one."""
        if name in self._members:
            self._members[name].replace()

    def kill(self) -> None:
        """End everything at once."""
        for member in self._members.values():
            member.kill()

    def given_up(self) -> list[str]:
        """Return the names of processes that failed for good; hosts do without a nursery."""
        return [
            name
            for name, m in self._members.items()
            if m.life.phase is Phase.FAILED and m.recipe.kind != "nursery"
        ]

    def restarts(self) -> dict[str, int]:
        """Return how often processes were started again, those never left out."""
        return {name: m.life.restarts for name, m in self._members.items() if m.life.restarts}

    async def all_hosts_ended(self) -> None:
        """Wait until no host runs or will run again."""
        while not all(
            m.life.phase in _ENDED for m in self._members.values() if m.recipe.kind == "host"
        ):
            self._changed.clear()
            await self._changed.wait()

    async def watch_budgets(self) -> None:
        """Compare processes with their budgets, once a second, until cancelled."""
        watches = {
            name: BudgetWatch(m.recipe.settings.budgets, partial(self.warned, m.recipe))
            for name, m in self._members.items()
        }
        watches = {name: watch for name, watch in watches.items() if watch.is_needed}
        while watches:
            for name, watch in watches.items():
                watch.look(self._members[name].life.pid)
            await asyncio.sleep(_LOOK_S)

    def changed(self, recipe: Recipe, life: Life) -> None:
        """Write the ledger and tell about a process that became ready."""
        self._ledger.process(recipe, life)
        self._changed.set()

    def became_ready(self, recipe: Recipe, life: Life) -> None:
        """Tell about a process that became ready."""
        state = "active" if recipe.kind == "host" else "ready"
        detail = "" if recipe.nodes in ((), (recipe.name,)) else ", ".join(recipe.nodes)
        if life.restarts:
            detail = f"{detail} (restart {life.restarts})".strip()
        self._report.process(recipe.name, state, life.ready_s, detail)

    def warned(self, recipe: Recipe, text: str) -> None:
        """Tell a warning."""
        self._report.say(f"{recipe.name}: {text}", "warning")

    def refused(self, recipe: Recipe, text: str) -> None:
        """Tell what a host was refused: once, since it is the same for all."""
        if text not in self._refused:
            self._refused.add(text)
            self.warned(recipe, text)

    def ended(self, recipe: Recipe, text: str, is_final: bool) -> None:
        """Tell that a process ended though nobody asked it to."""
        self._report.say(f"{recipe.name}: {text}", "error" if is_final else "warning")

    def _logged(self, line: LogLine) -> None:
        if line.logger == HOST_LOGGER and self._members[line.host].life.phase is Phase.STARTING:
            return  # why a host can't start is told once, by the error that follows
        if self.is_verbose or line.level not in ("debug", "info"):
            self._report.log(line)


async def all_or_first_error(*work: Coroutine[None, None, object]) -> None:
    """Do several things at once; when one fails, end the others, then raise its error."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
