"""A launch from its first process to its last: start in order, stay, stop everything."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial

from pydantic import JsonValue

from olympus.runtime.bus.hub import open_hub
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import OlympusError
from olympus.runtime.launch import recipes
from olympus.runtime.launch.crew import Crew, all_or_first_error
from olympus.runtime.launch.fitness import look_over
from olympus.runtime.launch.forking import nursery_for
from olympus.runtime.launch.gateway import zenoh_settings
from olympus.runtime.launch.hosts import HostRecipes, is_tight
from olympus.runtime.launch.inspection import checked_params, placeholders
from olympus.runtime.launch.keys import key_presses
from olympus.runtime.launch.ledger import Ledger
from olympus.runtime.launch.notify import Notifier
from olympus.runtime.launch.operator import HELP, Operator
from olympus.runtime.launch.params import Params, effective_params
from olympus.runtime.launch.plan import LAUNCHER, LaunchPlan
from olympus.runtime.launch.process import Grace
from olympus.runtime.launch.radio import Radio, as_spoken
from olympus.runtime.launch.report import Report
from olympus.runtime.launch.signals import stop_signals
from olympus.runtime.launch.tuning import Tuning
from olympus.runtime.messages import Command
from olympus.runtime.node.urgency import Urgency
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.protocol import UNGUARDED

_HOST_GRACE = Grace(2.0, 0.7)
_SERVICE_GRACE = Grace(0.5, 0.2)
_BRAKE_S = 0.3
_BEAT_S = 0.02
_PRIORITY = 1
"""Real-time priority of this loop: the least there is, below that of every guarded host."""
_CLEAR_S, _HEARD_S = 5.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a person wants a launch to go."""

    duration_s: float | None = None
    """Stop by itself after this time; None to stay."""
    go: bool = False
    """Permit motion and send the mission as soon as everything is active."""
    is_verbose: bool = False
    """Show informative log lines too, not only warnings and errors."""
    imports: bool = True
    """Check params against the nodes' classes before anything starts."""
    understand: Callable[[str], Command] = as_spoken
    """Turns the mission's sentence into a command."""
    overcommits: bool = False
    """Start although CRITICAL jobs can be late on the launch file's board, or nobody knows."""


class Launch:
    """One launch."""

    def __init__(
        self, plan: LaunchPlan, session: Session, report: Report, options: Options
    ) -> None:
        """Prepare; `run` does it.

        Args:
            plan: What to launch.
            session: Where it runs; new, ours.
            report: Tells the person.
            options: How the person wants it.
        """
        self._plan, self._session = plan, session
        self._report, self._options = report, options
        self._clock = SystemClock(session.clock_offset_ns)
        head: dict[str, JsonValue] = {
            "session": session.name,
            "file": str(plan.file),
            "folder": str(plan.file.parent),
            "plugins": list(plan.plugins),
            "mission": plan.mission,
        }
        self._ledger = Ledger(session.run_dir, head, self._clock.now_ns)
        self._crew = Crew(session.log_dir, self._clock.now_ns, self._ledger, report)
        self._crew.is_verbose = options.is_verbose
        self._nursery = nursery_for(plan, self._crew, report)
        self._operator = Operator(session.safety_dir, report)
        self._radio = Radio(session)
        self._manager = Notifier()
        self._stop = asyncio.Event()
        self._begun = time.monotonic()
        self._trips_at_start = 0
        self._late: dict[str, JsonValue] = {}
        self._params: dict[str, Params] = {}
        self._is_guardian_urgent = False
        self._hosts = HostRecipes(plan, session, {})

    async def run(self) -> int:
        """Start everything, stay, stop everything.

        Returns:
            0 after a clean stop; 1 when a process was given up.

        Raises:
            OlympusError: Something could not start; everything is stopped again by then.
        """
        bus = self._plan.bus
        with self._report.aside(), stop_signals(self._leave, self._crew.kill):
            try:
                with open_hub(
                    self._session,
                    listen=bus.listen,
                    connect=bus.connect,
                    extra=zenoh_settings(bus, self._plan.file.parent),
                    on_event=self._on_gateway,
                ):
                    try:
                        await self._unless_stopped(self._start())
                        await self._stay()
                    finally:
                        await self._shut_down()
            except OlympusError:
                self._ledger.state("failed")
                raise
        self._ledger.state("stopped")
        return 1 if self._crew.given_up() else 0

    def _on_gateway(self, level: str, text: str) -> None:
        """Tell what happens between this machine and others; called from a thread."""
        self._report.say(f"gateway: {text}", level)

    async def _start(self) -> None:
        plan, session = self._plan, self._session
        for note in plan.notes:
            self._report.say(note, "warning")
        announced: dict[str, JsonValue] = {}
        guardian: dict[str, JsonValue] = {}
        services: list[Coroutine[None, None, None]] = []
        unguarded = session.safety_dir / UNGUARDED
        unguarded.unlink(missing_ok=True)  # an earlier launch of that name may have left it
        if not plan.safety.is_watched:
            unguarded.touch()
        else:
            wishes = self._manager.hear_guardian(session.run_dir / "guardian.notify")
            services.append(self._crew.start(recipes.guardian(plan, session, wishes), guardian))
        if plan.broker is not None and plan.broker.is_ours:
            recipe = recipes.broker(plan.broker, session, announced)
            services.append(self._crew.start(recipe, announced))
        # Importing all nodes takes a while: the services, which move nothing, start meanwhile.
        await all_or_first_error(self._check(), *services)
        self._late = recipes.late_values(plan, session, announced)
        for node_id, params in effective_params(plan, self._late).items():
            self._params[node_id] |= params
        self._is_guardian_urgent = recipes.is_urgent(guardian)
        self._hosts = HostRecipes(
            plan,
            session,
            self._params,
            is_guardian_urgent=self._is_guardian_urgent,
            nursery=self._nursery,
        )
        await self._crew.start_in_order(
            {name: self._hosts.recipe(host) for name, host in plan.hosts.items()},
            {name: host.depends_on for name, host in plan.hosts.items()},
        )
        await self._nursery.settle()

    async def _check(self) -> None:
        plan, report = self._plan, self._report
        await self._nursery.start()
        self._params = await checked_params(
            plan,
            placeholders(),
            imports=self._options.imports,
            nursery=self._nursery,
            look=partial(look_over, plan, report, overcommits=self._options.overcommits),
        )

    async def _stay(self) -> None:
        if self._stop.is_set():
            return
        self._ledger.state("running")
        self._trips_at_start = await self._operator.trips()
        self._report.say(
            f"everything is active after {time.monotonic() - self._begun:.1f} s; "
            f"session {self._session.name}, logs in {self._session.log_dir}",
            "good",
        )
        self._manager.ready(f"{self._plan.name}: {len(self._plan.nodes)} nodes are active")
        for address in self._session.run_dir.glob("*.url"):
            self._report.say(f"{address.stem}: {address.read_text().strip()}", "good")
        tasks = [asyncio.create_task(task) for task in self._background()]
        try:
            with self._keys(), self._metrics():
                await self._begin_mission()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), self._options.duration_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _background(self) -> Iterator[Coroutine[None, None, None]]:
        yield self._crew.watch_budgets()
        yield self._ledger.catch_up()
        yield self._leave_when_all_ended()
        yield self._manager.feed_watchdog()
        if LAUNCHER in self._plan.safety.watch:
            yield self._beat()
        if self._plan.safety.is_watched:
            yield self._operator.watch()
        files = tuple(file.path for file in self._plan.params_files)
        if files:
            tuning = Tuning(files, self._params, self._read_params, self._apply, self._report.say)
            yield tuning.run()

    async def _beat(self) -> None:
        """Vouch for this event loop to the guardian: nobody else would start a dead host anew.

        It takes in what all hosts write, however much: so it is ahead of ordinary work only, behind
        the loop of every host, and no longer so once a flood of theirs keeps it busy.
        """
        with contextlib.ExitStack() as stack:
            if is_tight(self._plan.safety.watch[LAUNCHER]):
                is_before_us = self._is_guardian_urgent and self._plan.safety.priority > _PRIORITY
                urgency = Urgency(
                    _PRIORITY if is_before_us else 0,
                    whose="the launcher's",
                    longest_s=None,
                    warn=lambda text: self._report.say(text, "warning"),
                )
                if refused := urgency.begin():
                    self._report.say(f"the launcher: {refused}", "warning")
                stack.callback(urgency.end)
            beats = HeartbeatWriter(self._session.safety_dir, LAUNCHER)
            stack.callback(beats.close)
            while True:
                beats.beat()
                await asyncio.sleep(_BEAT_S)

    async def _read_params(self) -> dict[str, Params]:
        return await checked_params(
            self._plan, self._late, imports=self._options.imports, nursery=self._nursery
        )

    async def _apply(self, node_id: str, params: Params) -> None:
        await self._radio.set_params(self._plan.nodes[node_id], params)
        self._hosts.update(node_id, params)

    @contextlib.contextmanager
    def _metrics(self) -> Iterator[None]:
        if self._plan.telemetry.prometheus is None:
            yield
            return
        from olympus.runtime.launch.metrics import MetricsServer  # most launches serve none

        server = MetricsServer(self._plan.telemetry.prometheus)
        try:
            self._radio.follow(server)
            self._report.say(f"metrics: {server.url}", "good")
            yield
        finally:
            server.close()

    @contextlib.contextmanager
    def _keys(self) -> Iterator[None]:
        has_keys = self._report.is_terminal and self._plan.safety.is_watched
        with contextlib.ExitStack() as stack:
            if has_keys and stack.enter_context(key_presses(self._operator.keys(self._leave))):
                self._report.say(HELP)
            yield

    async def _begin_mission(self) -> None:
        plan = self._plan
        if not plan.safety.is_watched:
            self._report.say("no safety section: no guardian runs, no gate will let anything move")
            return
        if not self._options.go:
            await self._operator.until_clear(_HEARD_S)
            say = f", then say what to do: olympus say {plan.mission!r}" if plan.mission else ""
            self._report.say(f"motion is stopped; permit it with: olympus reset{say}")
        elif await self._operator.permit_once_clear(_CLEAR_S) and plan.mission:
            await self._send(plan.mission)

    async def _send(self, mission: str) -> None:
        try:
            await self._radio.command(self._options.understand(mission))
            self._report.say(f"mission: {mission}", "good")
        except OlympusError as error:
            self._report.say(f"the mission was not sent: {error}", "error")

    async def _leave_when_all_ended(self) -> None:
        await self._crew.all_hosts_ended()
        self._report.say("every host has ended")
        self._leave()

    async def _shut_down(self) -> None:
        begun = time.monotonic()
        self._ledger.state("stopping")
        self._manager.stopping()
        trips = 0
        try:
            await self._nursery.settle()
            trips = await self._say_farewell()
        finally:
            needs = {name: host.depends_on for name, host in self._plan.hosts.items()}
            await self._crew.stop_hosts(_HOST_GRACE, needs)
            await self._crew.stop_all(_SERVICE_GRACE)
            self._manager.close()
        counted = ", ".join(f"{name} {count}" for name, count in self._crew.restarts().items())
        self._report.say(
            f"ran {begun - self._begun:.1f} s, stopped in {time.monotonic() - begun:.1f} s; "
            f"restarts: {counted or 'none'}; trips: {trips}"
        )

    async def _say_farewell(self) -> int:
        """Let actuators brake and leave the bus; return how often the guardian tripped."""
        trips = await self._operator.trips() - self._trips_at_start
        if self._plan.safety.is_watched:
            await self._operator.brake(_BRAKE_S)
        await self._radio.close()
        return max(trips, 0)

    def _leave(self) -> None:
        self._stop.set()

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Do the work, or drop it when the person wants to leave."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            task.result()
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
