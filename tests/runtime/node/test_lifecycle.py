import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import LifecycleError
from olympus.runtime.node.lifecycle import State, Transition, after


def test_the_whole_table() -> None:
    allowed = {(s, t): after(s, t) for s in State for t in Transition if _is_allowed(s, t)}
    assert allowed == {
        (State.UNCONFIGURED, Transition.CONFIGURE): State.INACTIVE,
        (State.INACTIVE, Transition.ACTIVATE): State.ACTIVE,
        (State.ACTIVE, Transition.DEACTIVATE): State.INACTIVE,
        (State.INACTIVE, Transition.CLEANUP): State.UNCONFIGURED,
        (State.UNCONFIGURED, Transition.SHUTDOWN): State.FINALIZED,
        (State.INACTIVE, Transition.SHUTDOWN): State.FINALIZED,
        (State.ACTIVE, Transition.SHUTDOWN): State.FINALIZED,
    }


def _is_allowed(state: State, transition: Transition) -> bool:
    try:
        after(state, transition)
    except LifecycleError:
        return False
    return True


def test_a_refusal_says_what_is_possible() -> None:
    with pytest.raises(LifecycleError, match="possible: configure, shutdown"):
        after(State.UNCONFIGURED, Transition.ACTIVATE)
    with pytest.raises(LifecycleError, match="possible: nothing"):
        after(State.FINALIZED, Transition.CONFIGURE)


@given(st.lists(st.sampled_from(Transition), max_size=20))
def test_nothing_becomes_active_without_being_configured_first(steps: list[Transition]) -> None:
    state, seen = State.UNCONFIGURED, [State.UNCONFIGURED]
    for step in steps:
        if _is_allowed(state, step):
            state = after(state, step)
            seen.append(state)
    for before, now in itertools.pairwise(seen):
        assert now is not State.ACTIVE or before is State.INACTIVE
        assert before is not State.FINALIZED
