"""Runs the nodes of a recording again, in one process and in the order of their journals."""

from __future__ import annotations

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Collection
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from olympus.runtime.bus import Bus
from olympus.runtime.bus.link import Origin
from olympus.runtime.clock import NS_PER_S, VirtualClock, run_virtual
from olympus.runtime.config import Session
from olympus.runtime.messages import Message, decode, encode
from olympus.runtime.node.devices import MARK
from olympus.runtime.node.journal import Halted, Kind
from olympus.runtime.node.loading import load_node_class
from olympus.runtime.node.node import NodeContext
from olympus.runtime.node.spec import NodeSpec
from olympus.runtime.replay.acting import ReplayedNode
from olympus.runtime.replay.casting import Apart, apart, full_names
from olympus.runtime.replay.counting import count_missing, left_over, name_uncompared
from olympus.runtime.replay.difference import Difference, Tally, first_difference
from olympus.runtime.replay.dispatch import decide_again
from olympus.runtime.replay.halting import Diverged, JournalEnded, guarding, unless_halted, watching
from olympus.runtime.replay.hosts import HostReplay, prepare
from olympus.runtime.replay.outcome import Outcome
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.rows import Row, read_rows
from olympus.runtime.replay.turns import Threads
from olympus.runtime.scheduler import Dispatcher

REMEMBERED = 20_000
"""So many of the messages published anew are kept for those who take them."""
OnMessage = Callable[[str, Message, int], None]
"""Told of each message that is published anew: topic, message, robot time."""


class Engine:
    """Runs a recording's nodes again and compares what they publish."""

    def __init__(
        self,
        recording: Recording,
        *,
        inject: Collection[str] = (),
        until_s: float = 0.0,
        keep_going: bool = False,
        on_message: OnMessage | None = None,
        on_event: Callable[[int], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            recording: What to run again.
            inject: Nodes that don't run, by their full names or the last parts of them: their
                recorded messages stand for them.
            until_s: When to stop, counted from the first event; 0 = at the end.
            keep_going: Go on after a difference, with the node that differed left out.
            on_message: Told of each message that is published anew.
            on_event: Told the robot time before each event: may take its time.
        """
        self._recording, self._inject = recording, frozenset(inject)
        self._until_s, self._keep_going = until_s, keep_going
        self._on_message, self._on_event = on_message, on_event
        self.outcome, self.threads = Outcome(), Threads()
        self._published: OrderedDict[tuple[str, str, int, int], Message] = OrderedDict()
        self._names: set[str] = set()
        """Nodes that run, or have yet to."""
        self._hosts: list[HostReplay] = []

    def run(self) -> Outcome:
        """Run it to its end, or to the first difference.

        Raises:
            ConfigError: A node to be left out is not known, or another can't be loaded.
        """
        self._inject = full_names(self._inject, self._recording)
        clock = VirtualClock(1)
        with guarding(self._reached_by_thread):
            return run_virtual(self._run(clock), clock)

    async def _run(self, clock: VirtualClock) -> Outcome:
        asyncio.get_running_loop().set_default_executor(self.threads)
        asyncio.get_running_loop().set_exception_handler(unless_halted)
        self._bus, self._dispatcher = Bus(clock, host="replay"), Dispatcher(clock)
        with tempfile.TemporaryDirectory(prefix="olympus-replay-") as folder:
            self._folder = Path(folder)
            for name, _, pieces in self._recording.journals():
                self._hosts.append(HostReplay(self, name, read_rows(pieces)))
            try:
                while await self._step():
                    pass
                self._count()
                if self._keep_going or not self.outcome.differences:
                    decide_again(self.outcome, self._hosts)
            finally:
                await self._close()
        return self.outcome

    async def _step(self) -> bool:
        """Let the earliest event happen that can; False when it is over."""
        waiting = [(event.at_ns, i) for i, host in enumerate(self._hosts) if (event := host.fill())]
        if not waiting or (self.outcome.differences and not self._keep_going):
            return False
        for at_ns, index in sorted(waiting):
            if self._is_beyond(at_ns):
                return False
            host = self._hosts[index]
            if await self._happen(host, host.events[0]):
                return True
        host = self._hosts[min(waiting)[1]]
        event = host.events.popleft()
        node = host.nodes[event.node]
        if node is not None:
            node.rows.clear()
            node.has_ended = True
            self._missing_cause(node, event)
        return True

    async def _happen(self, host: HostReplay, event: Row) -> bool:
        """Let an event happen; False if what it needs is not there yet."""
        node = host.nodes[event.node]
        if node is None or node.has_ended:
            host.events.popleft()
            return True
        message: Message | None = None
        if event.kind is Kind.MESSAGE:
            message = self._message(event)
            if message is None:
                return False
        host.events.popleft()
        self._note_time(event.at_ns)
        try:
            with watching(partial(self._reached, node)):
                await self._let(node, event, message, host)
        except Halted as end:
            node.has_ended = True
            if isinstance(end, JournalEnded):
                self._names.discard(node.name)
        return True

    async def _let(
        self, node: ReplayedNode, event: Row, message: Message | None, host: HostReplay
    ) -> None:
        if event.kind is Kind.NODE:
            node.began_ns = event.at_ns
            node.make(lambda: self._build(event.fields[0], node, host))
        elif message is not None:
            await node.deliver(event, message)
        else:
            await node.feed(event)

    def _reached(self, node: ReplayedNode, what: str) -> None:
        """Take a node out that reaches for a device: its recorded messages stand for it."""
        if node.has_ended:  # its tasks are being ended, after all was counted
            return
        why = f"it reached for {what} when it ran again, and its class does not say {MARK} = False"
        self._take_out(node, why)

    def _take_out(self, node: ReplayedNode, why: str) -> None:
        """Let a node's recorded messages stand for it from here, and do not call it equal."""
        node.has_ended = True  # its rows stay: a thread of it may call this at any time
        self._names.discard(node.name)
        if node.name in self.outcome.nodes:
            self.outcome.nodes.remove(node.name)
        self.outcome.apart[node.name] = Apart(node.name, why, is_meant=False)

    def _reached_by_thread(self, what: str) -> None:
        """Take notice that a thread reaches for a device: which node started it, nobody knows."""
        if what not in self.outcome.unfollowed:
            self.outcome.unfollowed.append(what)

    def _is_beyond(self, at_ns: int) -> bool:
        passed_ns = at_ns - (self.outcome.began_ns or at_ns)
        return self._until_s > 0 and passed_ns > self._until_s * NS_PER_S

    def _note_time(self, at_ns: int) -> None:
        outcome = self.outcome
        outcome.events += 1
        outcome.began_ns = outcome.began_ns or at_ns
        outcome.ended_ns = max(outcome.ended_ns, at_ns)
        if self._on_event is not None:
            self._on_event(at_ns)

    # What hosts and nodes tell.

    def meet(self, facts: dict[str, Any]) -> None:
        """Take the facts of a host."""
        self.outcome.machine = facts["machine"]
        self.outcome.launch = (facts["launch_file"], facts["launch_sha256"])
        prepare(facts)

    def cast(self, spec: NodeSpec, host: HostReplay) -> ReplayedNode | None:
        """Give a node its part; None if its recorded messages stand for it."""
        found = self.outcome.apart.get(spec.full_name) or apart(spec, self._inject)
        if found is not None:
            self.outcome.apart[spec.full_name] = found
            return None
        if spec.full_name not in self._names:
            self.outcome.nodes.append(spec.full_name)
        self._names.add(spec.full_name)
        return ReplayedNode(spec.full_name, host)

    def _build(self, spec: NodeSpec, node: ReplayedNode, host: HostReplay) -> Any:
        node_class = load_node_class(spec.uses)
        session = Session(
            name=host.facts["session"],
            run_dir=self._folder,
            endpoint="",
            clock_offset_ns=host.facts["clock_offset_ns"],
            pid=0,
        )
        return node_class(
            NodeContext(
                name=spec.name,
                namespace=spec.namespace,
                params=spec.params,
                remaps=spec.remaps,
                bus=self._bus,
                clock=self._bus.clock,
                dispatcher=self._dispatcher,
                session=session,
                journal=node,
            )
        )

    def published(self, node: ReplayedNode, message: Message, origin: Origin) -> None:
        """Compare a message with the recorded one, and keep it for those who take it."""
        header = message.header
        sent = header.trace[-1].sent
        self._published[origin.topic, header.source, header.seq, sent] = message
        if len(self._published) > REMEMBERED:
            self._published.popitem(last=False)
        tally = self._tally(origin.topic)
        frame = encode(message)
        tally.add(frame)
        reel = self._recording.reel(origin.topic)
        found = reel.find(header.source, header.seq, header.stamp, sent) if reel else None
        if found is None:
            tally.unrecorded += 1
        elif found.frame == frame:
            tally.equal += 1
            tally.found[header.source] += 1
        else:
            tally.differing += 1
            tally.found[header.source] += 1
            what = first_difference(found.message(), message)
            place = (origin.topic, header.seq, header.source)
            self.outcome.differences.append(Difference(*place, *what, at_ns=sent))
        if self._on_message is not None:
            self._on_message(origin.topic, message, sent)

    def diverged(self, node: ReplayedNode, what: str, recorded: str, replayed: str) -> Diverged:
        """Put down that a node did something else than the original."""
        last = next(
            (key for key in reversed(self._published) if key[1] == node.name), ("", "", 0, 0)
        )
        place = (last[0] or "(nothing published yet)", last[2], node.name)
        what = f"{what} afterwards" if last[0] else what
        found = Difference(*place, what, recorded, replayed, node.now_ns)
        self.outcome.differences.append(found)
        return Diverged()

    def other_model(self, node: ReplayedNode, name: str, recorded: str, here: str) -> None:
        """Take notice that a model is another one."""
        was, is_ = recorded[:12], here[:12]
        self.outcome.note(f"model {name} of {node.name} is {is_} here and was {was}")

    def failed(self, node: ReplayedNode, step: str, error: Exception) -> None:
        """Take notice that a step of a node's lifecycle failed: what it lacks then has a cause."""
        self.outcome.note(f"{node.name} could not {step}: {type(error).__name__}: {error}")

    def waits_alone(self, node: ReplayedNode) -> None:
        """Take notice that a node waits for something of its own, such as a lock."""
        self.outcome.note(f"{node.name} waited for what its journal does not tell of")

    def computed(self, what: str) -> None:
        """Count what was done again."""
        self.outcome.computed[what] = self.outcome.computed.get(what, 0) + 1

    def _message(self, event: Row) -> Message | None:
        """Return the message of an event; None if it is not there yet."""
        _, topic, source, seq, since_stamp, since_sent, frame = event.fields
        sent, stamp = event.at_ns - since_sent, event.at_ns - since_stamp
        made = self._published.get((topic, source, seq, sent))
        if made is not None:
            return made
        reel = self._recording.reel(topic)
        found = reel.find(source, seq, stamp, sent) if reel is not None else None
        if source in self._names and not self._is_behind(source, sent):
            return None  # its node will publish it anew
        if found is None or (found.sent != sent and self._spans(source)):
            return None if frame is None else decode(frame)  # not that of another start
        return found.message()

    def _is_behind(self, source: str, sent: int) -> bool:
        """Tell whether a node's journal has nothing to say about a message of that time."""
        for host in self._hosts:
            for node in host.nodes:
                if node is not None and node.name == source and not node.has_ended:
                    return host.is_over or node.now_ns > sent
        return True

    def _spans(self, source: str) -> list[tuple[int, float]]:
        """Return from when to when there is a journal of a node; nothing if there is none."""
        hosts = (host for host in self._hosts if source in host.names)
        return [(one.facts["start_ns"], one.last_ns if one.is_over else inf) for one in hosts]

    def _missing_cause(self, node: ReplayedNode, event: Row) -> None:
        _, topic, source, seq, _, since_sent, *_ = (*event.fields, "", "", 0, 0, 0)
        sent, spans = event.at_ns - since_sent, self._spans(source)
        if spans and not any(began <= sent <= ended for began, ended in spans):
            what = f"{topic} no. {seq} of {source}"
            self._take_out(node, f"it took {what}, which was lost when that one's host was killed")
            return
        if event.at_ns >= max(run.ended or run.seen for run in self._recording.runs):
            return  # the recorder had ended: nobody can know
        self.outcome.differences.append(
            Difference(
                str(topic), int(seq), str(source), "message", f"{node.name} took it",
                "it is neither in the recording nor published anew", event.at_ns,
            )
        )  # fmt: skip

    def _tally(self, topic: str) -> Tally:
        return self.outcome.tallies.setdefault(topic, Tally(topic))

    def _count(self) -> None:
        """Count what was not published anew, and name what was not compared."""
        if not self._until_s and (self._keep_going or not self.outcome.differences):
            for node in left_over(self._hosts):
                self.diverged(node, "act", str(node.rows[0]), "did nothing more")
            count_missing(self.outcome, self._recording, self._hosts)
        name_uncompared(self.outcome, self._recording, self._hosts)

    async def _close(self) -> None:
        for host in self._hosts:
            for node in host.nodes:
                if node is not None:
                    await node.close()
        self._dispatcher.close()
        await self._bus.close()
        await asyncio.sleep(0)
