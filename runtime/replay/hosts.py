"""A host whose nodes run again: reads its journal, and knows which event is next."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from olympus.runtime.bus.link import Origin
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Message
from olympus.runtime.node.journal import Kind
from olympus.runtime.node.loading import look_beside, why_not_imported
from olympus.runtime.node.spec import NodeSpec
from olympus.runtime.replay.acting import ReplayedNode
from olympus.runtime.replay.halting import Diverged, Reached, watching
from olympus.runtime.replay.rows import Row
from olympus.runtime.replay.turns import Threads


class Director(Protocol):
    """Whoever runs the hosts."""

    threads: Threads

    def meet(self, facts: dict[str, Any]) -> None:
        """Take the facts of a host."""

    def cast(self, spec: NodeSpec, host: HostReplay) -> ReplayedNode | None:
        """Give a node its part; None if its recorded messages stand for it."""

    def published(self, node: ReplayedNode, message: Message, origin: Origin) -> None:
        """Take a message that a node published."""

    def diverged(self, node: ReplayedNode, what: str, recorded: str, replayed: str) -> Diverged:
        """Put down a difference that is no message's."""

    def other_model(self, node: ReplayedNode, name: str, recorded: str, here: str) -> None:
        """Take notice that a model is another one than the original's."""

    def computed(self, what: str) -> None:
        """Take notice that a model or other work was done again."""

    def waits_alone(self, node: ReplayedNode) -> None:
        """Take notice that a node waits for what neither it nor a thread nor the journal ends."""

    def failed(self, node: ReplayedNode, step: str, error: Exception) -> None:
        """Take notice that a step of the lifecycle failed."""


class HostReplay:
    """One start of one host, and where its journal stands; the `Stage` of its nodes."""

    def __init__(self, engine: Director, name: str, rows: Iterator[Row]) -> None:
        """Stand before the first row.

        Args:
            engine: Runs it.
            name: Of the host.
            rows: Of its journal.
        """
        self.name, self._engine, self._rows = name, engine, rows
        self.published, self.diverged = engine.published, engine.diverged
        self.other_model, self.computed = engine.other_model, engine.computed
        self.failed, self.waits_alone = engine.failed, engine.waits_alone
        self.threads = engine.threads
        self.nodes: list[ReplayedNode | None] = []
        self.sent: Counter[tuple[str, str]] = Counter()
        """How many messages the originals published, by node and topic, as far as was read."""
        self.names: list[str] = []
        """Full names of its nodes, as far as was read."""
        self.events: deque[Row] = deque()
        self.facts: dict[str, Any] = {}
        self.traces: dict[str, bytearray] = {}
        """Dispatch traces, by resource."""
        self.last_ns = 0
        self.is_over = False

    def fill(self) -> Row | None:
        """Return the next event; None when there is none left."""
        while not self.events:
            if not self.pull():
                return None
        return self.events[0]

    def pull(self) -> bool:
        """Read a row; False at the end."""
        row = next(self._rows, None)
        if row is None:
            self.is_over = True
            return False
        self.last_ns = row.at_ns
        if row.kind is Kind.HEAD:
            self.facts = row.fields[0]
            self._engine.meet(self.facts)
        elif row.kind is Kind.TRACE:
            self.traces.setdefault(row.fields[0], bytearray()).extend(row.fields[1])
        elif row.kind is Kind.NODE:
            spec = NodeSpec.model_validate(row.fields[0])
            self.nodes.append(self._engine.cast(spec, self))
            self.names.append(spec.full_name)
            self.events.append(Row(Kind.NODE, len(self.nodes) - 1, row.at_ns, (spec,)))
        else:
            self._take(row)
        return True

    def _take(self, row: Row) -> None:
        """Take a row of a node."""
        node = self.nodes[row.node]
        if row.kind is Kind.SENT:
            self.sent[self.names[row.node], row.fields[0]] += 1
        if node is not None and not node.has_ended:
            node.rows.append(row)
            if row.is_event:
                self.events.append(row)


def prepare(facts: dict[str, Any]) -> None:
    """Import what a host imported before its nodes, and find node modules where it did.

    Raises:
        ConfigError: A plugin can't be imported, or reaches for a device while it is.
    """
    if facts["node_dir"] and Path(facts["node_dir"]).is_dir():
        look_beside(Path(facts["node_dir"]))
    for plugin in facts["plugins"]:
        reached: list[str] = []
        with suppress(Reached), watching(reached.append, is_import=True):
            if why := why_not_imported(plugin):
                raise ConfigError(f"plugins: {why}")
        if reached:
            raise ConfigError(
                f"plugins: {plugin} reaches for {reached[0]} while it is imported, which a replay "
                "refuses; reach for it where the device is opened"
            )
