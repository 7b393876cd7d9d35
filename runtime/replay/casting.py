"""Which nodes of a recording run again, and for which their recorded messages stand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.node.devices import MARK, Opening, opening_of, openings
from olympus.runtime.node.loading import load_node_class
from olympus.runtime.node.node import Node
from olympus.runtime.node.spec import NodeSpec

RUNTIME = "olympus.runtime."


@dataclass(frozen=True, slots=True)
class Apart:
    """A node with a journal that does not run again."""

    node: str
    why: str
    is_meant: bool
    """Whether somebody said so; else nobody can tell whether it would do the same again."""


def apart(spec: NodeSpec, inject: Collection[str] = ()) -> Apart | None:
    """Return why a node must not run again; None if it does.

    A class that opens a device is never made, and where that is seen from its source alone, its
    module isn't imported either.

    Args:
        spec: Of the node, from its journal.
        inject: Full names of nodes that somebody wants left out.

    Raises:
        ConfigError: Its class can't be loaded.
    """
    name = spec.full_name
    if name in inject:
        return Apart(name, "left out by --inject", is_meant=True)
    if (opening := _seen_in_source(spec.uses)) is not None:
        return _unmarked(name, opening)
    try:
        node_class = load_node_class(spec.uses)
    except ConfigError as error:
        raise ConfigError(f"{error}; `--inject {name}` lets its recorded messages stand") from error
    if not node_class.is_replayed:
        return Apart(name, f"{node_class.__name__} says {MARK} = False", is_meant=True)
    opening = None if _says(node_class) else _of_class(node_class)
    return _unmarked(name, opening) if opening is not None else None


def check_inject(inject: Collection[str], known: Collection[str]) -> None:
    """Refuse names that no journal knows.

    Args:
        inject: Full names of nodes that somebody wants left out.
        known: Those of all nodes with a journal.

    Raises:
        ConfigError: There is one.
    """
    for name in sorted(set(inject).difference(known)):
        raise ConfigError(
            f"--inject {name}: no journal tells of it; {did_you_mean(name, known)} "
            "(what has no journal does not run again anyway)"
        )


def _unmarked(name: str, opening: Opening) -> Apart:
    return Apart(name, f"{opening.node} {opening} and does not say {MARK} = False", is_meant=False)


def _seen_in_source(uses: str) -> Opening | None:
    module, _, class_name = uses.partition(":")
    file = _source_of(module)
    for one in openings(file) if file is not None else ():
        if one.node == class_name or not (class_name or one.node.startswith("_")):
            return one
    return None


def _source_of(module: str) -> Path | None:
    try:
        found = find_spec(module)
    except (ImportError, ValueError):
        return None  # whoever loads it tells
    file = Path(found.origin or "") if found is not None else Path()
    return file if file.suffix == ".py" and file.is_file() else None


def _says(node_class: type[Node]) -> bool:
    return any(MARK in vars(one) for one in node_class.__mro__ if one is not Node)


def _of_class(node_class: type[Node]) -> Opening | None:
    for one in node_class.__mro__:
        file = None if one.__module__.startswith(RUNTIME) else _source_of(one.__module__)
        if file is not None and (found := opening_of(file, one.__name__)) is not None:
            return found
    return None
