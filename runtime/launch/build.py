"""From a launch file and a command line to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError, did_you_mean
from olympus.runtime.launch.arguments import Given, parse_assignments
from olympus.runtime.launch.document import shown
from olympus.runtime.launch.graph import host_needs, start_order
from olympus.runtime.launch.guarding import Safety
from olympus.runtime.launch.load import load
from olympus.runtime.launch.loaded import Entry, Loaded
from olympus.runtime.launch.plan import (
    LAUNCHER,
    LaunchPlan,
    ParamsFile,
    PlannedHost,
    PlannedNode,
    host_name,
    joined,
)
from olympus.runtime.launch.ros_args import RosWords
from olympus.runtime.launch.schema import Broker, Host
from olympus.runtime.launch.substitute import beside, references

MOST_HOSTS = 250
"""Each process keeps two sockets to each other one; 1024 descriptors are the usual limit."""


def make_plan(file: Path, words: Iterable[str] = ()) -> LaunchPlan:
    """Read a launch file and decide everything that can be decided before it runs.

    Args:
        file: The launch file.
        words: `key:=value` words for declared arguments and, as `node.param:=value`, for params.

    Returns:
        The plan, nodes and hosts in start order.

    Raises:
        LaunchError: Anything in a file or on the command line is wrong; says where.
    """
    words, ros = RosWords.taken_from(words)
    given = parse_assignments(words)
    loaded = load(file, given)
    params = {key: value for key, value in given.items() if key not in loaded.declared}
    typed = _typed_params(params, loaded)
    return ros.applied(_Building(loaded, typed).plan())


def _typed_params(given: Mapping[str, Given], loaded: Loaded) -> dict[str, dict[str, JsonValue]]:
    result: dict[str, dict[str, JsonValue]] = {}
    for key, value in given.items():
        node, _, param = key.partition(".")
        node = loaded.node_called(node)
        if node not in loaded.entries or not param:
            raise _unknown(key, node, param, loaded)
        first, *inner = param.split(".")
        target = result.setdefault(node, {})
        for name in inner:
            below = target.setdefault(first, {})
            target, first = (below if isinstance(below, dict) else {}), name
        target[first] = value.value
    return result


def _unknown(key: str, node: str, param: str, loaded: Loaded) -> LaunchError:
    if node in loaded.disabled:
        where = loaded.disabled[node].where
        return LaunchError(f"{key}:= sets a param of {node!r}, which is switched off at {where}")
    params = {f"{name}.{param or 'PARAM'}" for name in loaded.entries}
    hint = did_you_mean(key, {*loaded.declared, *params})
    return LaunchError(
        f"{shown(loaded.file)}: unknown argument {key!r}; {hint} (node.param:= sets any param)"
    )


class _Building:
    """Turns what was loaded into a plan."""

    def __init__(self, loaded: Loaded, typed: Mapping[str, dict[str, JsonValue]]) -> None:
        self._loaded = loaded
        self._typed = typed
        self._notes: list[str] = []
        self._host_of = self._assigned_hosts()

    def plan(self) -> LaunchPlan:
        """Return the plan.

        Raises:
            LaunchError: Names that don't exist, or a circle.
        """
        loaded, top = self._loaded, self._loaded.top
        nodes = {node_id: self._node(node_id) for node_id in loaded.entries}
        order = start_order({name: node.depends_on for name, node in nodes.items()}, "nodes")
        nodes = {node_id: nodes[node_id] for node_id in order}
        hosts = self._hosts(nodes)
        if not nodes:
            self._notes.append("no node is enabled")
        return LaunchPlan(
            name=top.name or loaded.file.stem.partition(".")[0],
            description=top.description,
            file=loaded.file,
            arguments=loaded.arguments,
            namespace=loaded.namespace,
            plugins=tuple(loaded.plugins),
            params_files=self._params_files(),
            broker=self._broker(nodes.values()),
            bus=top.bus,
            safety=self._safety(hosts),
            telemetry=top.telemetry,
            mission=top.mission,
            nodes=nodes,
            hosts=hosts,
            wake_us=top.wake_us,
            board=top.board,
            profiles=tuple(Path(beside(loaded.file, name)) for name in top.profiles),
            disabled=frozenset(loaded.disabled),
            notes=tuple(self._notes),
        )

    def _assigned_hosts(self) -> dict[str, str]:
        result: dict[str, str] = {}
        for host, settings in self._loaded.hosts.items():
            for node_id in settings.nodes:
                if node_id in result:
                    raise LaunchError(
                        f"node {node_id!r} is listed by the hosts {result[node_id]!r} and "
                        f"{host!r}; leave it in one"
                    )
                self._check_known(node_id, f"host {host!r} lists node")
                result[node_id] = host
        return result

    def _check_known(self, node_id: str, whose: str) -> None:
        known = {*self._loaded.entries, *self._loaded.disabled}
        if node_id not in known:
            raise LaunchError(f"{whose} {node_id!r}; {did_you_mean(node_id, known)}")

    def _node(self, node_id: str) -> PlannedNode:
        entry = self._loaded.entries[node_id]
        node, scope = entry.node, node_id.rpartition("/")[0]
        return PlannedNode(
            id=node_id,
            namespace=entry.namespace if node.namespace is None else node.namespace,
            uses=node.uses or "",
            host=self._host(node_id, entry),
            written=dict(node.params),
            typed=self._typed.get(node_id, {}),
            remaps=dict(node.remaps),
            depends_on=tuple(self._needs(scope, entry)),
            where=entry.where,
            jobs=tuple(node.jobs),
        )

    def _host(self, node_id: str, entry: Entry) -> str:
        scope, _, name = node_id.rpartition("/")
        listed = self._host_of.get(node_id)
        said = host_name(scope, entry.node.host) if entry.node.host else None
        if listed and said and listed != said:
            raise LaunchError(
                f"{entry.where}: node {node_id!r} says host {said!r}, but host {listed!r} lists "
                "it; leave one of the two out"
            )
        return said or listed or host_name(scope, name)

    def _needs(self, scope: str, entry: Entry) -> Iterable[str]:
        for need in entry.node.depends_on:
            inner = joined(scope, need)
            full = inner if {inner} & {*self._loaded.entries, *self._loaded.disabled} else need
            self._check_known(full, f"{entry.where}: depends_on names")
            if full in self._loaded.entries:
                yield full

    def _hosts(self, nodes: Mapping[str, PlannedNode]) -> dict[str, PlannedHost]:
        host_of = {node_id: node.host for node_id, node in nodes.items()}
        needs = host_needs({n: node.depends_on for n, node in nodes.items()}, host_of)
        written = {host: needs[host] for host in self._loaded.hosts if host in needs}
        if len(needs) > MOST_HOSTS:
            raise LaunchError(
                f"{len(needs)} processes are too many for one machine, {MOST_HOSTS} at most; "
                "group nodes with 'host: NAME', they run in one process then"
            )
        order = start_order({**written, **needs}, "hosts")
        for host, settings in self._loaded.hosts.items():
            if host not in needs and not settings.nodes:
                self._notes.append(f"host {host!r} has no nodes and is not started")
        return {
            host: PlannedHost(
                name=host,
                nodes=tuple(node_id for node_id in nodes if host_of[node_id] == host),
                depends_on=needs[host],
                settings=self._loaded.hosts.get(host, Host()),
            )
            for host in order
        }

    def _safety(self, hosts: Mapping[str, PlannedHost]) -> Safety:
        safety = self._loaded.safety
        known = (*hosts, LAUNCHER)
        for name in safety.watch:
            if name not in known and name not in self._loaded.hosts:
                raise LaunchError(f"safety.watch names host {name!r}; {did_you_mean(name, known)}")
        watch = {name: limit for name, limit in safety.watch.items() if name in known}
        if watch or safety.gates:
            for name, host in hosts.items():
                _check_below(safety.priority, name, host.settings)
        if safety.backstops and not (watch or safety.gates):
            raise LaunchError(
                "safety.backstops: no guardian would run to feed them; name a gate in safety.gates "
                "or a host that runs in safety.watch"
            )
        is_read = safety.estop is not None and safety.estop.settings is not None
        if is_read and not (watch or safety.gates):
            raise LaunchError(
                "safety.estop: no guardian would run to read it; name a gate in safety.gates or a "
                "host that runs in safety.watch"
            )
        return safety.model_copy(update={"watch": watch})

    def _broker(self, nodes: Iterable[PlannedNode]) -> Broker | None:
        if self._loaded.brokers:
            return self._loaded.brokers[0]
        names = set[str]().union(*(references([n.written, n.typed]) for n in nodes))
        is_used = any(name.startswith("broker.") for name in names)
        return Broker(embedded=True) if is_used else None

    def _params_files(self) -> tuple[ParamsFile, ...]:
        files = list(self._loaded.params_files)
        if typed := self._loaded.arguments.get("params_file"):
            files.append(ParamsFile(path=Path(str(typed)).absolute(), scope=""))
        return tuple(files)


def _check_below(guardian: int, name: str, host: Host) -> None:
    """Refuse a host that could keep the guardian from looking.

    Raises:
        LaunchError: Its priority is not below the guardian's.
    """
    wanted = host.realtime_priority or 0
    if wanted and wanted >= guardian:
        raise LaunchError(
            f"host {name!r} has realtime_priority {wanted}, which is not below the guardian's "
            f"({guardian or 'it has none'}): spinning, it would keep the guardian from looking; "
            f"raise safety.priority, or lower the host's"
        )
