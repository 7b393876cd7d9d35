"""How node hosts are started, with the params as they are now."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial

from olympus.runtime.config import Session
from olympus.runtime.launch.forking import Orders
from olympus.runtime.launch.nursery import HOST_MODULE
from olympus.runtime.launch.params import Params
from olympus.runtime.launch.plan import LaunchPlan, PlannedHost
from olympus.runtime.launch.process import Command, Fds
from olympus.runtime.launch.recipes import private_file
from olympus.runtime.launch.supervisor import Recipe
from olympus.runtime.node.spec import HostSpec, NodeSpec

GUARDED_PRIORITY = 10
"""Real-time priority of the loop of a host that may not be silent for long, if its file says
nothing."""

TIGHT_S = 0.5
"""A heartbeat that may be silent for so long or less needs more than its share of a processor."""


class HostRecipes:
    """Makes the recipes of a launch's hosts."""

    def __init__(
        self,
        plan: LaunchPlan,
        session: Session,
        params: Mapping[str, Params],
        *,
        nursery: Orders | None = None,
        is_guardian_urgent: bool = True,
    ) -> None:
        """Keep what they are made of.

        Args:
            plan: The launch.
            session: Where it runs.
            params: Of each node, by id.
            is_guardian_urgent: Whether the guardian was granted its real-time priority; no host
                gets one before it.
            nursery: Forks the hosts; None to start each as a new interpreter.
        """
        self._plan, self._session, self._nursery = plan, session, nursery
        self._is_guardian_urgent = is_guardian_urgent
        self._params = {node_id: dict(values) for node_id, values in params.items()}

    def update(self, node_id: str, params: Params) -> None:
        """Change params, for the next start of a node's host."""
        self._params[node_id] |= params

    def recipe(self, host: PlannedHost) -> Recipe:
        """Return how a host is started."""

        def command(fds: Fds, restarts: int) -> Command:
            spec = self.spec(host, fds, restarts)
            folder = self._session.run_dir / "hosts"
            folder.mkdir(mode=0o700, exist_ok=True)
            file = private_file(folder / f"{host.name}.json", spec.model_dump_json(indent=1))
            words = [sys.executable, "-m", HOST_MODULE, str(file)]
            if self._nursery is None or not host.settings.forked:
                return Command(words)
            return Command(words, fork=partial(self._nursery.fork, words, fds))

        return Recipe(
            name=host.name,
            kind="host",
            command=command,
            settings=host.settings,
            nodes=tuple(node.full_name for node in self._nodes(host)),
        )

    def spec(self, host: PlannedHost, fds: Fds, restarts: int) -> HostSpec:
        """Return what a host is told.

        Affinity and niceness are not in it: the launcher sets them itself.

        Args:
            host: Which one.
            fds: Descriptors it inherits.
            restarts: How often it was started before.
        """
        return HostSpec(
            session=self._session,
            name=host.name,
            nodes=self._nodes(host),
            node_dir=self._plan.file.parent,
            plugins=list(self._plan.plugins),
            heartbeat=host.name if host.name in self._plan.safety.watch else None,
            restarts=restarts,
            status_fd=fds.status,
            lifeline_fd=fds.lifeline,
            afar={name: rule.bare() for name, rule in self._plan.bus.topics.items()},
            log_level=self._plan.telemetry.log_level,
            is_journaled=self._plan.telemetry.journal,
            launch_file=self._plan.file,
            urgency=self._urgency(host),
            spin_s=host.settings.spin_s,
            resources=tuple(one.rules(name) for name, one in host.settings.resources.items()),
        )

    def _urgency(self, host: PlannedHost) -> int | None:
        """Return the real-time priority of a host's loop; 0 for a niceness, None for nothing."""
        safety = self._plan.safety
        wanted = host.settings.realtime_priority
        if wanted is None:
            is_guarded = is_tight(safety.watch.get(host.name)) and not host.settings.nice
            wanted = min(GUARDED_PRIORITY, safety.priority - 1) if is_guarded else 0
        if wanted <= 0:
            return None
        return 0 if safety.is_watched and not self._is_guardian_urgent else wanted

    def _nodes(self, host: PlannedHost) -> list[NodeSpec]:
        planned = (self._plan.nodes[node_id] for node_id in host.nodes)
        return [
            NodeSpec(
                name=node.name,
                uses=node.uses,
                namespace=node.namespace,
                params=self._params[node.id],
                remaps=node.remaps,
            )
            for node in planned
        ]


def is_tight(limit_s: float | None) -> bool:
    """Tell whether a heartbeat's limit asks for a loop ahead of ordinary work; None = no limit."""
    return limit_s is not None and limit_s <= TIGHT_S
