"""A launch file being put together: what its includes bring, and what it says itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError, did_you_mean
from olympus.runtime.launch.condition import holds
from olympus.runtime.launch.document import Document
from olympus.runtime.launch.guarding import Safety
from olympus.runtime.launch.plan import ParamsFile, host_name, joined
from olympus.runtime.launch.schema import (
    Argument,
    Broker,
    Host,
    LaunchFile,
    Node,
    Ros2,
)
from olympus.runtime.launch.section import Section
from olympus.runtime.launch.substitute import beside

S = TypeVar("S", bound=Section)
BRIDGE = "olympus.nodes.ros2"
"""The node that a section `ros2` makes."""


@dataclass(slots=True)
class Entry:
    """A node as it was written, and where."""

    node: Node
    """What was written; refinements laid over."""
    namespace: str
    """Namespace of its file."""
    where: str
    """`file:line`; when refined, of the refinement and of what it lies over."""


@dataclass(slots=True)
class Loaded:
    """One launch file with everything it includes."""

    file: Path
    """Absolute path of the file."""
    top: LaunchFile
    """The file itself, its unset sections taken from its includes."""
    namespace: str
    """Namespace in effect."""
    arguments: dict[str, JsonValue]
    """Values of its arguments."""
    declared: dict[str, Argument]
    """Their declarations, and those of included files."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """Enabled nodes by id, in the order they were written."""
    disabled: dict[str, Entry] = field(default_factory=dict)
    """Nodes that are switched off, by id."""
    hosts: dict[str, Host] = field(default_factory=dict)
    """Hosts by name in the launch; node ids in full."""
    safety: Safety = field(default_factory=Safety)
    """Host names in full."""
    plugins: list[str] = field(default_factory=list)
    """Of all files, each once."""
    params_files: list[ParamsFile] = field(default_factory=list)
    """Of all files; later ones win."""
    brokers: list[Broker] = field(default_factory=list)
    """As written, outermost file first."""

    def node_called(self, name: str) -> str:
        """Return the id of a node by its id or full name; the name itself if there is none."""
        for node_id, entry in self.entries.items() if name not in self.entries else ():
            said = entry.node.namespace
            namespace = entry.namespace if said is None else said
            if joined(namespace, node_id.rpartition("/")[2]) == name:
                return node_id
        return name


def merge(loaded: Loaded, other: Loaded, where: str) -> None:
    """Add what an include brings.

    Args:
        loaded: The including file, changed in place.
        other: The included one.
        where: `file:line` of the include.

    Raises:
        LaunchError: Both bring a node of the same id.
    """
    for node_id, entry in other.entries.items():
        if node_id in loaded.entries:
            raise LaunchError(
                f"{where}: node {node_id!r} stands at {loaded.entries[node_id].where} and at "
                f"{entry.where}; give one include a namespace"
            )
        loaded.entries[node_id] = entry
    loaded.disabled |= other.disabled
    loaded.declared = {**other.declared, **loaded.declared}
    loaded.hosts |= {
        name: _laid_over(loaded.hosts[name], host) if name in loaded.hosts else host
        for name, host in other.hosts.items()
    }
    loaded.safety = _laid_over(other.safety, loaded.safety)
    loaded.plugins += [plugin for plugin in other.plugins if plugin not in loaded.plugins]
    loaded.params_files += other.params_files
    loaded.brokers += other.brokers
    top = loaded.top
    loaded.top = top.model_copy(
        update={
            "bus": _laid_over(other.top.bus, top.bus),
            "telemetry": _laid_over(other.top.telemetry, top.telemetry),
            "mission": top.mission if top.mission is not None else other.top.mission,
        }
    )


def add_own(loaded: Loaded, document: Document, scope: str) -> None:
    """Add what the file itself says, over what its includes brought.

    Args:
        loaded: The file, changed in place.
        document: The same file with its lines.
        scope: Put before the ids of its nodes; '' at the top.

    Raises:
        LaunchError: A node's entry makes no sense; names file and line.
    """
    top = loaded.top
    for name, node in top.nodes.items():
        where = document.where(("nodes", name))
        if node.uses is not None and "/" in name:
            raise LaunchError(f"{where}: {name!r}: a new node's name has no '/'")
        _add_node(loaded, joined(scope, name), node, where)
    if top.ros2 is not None:
        _add_bridge(loaded, top.ros2, document, scope)
    for name, host in top.hosts.items():
        full = host_name(scope, name)
        host = host.model_copy(update={"nodes": [joined(scope, node) for node in host.nodes]})
        loaded.hosts[full] = _laid_over(loaded.hosts.get(full, Host()), host)
    watch = {host_name(scope, name): limit for name, limit in top.safety.watch.items()}
    own = top.safety.model_copy(update={"watch": watch}) if watch else top.safety
    loaded.safety = _laid_over(loaded.safety, own)
    loaded.plugins += [plugin for plugin in top.plugins if plugin not in loaded.plugins]
    names = [top.params_file] if top.params_file else []
    for name in [*names, *top.params_files]:
        path = Path(beside(document.file, name))
        loaded.params_files.append(ParamsFile(path=path, scope=scope))
    if top.broker is not None:
        loaded.brokers.insert(0, top.broker)


def _add_bridge(loaded: Loaded, section: Ros2, document: Document, scope: str) -> None:
    """Make the node that the section `ros2` asks for, or refine an included one."""
    params = section.model_dump(mode="json", exclude_unset=True, exclude={"enabled", "host"})
    params |= (
        {"interfaces": [beside(document.file, str(folder)) for folder in section.interfaces]}
        if section.interfaces
        else {}
    )
    if loaded.arguments.get("use_sim_time") is True and "clock" not in params:
        params["clock"] = "follow"
    fields: dict[str, Any] = {"params": params}
    node_id = joined(scope, "ros2")
    if node_id not in {*loaded.entries, *loaded.disabled}:
        fields["uses"] = BRIDGE
    if "enabled" in section.model_fields_set:
        fields["enabled"] = section.enabled
    if section.host is not None:
        fields["host"] = section.host
    _add_node(loaded, node_id, Node(**fields), document.where(("ros2",)))


def _add_node(loaded: Loaded, node_id: str, node: Node, where: str) -> None:
    was_on = loaded.entries.pop(node_id, None)
    known = was_on or loaded.disabled.pop(node_id, None)
    if node.uses is None and known is None:
        hint = did_you_mean(node_id, {*loaded.entries, *loaded.disabled})
        raise LaunchError(
            f"{where}: node {node_id!r} says no 'uses' and refines no included node; {hint}"
        )
    if node.uses is not None and known is not None:
        raise LaunchError(
            f"{where}: node {node_id!r} is included from {known.where} already; "
            "leave 'uses' out to refine it, or rename this one"
        )
    entry = Entry(node, loaded.namespace, where)
    if known is not None:
        both = f"{where} (over {known.where})"
        entry = Entry(_laid_over(known.node, node), known.namespace, both)
    is_on = entry.node.enabled
    if known is not None and "enabled" not in node.model_fields_set:
        is_on = was_on is not None  # a condition of its own file names arguments of that file
    elif isinstance(is_on, str):
        is_on = holds(is_on, loaded.arguments, where)
    (loaded.entries if is_on else loaded.disabled)[node_id] = entry


def _laid_over(lower: S, upper: S) -> S:
    """Return `lower` with what `upper` sets; mappings merge, a host's nodes add up."""
    changes: dict[str, object] = {}
    for name in upper.model_fields_set:
        new, old = getattr(upper, name), getattr(lower, name)
        if isinstance(new, dict) and isinstance(old, dict):
            changes[name] = {**old, **new}
        elif isinstance(upper, Host) and name == "nodes":
            changes[name] = [*old, *(node for node in new if node not in old)]
        else:
            changes[name] = new
    return lower.model_copy(update=changes)
