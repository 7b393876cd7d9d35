"""Params in layers: the launch file's, a params file's over them, the command line's on top."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from olympus.runtime.errors import LaunchError, did_you_mean
from olympus.runtime.launch.document import Document, read
from olympus.runtime.launch.plan import LaunchPlan, joined
from olympus.runtime.launch.substitute import Early, finish

Params = dict[str, JsonValue]
_ROS = "ros__parameters"
"""What stands between a node and its params in a params file of ROS."""


def effective_params(plan: LaunchPlan, late: Mapping[str, JsonValue]) -> dict[str, Params]:
    """Return the params of each node, read anew from the params files.

    Args:
        plan: The launch.
        late: Values that only a running session knows, `broker.url` and others.

    Returns:
        Params that were set anywhere, by node id; params left at their default are missing.

    Raises:
        LaunchError: A params file can't be read or names an unknown node.
    """
    filed = _filed(plan)
    result: dict[str, Params] = {}
    for node_id, node in plan.nodes.items():
        layers = laid_over(node.written, filed.get(node_id, {}), deep=False)
        done = finish(laid_over(layers, node.typed, deep=True), late)
        result[node_id] = done if isinstance(done, dict) else {}
    return result


def laid_over(lower: Params, upper: Params, *, deep: bool) -> Params:
    """Return `lower` with the values of `upper` over it.

    Args:
        lower: The values below.
        upper: The values that win.
        deep: Whether a mapping is merged into the one below it instead of replacing it.
    """
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        if deep and isinstance(value, dict) and isinstance(below, dict):
            result[key] = laid_over(below, value, deep=True)
        else:
            result[key] = value
    return result


def _filed(plan: LaunchPlan) -> dict[str, Params]:
    result: dict[str, Params] = {}
    for file in plan.params_files:
        document = read(file.path)
        for name in document.data:
            node_id = _node_id(name, plan, file.scope)
            params = _section(document, name, plan, node_id)
            result[node_id] = {**result.get(node_id, {}), **params}
    return result


def _node_id(name: str, plan: LaunchPlan, scope: str) -> str:
    """Return the node that a params file means; ROS names it with its namespace."""
    inner, full = joined(scope, name), name.strip("/")
    if inner in plan.nodes or inner in plan.disabled:
        return inner
    named = (n.id for n in plan.nodes.values() if joined(n.namespace, n.name) == full)
    return next(named, joined(scope, full))


def _section(document: Document, name: str, plan: LaunchPlan, node_id: str) -> Params:
    if node_id not in plan.nodes and node_id not in plan.disabled:
        hint = did_you_mean(name, plan.nodes)
        raise LaunchError(f"{document.where((name,))}: no node is called {name!r}; {hint}")
    values = Early(document, plan.arguments).value(document.data[name], (name,))
    if values is None:
        return {}
    if isinstance(values, dict) and list(values) == [_ROS]:
        values = values[_ROS]
    if not isinstance(values, dict):
        raise LaunchError(f"{document.where((name,))}: {name} must be a mapping of its params")
    return values
