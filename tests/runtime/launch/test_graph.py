"""Start order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.graph import find_circle, host_needs, start_order

names = st.integers(0, 11).map(lambda n: f"n{n}")


@st.composite
def graphs_without_circle(draw: st.DrawFn) -> dict[str, list[str]]:
    order = draw(st.permutations([f"n{i}" for i in range(8)]))
    needs = {
        name: draw(st.lists(st.sampled_from(order[:i]), unique=True)) if i else []
        for i, name in enumerate(order)
    }
    written = draw(st.permutations(list(order)))
    return {name: needs[name] for name in written}


@given(graphs_without_circle())
def test_everything_comes_after_what_it_needs(needs: dict[str, list[str]]) -> None:
    order = start_order(needs, "nodes")
    assert sorted(order) == sorted(needs)
    for name, its in needs.items():
        assert all(order.index(need) < order.index(name) for need in its)


@given(graphs_without_circle())
def test_nothing_is_held_back_without_need(needs: dict[str, list[str]]) -> None:
    """Stable: whoever comes later though written earlier had to wait for something."""
    order = start_order(needs, "nodes")
    written = list(needs)
    for position, name in enumerate(order):
        could = [n for n in written if set(needs[n]) <= set(order[:position])]
        assert name == next(n for n in could if n not in order[:position])


@given(st.dictionaries(names, st.lists(names, unique=True), min_size=1))
def test_either_an_order_or_a_true_circle(graph: dict[str, list[str]]) -> None:
    needs = {name: [n for n in its if n in graph] for name, its in graph.items()}
    try:
        start_order(needs, "nodes")
    except LaunchError as error:
        circle = str(error).split(": ", 1)[1].split(";")[0].split(" -> ")
        assert circle[0] == circle[-1]
        assert all(need in needs[name] for name, need in pairwise(circle))


def test_a_node_that_waits_for_itself_is_a_circle() -> None:
    assert find_circle({"a": ["a"]}) == ["a", "a"]
    with pytest.raises(LaunchError, match="a -> a"):
        start_order({"a": ["a"]}, "nodes")


def test_a_host_waits_for_the_hosts_of_what_its_nodes_need_but_not_for_itself() -> None:
    node_needs = {"world": [], "camera": ["world"], "detector": ["camera", "world"]}
    host_of = {"world": "sim", "camera": "sense", "detector": "sense"}
    assert host_needs(node_needs, host_of) == {"sim": (), "sense": ("sim",)}
