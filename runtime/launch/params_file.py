"""A params file: whose params it holds, in our form or in that of ROS.

Ours is `{node: {param: value}}`. ROS names a node with its namespace, in one word or one in the
other, may mean several with `*` and `**`, and writes `ros__parameters` between node and params.

Source: design.ros2.org, "ROS Command Line Arguments", and rcl_yaml_param_parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import LaunchError, did_you_mean
from olympus.runtime.launch.document import Document
from olympus.runtime.launch.plan import LaunchPlan, joined
from olympus.runtime.launch.substitute import Early

ROS = "ros__parameters"
"""What stands between a node and its params in a params file of ROS."""
SIM_TIME = "use_sim_time"
"""In ROS each node has it; here it is of the whole session, whose nodes share one time."""
_Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filed:
    """What a params file says of some nodes."""

    nodes: tuple[str, ...]
    """Their ids."""
    params: dict[str, JsonValue]
    wants_sim_time: bool


def sections(document: Document, plan: LaunchPlan, scope: str) -> Iterator[Filed]:
    """Yield what a params file says, section by section.

    Args:
        document: The file.
        plan: The launch; a node of it that is switched off may have a section too.
        scope: Scope of the launch file that names it.

    Raises:
        LaunchError: A section names no node, or is no mapping.
    """
    for name in document.data:
        yield from _section(document, plan, scope, (name,))


def _section(document: Document, plan: LaunchPlan, scope: str, place: _Place) -> Iterator[Filed]:
    name = "/".join(part.strip("/") for part in place)
    given: JsonValue = dict(document.data)
    for part in place:
        given = given[part] if isinstance(given, dict) else None
    nodes = _meant(name, plan, scope)
    if not nodes and isinstance(given, dict) and given and ROS not in given and _is_ros(given):
        for inner in given:
            yield from _section(document, plan, scope, (*place, inner))
        return
    if not nodes:
        hint = did_you_mean(name, plan.nodes)
        raise LaunchError(f"{document.where(place)}: no node is called {name!r}; {hint}")
    values = Early(document, plan.arguments).value(given, place)
    values = {} if values is None else values
    is_ros = isinstance(values, dict) and list(values) == [ROS]
    params = values[ROS] if is_ros and isinstance(values, dict) else values
    if not isinstance(params, dict):
        raise LaunchError(f"{document.where(place)}: {name} must be a mapping of its params")
    wish = params.pop(SIM_TIME, False) if is_ros else False
    yield Filed(nodes, params, wants_sim_time=wish is True)


def _is_ros(value: JsonValue) -> bool:
    """Tell whether a mapping has nodes in ROS's form somewhere below it."""
    return isinstance(value, dict) and (ROS in value or any(_is_ros(v) for v in value.values()))


def _meant(name: str, plan: LaunchPlan, scope: str) -> tuple[str, ...]:
    """Return the ids of the nodes that a params file means by a name; none if there is none."""
    inner, full = joined(scope, name), name.strip("/")
    for known in (inner, full):
        if known in plan.nodes or known in plan.disabled:
            return (known,)
    return tuple(n.id for n in plan.nodes.values() if matches(full, joined(n.namespace, n.name)))
