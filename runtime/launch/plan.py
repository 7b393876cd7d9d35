"""What a launch comes down to, once files, arguments and includes are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.launch.computing import Job
from olympus.runtime.launch.guarding import Safety
from olympus.runtime.launch.schema import Broker, Bus, Host, Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """One node that will run."""

    id: str
    """Unique in the launch: `camera`, or `left/camera` from an include with a namespace."""
    namespace: str
    """Put before its topics."""
    uses: str
    """`module` or `module:Class`."""
    host: str
    """Process it runs in."""
    written: dict[str, JsonValue]
    """Params from the launch file."""
    typed: dict[str, JsonValue]
    """Params from the command line."""
    remaps: dict[str, str]
    """Its topics that go by another name."""
    depends_on: tuple[str, ...]
    """Ids of nodes that must be active first."""
    where: str
    """`file:line` of its entry."""
    jobs: tuple[Job, ...] = ()
    """What it computes again and again."""

    @property
    def name(self) -> str:
        """Return the last part of its id."""
        return self.id.rpartition("/")[2]

    @property
    def scope(self) -> str:
        """Return its id without its name; '' at the top."""
        return self.id.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedHost:
    """One process that will run."""

    name: str
    """Unique in the launch."""
    nodes: tuple[str, ...]
    """Ids of its nodes, in the order in which they become active."""
    depends_on: tuple[str, ...]
    """Hosts that must be ready first."""
    settings: Host
    """Affinity, priority, respawn, budgets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamsFile:
    """A file of params that is watched while the launch runs."""

    path: Path
    """Absolute."""
    scope: str
    """Scope of the launch file that names it; its node names are relative to that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A launch file with everything decided that can be decided before it runs."""

    name: str
    """Name of the session."""
    description: str
    """What it is for."""
    file: Path
    """The top launch file, absolute."""
    arguments: dict[str, JsonValue]
    """Values of the top file's arguments."""
    namespace: str
    """Namespace of the top file."""
    plugins: tuple[str, ...]
    """Modules that every host imports."""
    params_files: tuple[ParamsFile, ...]
    """Later ones win."""
    broker: Broker | None
    """None when the launch uses no broker."""
    bus: Bus
    """Endpoints for other machines."""
    safety: Safety
    """What the guardian watches; host names."""
    telemetry: Telemetry
    """Logs and metrics."""
    mission: str | None
    """The first command."""
    nodes: dict[str, PlannedNode]
    """By id, in start order."""
    hosts: dict[str, PlannedHost]
    """By name, in start order."""
    wake_us: int | None = None
    """How long a processor may take to wake, us."""
    board: str | None = None
    """Board whose profiles say whether its jobs fit."""
    profiles: tuple[Path, ...] = ()
    """Files of measured profiles, absolute."""
    disabled: frozenset[str] = frozenset()
    """Ids of nodes that are switched off."""
    notes: tuple[str, ...] = ()
    """What is worth a warning but no error."""

    @property
    def use_sim_time(self) -> bool:
        """Whether nodes take their time from a simulation."""
        return self.arguments.get("use_sim_time") is True


def joined(*parts: str) -> str:
    """Join parts of a slash path, empty ones left out."""
    return "/".join(part for part in parts if part)


LAUNCHER = "launcher"
"""Name of the launcher's own heartbeat."""


def host_name(scope: str, name: str) -> str:
    """Return a host's name in the launch: `left.sensors` for `sensors` of the scope `left`."""
    if name == LAUNCHER:
        return name
    return ".".join([*scope.split("/"), name]) if scope else name
