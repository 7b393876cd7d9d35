"""How node hosts are started, with the params as they are now."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from olympus.runtime.config import Session
from olympus.runtime.launch.params import Params
from olympus.runtime.launch.plan import LaunchPlan, PlannedHost
from olympus.runtime.launch.process import Command, Fds
from olympus.runtime.launch.recipes import private_file
from olympus.runtime.launch.supervisor import Recipe
from olympus.runtime.node.spec import HostSpec, NodeSpec

_MODULE = "olympus.runtime.node.host"


class HostRecipes:
    """Makes the recipes of a launch's hosts."""

    def __init__(self, plan: LaunchPlan, session: Session, params: Mapping[str, Params]) -> None:
        """Keep the params of each node, by id."""
        self._plan, self._session = plan, session
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
            return Command([sys.executable, "-m", _MODULE, str(file)])

        return Recipe(
            name=host.name,
            kind="host",
            command=command,
            settings=host.settings,
            nodes=tuple(node.full_name for node in self._nodes(host)),
        )

    def spec(self, host: PlannedHost, fds: Fds, restarts: int) -> HostSpec:
        """Return what a host is told.

        Affinity and priorities are not in it: the launcher sets them itself.

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
            spin_s=host.settings.spin_s,
            resources=tuple(one.rules(name) for name, one in host.settings.resources.items()),
        )

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
