"""Which nodes of a recording run again, and for which their recorded messages stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.node.devices import MARK, Opening, is_marked_off, opening_of, openings
from olympus.runtime.node.journal import Kind
from olympus.runtime.node.loading import load_node_class, why_not_imported
from olympus.runtime.node.node import Node
from olympus.runtime.node.spec import NodeSpec
from olympus.runtime.replay.halting import Reached, watching
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.rows import read_rows

RUNTIME = "olympus.runtime."
_touchy: dict[str, str] = {}
"""What modules reached for while they were imported, which happens but once in a process."""


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
    module isn't imported either. A module that reaches for one while it is imported is refused it.

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
    node_class = _load(name, spec.uses)
    says_no = _says_no(spec.uses) if node_class is None else not node_class.is_replayed
    if says_no:
        class_name = node_class.__name__ if node_class is not None else spec.uses
        return Apart(name, f"{class_name} says {MARK} = False", is_meant=True)
    module = spec.uses.partition(":")[0]
    if (what := _touchy.get(module)) is not None:
        why = f"it reached for {what} while {module} was imported, and its class does not say"
        return Apart(name, f"{why} {MARK} = False", is_meant=False)
    opening = None if node_class is None or _says(node_class) else _of_class(node_class)
    return _unmarked(name, opening) if opening is not None else None


def full_names(inject: Collection[str], recording: Recording) -> frozenset[str]:
    """Return the full names of nodes that somebody wants left out.

    Args:
        inject: Their full names, or the last parts of them.
        recording: Its journals are searched for them.

    Raises:
        ConfigError: No journal tells of one, or one name fits several.
    """
    known = frozenset(_journaled(recording) if inject else ())
    found = set()
    for name in inject:
        full = {name} & known or {one for one in known if one.rpartition("/")[2] == name}
        if not full:
            raise ConfigError(
                f"--inject {name}: no journal tells of it; {did_you_mean(name, known)} "
                "(what has no journal does not run again anyway)"
            )
        if len(full) > 1:
            raise ConfigError(f"--inject {name}: name one of {', '.join(sorted(full))}")
        found |= full
    return frozenset(found)


def _journaled(recording: Recording) -> Iterator[str]:
    """Yield the full names of the nodes with a journal."""
    for _, _, pieces in recording.journals():
        for row in read_rows(pieces):
            if row.kind is Kind.NODE:
                yield NodeSpec.model_validate(row.fields[0]).full_name


def _load(name: str, uses: str) -> type[Node] | None:
    """Return a node's class; None where its module reaches for a device and ends at that.

    Raises:
        ConfigError: It can't be loaded.
    """
    module = uses.partition(":")[0]

    def note(what: str) -> None:
        _touchy.setdefault(module, what)

    try:
        with watching(note, is_import=True):
            if why := why_not_imported(module):
                raise ConfigError(f"uses: {uses}: {why}")
            return load_node_class(uses)
    except Reached:
        return None
    except ConfigError as error:
        if module in _touchy:  # it made another error of what it was refused
            return None
        raise ConfigError(f"{error}; `--inject {name}` lets its recorded messages stand") from error


def _says_no(uses: str) -> bool:
    """Tell whether a class that can't be loaded says so in its source."""
    module, _, class_name = uses.partition(":")
    file = _source_of(module)
    return file is not None and is_marked_off(file, class_name)


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
