"""What came from outside in a recording: all that a run with other parameters has to be given."""

from __future__ import annotations

import bisect
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from olympus.runtime.errors import SchemaError, StoreError
from olympus.runtime.messages import Message, decode
from olympus.runtime.node.journal import Kind
from olympus.runtime.node.loading import load_node_class
from olympus.runtime.node.remote_model import is_hosted
from olympus.runtime.node.spec import NodeSpec
from olympus.runtime.replay.casting import Apart, apart
from olympus.runtime.replay.hosts import prepare
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.rows import Row, read_rows

PATIENCE_NS = 30_000_000_000
"""Longest time from a node's call to its answer's beginning."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Something that comes from outside at a time."""

    at_ns: int
    message: Message | None = None
    """A message of a topic; or"""
    topic: str = ""
    node: str = ""
    """whom a question or new parameters are for:"""
    method: str = ""
    frame: bytes = b""
    """the question to a service's method; or"""
    values: dict[str, Any] = field(default_factory=dict)
    """the parameters."""


@dataclass(slots=True)
class Script:
    """A recording's nodes, and what came to them from outside."""

    inject: Collection[str] = ()
    """Full names of nodes that somebody wants left out."""
    specs: dict[str, NodeSpec] = field(default_factory=dict)
    """Of the nodes that run."""
    apart: dict[str, Apart] = field(default_factory=dict)
    """Nodes that do not run: what they published comes from outside, as it came."""
    facts: dict[str, Any] = field(default_factory=dict)
    began_ns: int = 0
    ended_ns: int = 0
    cues: list[Cue] = field(default_factory=list)
    _seen: dict[tuple[str, str], tuple[list[int], list[Any]]] = field(
        default_factory=lambda: defaultdict(lambda: ([], []))
    )
    _calls: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _acts: dict[tuple[str, str], deque[tuple[int, Any]]] = field(
        default_factory=lambda: defaultdict(deque)
    )

    _hosted: dict[tuple[str, str], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, recording: Recording, inject: Collection[str] = ()) -> Script:
        """Read a recording.

        Args:
            recording: Which one.
            inject: Full names of nodes that do not run.
        """
        made = cls(inject=inject)
        for _, _, pieces in recording.journals():
            made._read(list(read_rows(pieces)))
        made._leave_out_calls()
        made.cues += _messages(recording, set(made.specs))
        made.cues = list(_once(made.cues, set(made.specs)))
        made.cues.sort(key=lambda cue: cue.at_ns)
        return made

    def seen(self, node: str, what: str, now_ns: int) -> Any:
        """Return what the original had seen outside by then; the first sight before that.

        Raises:
            StoreError: It never looked.
        """
        times, values = self._seen[node, what]
        if not times:
            raise StoreError(f"the recording does not tell: {node} never looked at {what}")
        return values[max(0, bisect.bisect_right(times, now_ns) - 1)]

    def acted(self, node: str, name: str) -> tuple[int, Any]:
        """Return how the original's next act of that name ended; the last one for ever after.

        Raises:
            StoreError: It never did that.
        """
        acts = self._acts[node, name]
        if not acts:
            raise StoreError(f"the recording does not tell: {node} never did {name}")
        return acts.popleft() if len(acts) > 1 else acts[0]

    def hosted(self, node: str, name: str) -> Any:
        """Return what the journal keeps of a model of a model host; None if it ran in the node."""
        return self._hosted.get((node, name))

    def _read(self, rows: list[Row]) -> None:
        names: list[str | None] = []
        waits: dict[tuple[int, int], tuple[str, str]] = {}
        for row in rows:
            match row.kind, row.fields:
                case Kind.HEAD, (facts,):
                    self.facts = facts
                    prepare(facts)
                case Kind.NODE, (facts,):
                    names.append(self._cast(NodeSpec.model_validate(facts)))
                case _ if row.node >= 0 and names[row.node] is None:
                    pass  # of a node that does not run: its messages are all that it is here
                case Kind.WAITING, (number, kind, name, _):
                    waits[row.node, number] = kind, name
                    if kind == "call":
                        self._calls[name].append(row.at_ns)
                case Kind.RESUMED, (number, ending, what):
                    kind, name = waits.pop((row.node, number), ("", ""))
                    self._ended(kind, (names[row.node] or "", name), ending, what)
                case _:
                    self._take(row, names[row.node] or "" if row.node >= 0 else "")
            self.ended_ns = max(self.ended_ns, row.at_ns)

    def _cast(self, spec: NodeSpec) -> str | None:
        """Return the name of a node that is to run; None if it must not."""
        if (found := apart(spec, self.inject)) is not None:
            self.apart[spec.full_name] = found
            return None
        self.specs[spec.full_name] = spec
        load_node_class(spec.uses)  # its module defines the types it takes
        return spec.full_name

    def _ended(self, kind: str, whose: tuple[str, str], ending: int, what: Any) -> None:
        """Take how something ended that a node waited for."""
        if kind == "act":
            self._acts[whose].append((ending, what))
        elif kind == "infer" and is_hosted(what):
            self._hosted[whose] = what

    def _leave_out_calls(self) -> None:
        """Forget questions that one of the nodes asked: it will ask again, or not."""
        self.cues.sort(key=lambda cue: cue.at_ns)
        left = []
        for cue in self.cues:
            calls = self._calls[self.service_of(cue)] if cue.method else []
            asked = [at for at in calls if cue.at_ns - PATIENCE_NS <= at <= cue.at_ns]
            if asked:
                calls.remove(asked[0])
            else:
                left.append(cue)
        self.cues = left

    def service_of(self, cue: Cue) -> str:
        """Return the full name of the service that a question was for."""
        services = load_node_class(self.specs[cue.node].uses).declared.services
        names = {method: mark.name for method, mark, _, _ in services}
        return f"{cue.node}/{names[cue.method]}"

    def _take(self, row: Row, name: str) -> None:
        match row.kind, row.fields:
            case Kind.OBSERVED, (what, value):
                times, values = self._seen[name, what]
                times.append(row.at_ns)
                values.append(value)
            case Kind.CHANGE, ("activate",):
                self.began_ns = min(self.began_ns or row.at_ns, row.at_ns)
            case Kind.PARAMS, (values,):
                self.cues.append(Cue(row.at_ns, node=name, values=values))
            case Kind.ASKED, (method, _, frame):
                asked = Cue(row.at_ns, node=name, method=method, frame=frame)
                self.cues.append(asked)
            case Kind.MESSAGE, (_, topic, source, _, _, since_sent, bytes() as frame):
                if source not in self.specs:
                    sent = row.at_ns - since_sent
                    self.cues.append(Cue(sent, decode(frame), topic))


def _messages(recording: Recording, nodes: set[str]) -> Iterator[Cue]:
    for topic in recording.topics:
        if topic.startswith("@"):
            continue
        for one in recording.new_reel(topic).rest():
            if one.source in nodes or one.sent < recording.since:
                continue
            try:
                message = one.message()
            except SchemaError:
                continue  # none of the nodes that run here knows the type, so none takes it
            yield Cue(one.sent, message, topic)


def _once(cues: Iterable[Cue], nodes: set[str]) -> Iterator[Cue]:
    """Yield each message from outside once, and everything else."""
    known: set[tuple[str, str, int, int]] = set()
    for cue in cues:
        if cue.message is None:
            yield cue
            continue
        header = cue.message.header
        key = (cue.topic, header.source, header.seq, cue.at_ns)
        if key not in known and header.source not in nodes:
            known.add(key)
            yield cue
