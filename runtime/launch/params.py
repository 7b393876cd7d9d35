"""Params in layers: the launch file's, a params file's over them, the command line's on top."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from olympus.runtime.launch.document import read
from olympus.runtime.launch.loaded import BRIDGE
from olympus.runtime.launch.params_file import sections
from olympus.runtime.launch.plan import LaunchPlan
from olympus.runtime.launch.substitute import finish

Params = dict[str, JsonValue]


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
    wants_sim_time = False
    for file in plan.params_files:
        for one in sections(read(file.path), plan, file.scope):
            wants_sim_time |= one.wants_sim_time
            for node_id in one.nodes:
                result[node_id] = {**result.get(node_id, {}), **one.params}
    for node in plan.nodes.values() if wants_sim_time else ():
        if node.uses == BRIDGE and "clock" not in node.written:
            result[node.id] = {"clock": "follow", **result.get(node.id, {})}
    return result
