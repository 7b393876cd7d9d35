"""The lifecycle of a node, after ROS 2's managed nodes.

Source: design.ros2.org, "Managed nodes".
"""

from __future__ import annotations

from enum import StrEnum

from olympus.runtime.errors import LifecycleError


class State(StrEnum):
    """What a node is ready for."""

    UNCONFIGURED = "unconfigured"
    INACTIVE = "inactive"
    ACTIVE = "active"
    FINALIZED = "finalized"


class Transition(StrEnum):
    """What can be asked of a node."""

    CONFIGURE = "configure"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    CLEANUP = "cleanup"
    SHUTDOWN = "shutdown"


_TABLE = {
    (State.UNCONFIGURED, Transition.CONFIGURE): State.INACTIVE,
    (State.INACTIVE, Transition.ACTIVATE): State.ACTIVE,
    (State.ACTIVE, Transition.DEACTIVATE): State.INACTIVE,
    (State.INACTIVE, Transition.CLEANUP): State.UNCONFIGURED,
    (State.UNCONFIGURED, Transition.SHUTDOWN): State.FINALIZED,
    (State.INACTIVE, Transition.SHUTDOWN): State.FINALIZED,
    (State.ACTIVE, Transition.SHUTDOWN): State.FINALIZED,
}


def after(state: State, transition: Transition) -> State:
    """Return the state that a successful transition leads to.

    Raises:
        LifecycleError: The transition does not exist in that state; says which do.
    """
    target = _TABLE.get((state, transition))
    if target is None:
        possible = ", ".join(t for s, t in _TABLE if s is state) or "nothing"
        raise LifecycleError(f"can't {transition} a node that is {state}; possible: {possible}")
    return target
