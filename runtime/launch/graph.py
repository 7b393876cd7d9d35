"""Who must run before whom: start order, and the circle that makes one impossible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from olympus.runtime.errors import LaunchError


def start_order(needs: Mapping[str, Sequence[str]], what: str) -> tuple[str, ...]:
    """Return names so that each comes after all it needs.

    Among those that could come next, the one written first comes first: the order is stable.

    Args:
        needs: What each name needs, all of them keys; in the order they were written.
        what: What the names are ("nodes", "hosts"), for the error.

    Raises:
        LaunchError: Some need each other in a circle; prints it.
    """
    waiting = dict.fromkeys(needs)
    order: list[str] = []
    done: set[str] = set()
    while waiting:
        ready = next((name for name in waiting if done.issuperset(needs[name])), None)
        if ready is None:
            circle = " -> ".join(find_circle({name: needs[name] for name in waiting}))
            raise LaunchError(
                f"these {what} wait for each other: {circle}; take one depends_on away"
            )
        del waiting[ready]
        order.append(ready)
        done.add(ready)
    return tuple(order)


def find_circle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one circle among names that all wait for one of them.

    Args:
        needs: What each name needs; each has at least one need among the keys.

    Returns:
        The names along the circle, the first one again at the end.
    """
    walk = [next(iter(needs))]
    while True:
        following = next(name for name in needs[walk[-1]] if name in needs)
        if following in walk:
            return [*walk[walk.index(following) :], following]
        walk.append(following)


def host_needs(
    node_needs: Mapping[str, Sequence[str]], host_of: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return which hosts each host waits for, because of its nodes.

    Args:
        node_needs: What each node needs, in start order.
        host_of: Each node's host.
    """
    result: dict[str, dict[str, None]] = {host_of[node]: {} for node in node_needs}
    for node, needs in node_needs.items():
        others = (host_of[need] for need in needs)
        result[host_of[node]] |= {host: None for host in others if host != host_of[node]}
    return {host: tuple(needs) for host, needs in result.items()}
