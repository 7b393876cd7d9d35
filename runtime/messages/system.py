"""What the house says about itself: health, logs, statistics, parameters, lifecycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages.base import Message, message
from olympus.runtime.messages.schema import Array


@message("olympus/Heartbeat")
class Heartbeat(Message):
    """A loop is alive; sent by the loop it vouches for."""

    loop: str
    beat: int


@message("olympus/Diagnostic")
class Diagnostic(Message):
    """Health of one part of a node."""

    level: str
    """`ok`, `warn`, `error` or `stale`."""
    name: str
    """Which part, such as `camera/device`."""
    text: str
    values: dict[str, str] = field(default_factory=dict)


@message("olympus/Log")
class Log(Message):
    """One line of a node's log."""

    level: str
    """`debug`, `info`, `warning`, `error` or `critical`."""
    logger: str
    text: str
    fields: dict[str, str] = field(default_factory=dict)


@message("olympus/SafetyState")
class SafetyState(Message):
    """What the guardian says, mirrored for whoever watches; never the way a stop travels."""

    state: str
    """`stopped`, `permitted` or `tripped`; `unknown` when the guardian does not answer."""
    cause: str = ""
    by: str = ""
    since: int = 0
    """Robot time of the last change, ns."""
    epoch: int = 0
    waiting_for: tuple[str, ...] = ()
    """What a reset would be refused for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicStats:
    """One end of a topic in one host, over the last period."""

    topic: str
    type: str
    role: str
    """`pub` or `sub`."""
    node: str
    count: int
    """Messages since the start: published, or delivered to the handler."""
    rate_hz: float
    bytes_per_s: float
    age_p50_ms: float
    """Capture to delivery to the handler; 0 for a publisher."""
    age_p99_ms: float
    dropped: dict[str, int]
    """Since the start, by reason: `superseded`, `overflow`, `expired`, `malformed`, `schema`,
    `lost`, `duplicate`, `failed`, `senseless`; at a publisher `afar_thinned`, `afar_busy`,
    `afar_failed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """One node in one host."""

    name: str
    uses: str
    state: str
    """Lifecycle: `unconfigured`, `inactive`, `active`, `finalized` or `error`."""
    errors: int
    """Handler failures since the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStats:
    """What became of the jobs of one tier on one resource, since the start."""

    resource: str
    tier: str
    """`CRITICAL` to `DEFERRED`."""
    arrived: int
    ends: dict[str, int]
    """Jobs by how they ended: `done`, `late`, `failed`, or the reason why they were shed."""
    preempted: int
    ran_s: float
    waiting: int
    starving_s: float
    """How long jobs have waited since one of the lane last ran."""
    delay_p50_ms: float
    """From arrival to start."""
    delay_p99_ms: float
    delay_worst_ms: float


@message("olympus/HostStats")
class HostStats(Message):
    """One process: what it uses, its nodes, its ends of topics."""

    host: str
    pid: int
    cpu: float
    """Cores in use over the last period; 1.0 = one core."""
    rss_mb: float
    threads: int
    uptime_s: float
    restarts: int
    """How often the launcher has started this host again."""
    loop_lag_ms: float
    """Worst lateness of the event loop in the last period."""
    nodes: tuple[NodeStats, ...]
    topics: tuple[TopicStats, ...]
    lanes: tuple[LaneStats, ...] = ()


@message("olympus/Journal")
class Journal(Message):
    """A piece of a host's journal: what its nodes took from outside, in order; see runtime/node."""

    host: str
    restarts: int
    """How often the host was started before: each time its journal begins anew."""
    rows: Annotated[NDArray[np.uint8], Array("u1", (None,))]
    """Whole msgpack rows, shape (n,)."""


@message("olympus/Empty")
class Empty(Message):
    """Nothing to say."""


@message("olympus/AuditAnchor")
class AuditAnchor(Message):
    """How far the audit log has got: proves later that its end was not cut off."""

    number: int
    """Of its newest record, from 1."""
    hash: str
    """SHA-256 of that record and of all before it, 64 hexadecimal digits."""
    public: str
    """Key that signed it, Ed25519, 64 hexadecimal digits."""


@message("olympus/Ack")
class Ack(Message):
    """Whether something was done, and what there is to say about it."""

    ok: bool
    text: str = ""


@message("olympus/ParamList")
class ParamList(Message):
    """Parameters of a node, as JSON text by name."""

    values: dict[str, str]
    schema: str = ""
    """JSON schema of the node's parameters: types, ranges, descriptions."""


@message("olympus/ParamChange")
class ParamChange(Message):
    """Parameters to set, all or none, as JSON text by name."""

    PATIENCE_S: ClassVar[float] = 30.0
    """How long to wait for the answer: a node may load a model before it gives one."""
    values: dict[str, str]


@message("olympus/Transition")
class Transition(Message):
    """A lifecycle transition to make."""

    transition: str
    """`configure`, `activate`, `deactivate`, `cleanup` or `shutdown`."""
