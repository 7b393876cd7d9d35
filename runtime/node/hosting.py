"""The nodes of one process: started in order, watched, shut down in reverse."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
from collections.abc import Coroutine

from olympus.runtime.bus import Publisher, PublisherOptions
from olympus.runtime.bus.joining import join
from olympus.runtime.bus.letters import TOPIC as LETTERS
from olympus.runtime.bus.spill import Spill
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError, MessageError, OlympusError
from olympus.runtime.messages import HostStats, Log
from olympus.runtime.messages.letters import DeadLetter
from olympus.runtime.node.journal_stream import JournalStream
from olympus.runtime.node.lanes import lane_stats
from olympus.runtime.node.lifecycle import State, Transition
from olympus.runtime.node.loading import load_node_class
from olympus.runtime.node.node import Node, NodeContext
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.node.spec import HostSpec, NodeSpec
from olympus.runtime.node.urgency import Urgency
from olympus.runtime.qos import Tier
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.scheduler import Dispatcher
from olympus.runtime.store import DiskQueue
from olympus.runtime.telemetry.logs import BusHandler
from olympus.runtime.telemetry.process import ProcessMeter

STATS_PERIOD_S = 1.0
BEAT_PERIOD_S = 0.02
LAG_PERIOD_S = 0.1
STILL_S = 1.0
"""An event loop that stood still for so long is told of, each TELL_S at most."""
TELL_S = 10.0
NODE_END_S = 0.8
"""How long a node may take to shut down; the launcher gives the whole host 2.7 s."""
LOG_TOPIC = "@olympus/log"
_log = logging.getLogger(__name__)


def stats_topic(host: str) -> str:
    """Return the topic on which a host publishes its HostStats."""
    return f"@olympus/stats/{host}"


class Host:
    """The nodes of one process, and what they share."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.clock = SystemClock(spec.session.clock_offset_ns)
        self.runners: list[NodeRunner] = []
        self.crashed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._bus = join(spec.session, self.clock, host=spec.name, afar=spec.afar)
        self._journal = JournalStream(self._bus, self.clock, spec) if spec.is_journaled else None
        self._dispatcher = Dispatcher(
            self.clock,
            resources=spec.resources,
            trace_dir=spec.session.run_dir / "dispatch" / spec.name,
            on_trace=self._journal.trace if self._journal is not None else None,
        )
        self._meter = ProcessMeter()
        self._stats = self._bus.publisher(
            stats_topic(spec.name),
            HostStats,
            PublisherOptions(node=spec.name, latched=True, tier=Tier.LOW),
        )
        rare = PublisherOptions(node=spec.name, tier=Tier.LOW, is_reliable=True)
        self._bus.letters.open(self._bus.publisher(LETTERS, DeadLetter, rare))
        logs = self._bus.publisher(LOG_TOPIC, Log, PublisherOptions(node=spec.name, tier=Tier.LOW))
        self._log_handler = BusHandler(lambda line: _publish_log(logs, line), self.clock)
        self._worst_lag_s = 0.0
        self._told_of_lag_s = -TELL_S
        self._is_heard = True
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Bring every node to active, in order; report each step.

        Raises:
            OlympusError: A node can't be made, configured or activated; names it.
        """
        logging.getLogger("olympus").addHandler(self._log_handler)
        self._keep_up(self._report_stats())
        if self._journal is not None:
            self._keep_up(self._journal.keep_flushing())
        if self.spec.heartbeat is not None:
            beats = HeartbeatWriter(self.spec.session.safety_dir, self.spec.heartbeat)
            self._keep_up(self._beat(beats))
        else:
            self._keep_up(self._watch_lag())
        classes = [(load_node_class(spec.uses), spec) for spec in self.spec.nodes]
        is_waiting = self._journal is not None
        for node_class, spec in sorted(classes, key=lambda one: not one[0].takes_journals):
            if is_waiting and self._journal is not None and not node_class.takes_journals:
                await self._journal.wait_for_recorder()
                is_waiting = False
            try:
                await self._start_node(node_class, spec)
            except OlympusError as error:
                error.add_note(spec.full_name)
                raise
        gc.collect()
        gc.freeze()
        self._publish_stats()
        if self.spec.urgency is not None and (refused := Urgency(self.spec.urgency).begin()):
            self._report({"event": "refused", "text": refused})
        self._report({"event": "ready"})

    async def stop(self) -> None:
        """Shut every node down, last started first, and leave the bus.

        A node that fails at it, or takes too long, does not keep the others from theirs.
        """
        for runner in reversed(self.runners):
            await self._shut_down(runner)
            self._report({"event": "state", "node": runner.node.name, "state": runner.state})
        self._bus.letters.tell_left_out()
        self._publish_stats()
        self._dispatcher.close()
        if self._journal is not None:
            self._journal.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        logging.getLogger("olympus").removeHandler(self._log_handler)
        await self._bus.close()
        self._meter.close()

    def tell_failure(self, text: str) -> None:
        """Tell the launcher why this host can't start."""
        self._report({"event": "failed", "text": text})

    async def _shut_down(self, runner: NodeRunner) -> None:
        if runner.state is State.FINALIZED:
            return
        task = asyncio.create_task(runner.change(Transition.SHUTDOWN))
        done, _ = await asyncio.wait({task}, timeout=NODE_END_S)
        if not done:
            task.cancel()
            _log.error(
                "%s did not shut down in %.1f s; left as it is", runner.node.name, NODE_END_S
            )
        elif error := task.exception():
            _log.error("%s: %s", runner.node.name, error)

    def _keep_up(self, work: Coroutine[None, None, None]) -> None:
        """Do `work` until the end; without it this host is of no use."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._on_task_done)
        self._tasks.append(task)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("%s: %r", self.spec.name, error, exc_info=error)
            self._on_crash(self.spec.name, error)

    async def _start_node(self, node_class: type[Node], spec: NodeSpec) -> None:
        is_journaled = self._journal is not None and node_class.is_replayed
        journal = self._journal.node(spec) if self._journal is not None and is_journaled else None
        node = node_class(
            NodeContext(
                name=spec.name,
                namespace=spec.namespace,
                params=spec.params,
                remaps=spec.remaps,
                bus=self._bus,
                clock=self.clock,
                dispatcher=self._dispatcher,
                session=self.spec.session,
                on_crash=self._on_crash,
                journal=journal,
            )
        )
        runner = NodeRunner(node, spec.uses, spill_for=self._spill_for, journal=journal)
        self.runners.append(runner)
        runner.open_controls()
        for transition in (Transition.CONFIGURE, Transition.ACTIVATE):
            state = await runner.change(transition)
            self._report({"event": "state", "node": node.name, "state": state})

    def _spill_for(self, node: str, topic: str) -> Spill[bytes]:
        folder = self.spec.session.run_dir / "spill" / self.spec.name
        return DiskQueue(folder / f"{node}:{topic}".replace("/", "%"))

    def _on_crash(self, node: str, error: BaseException) -> None:
        if not self.crashed.done():
            self.crashed.set_result(f"{node}: {type(error).__name__}: {error}")

    def _report(self, event: dict[str, str]) -> None:
        if self.spec.status_fd is None or not self._is_heard:
            return
        try:
            os.write(self.spec.status_fd, (json.dumps(event) + "\n").encode())
        except BrokenPipeError:  # the nodes' shutdown goes on all the same
            self._is_heard = False
            _log.info("nobody reads this host's status any more: its launcher has ended")

    def _publish_stats(self) -> None:
        use = self._meter.snapshot()
        lag_ms, self._worst_lag_s = self._worst_lag_s * 1e3, 0.0
        self._stats.publish(
            HostStats(
                host=self.spec.name,
                pid=os.getpid(),
                cpu=use.cpu,
                rss_mb=use.rss_mb,
                threads=use.threads,
                uptime_s=use.uptime_s,
                restarts=self.spec.restarts,
                loop_lag_ms=lag_ms,
                nodes=tuple(runner.stats() for runner in self.runners),
                topics=self._bus.stats(self.clock.now_ns()),
                lanes=lane_stats(self._dispatcher),
            )
        )

    async def _report_stats(self) -> None:
        while True:
            await asyncio.sleep(STATS_PERIOD_S)
            self._dispatcher.flush()
            self._bus.letters.tell_left_out()
            self._publish_stats()

    async def _beat(self, beats: HeartbeatWriter) -> None:
        """Vouch for this event loop: the beat comes from the loop that it is about."""
        while True:
            beats.beat()
            await self._pause(BEAT_PERIOD_S)

    async def _watch_lag(self) -> None:
        while True:
            await self._pause(LAG_PERIOD_S)

    async def _pause(self, period_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + period_s
        await asyncio.sleep(period_s)
        lag_s = loop.time() - due
        self._worst_lag_s = max(self._worst_lag_s, lag_s)
        if lag_s >= STILL_S and loop.time() - self._told_of_lag_s >= TELL_S:
            self._told_of_lag_s = loop.time()
            _log.warning(
                "%s stood still for %.1f s: a handler blocks, or the machine was busy; a handler "
                "awaits what takes its time, such as asyncio.to_thread(...)",
                self.spec.name,
                lag_s,
            )


def _publish_log(logs: Publisher[Log], line: Log) -> None:
    try:
        logs.publish(line)
    except (BusError, MessageError) as error:  # the line is in the log file all the same
        sys.stderr.write(f"a log line did not reach the bus: {error}\n")
