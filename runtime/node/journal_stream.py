"""Brings a host's journal to the recorder, piece by piece."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from typing import Any

import numpy as np

from olympus.runtime.bus import Bus, PublisherOptions
from olympus.runtime.clock import Clock
from olympus.runtime.messages import Journal
from olympus.runtime.node.journal import HostJournal, JournalKeeper, Kind
from olympus.runtime.node.spec import HostSpec, NodeSpec
from olympus.runtime.qos import Tier
from olympus.runtime.telemetry.machine import machine_facts

FLUSH_S = 0.25
"""Of a host that is killed, so much of its journal is missing."""
PATIENCE_S = 15.0
"""How long a host waits for a recorder before it does without."""
MOST_WAITING = 16 * 2**20
"""Bytes of a journal that wait for somebody who listens; with more it is given up."""
_LOOK_S = 0.02
_log = logging.getLogger(__name__)


def journal_topic(host: str) -> str:
    """Return the topic on which a host publishes its journal."""
    return f"@olympus/journal/{host}"


class JournalStream:
    """The journal of one host on its way."""

    def __init__(self, bus: Bus, clock: Clock, spec: HostSpec) -> None:
        """Begin the journal.

        Args:
            bus: Where the recorder listens.
            clock: Robot time.
            spec: What the host was told.
        """
        self._spec = spec
        options = PublisherOptions(node=spec.name, is_reliable=True, tier=Tier.LOW)
        self._publisher = bus.publisher(journal_topic(spec.name), Journal, options)
        self._journal = HostJournal(clock, host_facts(spec))
        self._told_unseen = 0
        self._is_awaited = False
        self._traces: deque[tuple[str, bytes]] = deque()

    async def wait_for_recorder(self) -> None:
        """Wait until the recorder listens: then it misses no message of this host's nodes.

        Without one the host goes on after a while: a robot matters more than its recording.
        """
        for _ in range(round(PATIENCE_S / _LOOK_S)):
            if self._publisher.is_heard:
                return
            await asyncio.sleep(_LOOK_S)
        _log.error(
            "nobody takes the journal of %s within %g s: what it does now can't be replayed; "
            "has the launch file a recorder with `journal: true`?",
            self._spec.name,
            PATIENCE_S,
        )

    def node(self, spec: NodeSpec) -> JournalKeeper:
        """Begin the journal of a node."""
        return JournalKeeper.of(self._journal, spec.model_dump(mode="json"))

    def trace(self, resource: str, data: bytes) -> None:
        """Take a piece of a dispatch trace; from any thread."""
        self._traces.append((resource, data))

    def flush(self) -> None:
        """Publish the rows since the last time, once somebody listens."""
        journal = self._journal
        while self._traces:
            journal.add(Kind.TRACE, *self._traces.popleft())
        self._is_awaited = self._is_awaited or self._publisher.is_heard
        if not self._is_awaited:
            if journal.size > MOST_WAITING:
                _log.error("the journal of %s is given up: nobody takes it", self._spec.name)
                journal.give_up()
            return
        if journal.unseen > self._told_unseen:
            self._told_unseen = journal.unseen
            _log.warning("a node reads its clock on another thread, which no replay can follow")
        if journal.size:
            rows = np.frombuffer(journal.take(), np.uint8)
            spec = self._spec
            self._publisher.publish(Journal(host=spec.name, restarts=spec.restarts, rows=rows))

    async def keep_flushing(self) -> None:
        """Publish again and again."""
        while True:
            await asyncio.sleep(FLUSH_S)
            self.flush()


def host_facts(spec: HostSpec) -> dict[str, Any]:
    """Return what a replay has to know of a host."""
    file = spec.launch_file
    return {
        "host": spec.name,
        "restarts": spec.restarts,
        "session": spec.session.name,
        "clock_offset_ns": spec.session.clock_offset_ns,
        "plugins": list(spec.plugins),
        "node_dir": str(spec.node_dir or ""),
        "launch_file": str(file or ""),
        "launch_sha256": hashlib.sha256(file.read_bytes()).hexdigest() if file else "",
        "resources": spec.model_dump(mode="json")["resources"],
        "machine": dict(machine_facts()),
    }
