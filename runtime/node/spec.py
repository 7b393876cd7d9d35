"""What a host is told when it is started: a JSON file, written by the launcher, read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from olympus.runtime.bus.afar import AfarRule
from olympus.runtime.config import Session
from olympus.runtime.scheduler.rules import ResourceRules

CANT_RUN = " can't run: "
"""Stands in a host's log between its name and why it ends."""


class NodeSpec(BaseModel):
    """One node of a host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Without its namespace."""
    uses: str
    """`package.module` that holds one public Node class, or `package.module:Class`."""
    namespace: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    remaps: dict[str, str] = Field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """Name with its namespace, such as `rover/detector`."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class HostSpec(BaseModel):
    """One process and its nodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: Session
    name: str
    nodes: list[NodeSpec]
    node_dir: Path | None = None
    """Folder of the launch file: node modules that lie beside it can be imported."""
    plugins: list[str] = Field(default_factory=list)
    """Modules to import first: they register devices."""
    heartbeat: str | None = None
    """Name under which the guardian watches this host's event loop; None = it does not."""
    restarts: int = 0
    """How often the launcher has started this host before."""
    status_fd: int | None = None
    """Where it writes JSON lines about its state."""
    lifeline_fd: int | None = None
    """Reading end of the pipe that ends with the launcher."""
    log_file: Path | None = None
    """Where its log lines go besides the bus; None = standard error."""
    log_level: str = "info"
    is_journaled: bool = False
    """Whether it keeps a journal, and waits at its start for a recorder that takes it."""
    launch_file: Path | None = None
    """The launch file that it comes from, for the journal."""
    afar: dict[str, AfarRule] = Field(default_factory=dict)
    """How topics go to other machines, by their names or patterns; the first that fits."""
    urgency: int | None = None
    """Real-time priority of its event loop once it is ready; 0 = a niceness alone, None = none."""
    spin_s: float = 0.0
    """How long it stays awake at most for the next message, s; see bus/alertness.py."""
    resources: tuple[ResourceRules, ...] = ()
    """What its models run on; one worker when empty."""
