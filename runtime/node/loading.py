"""From `uses: olympus.nodes.detector` to a Node class."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.node.node import Node


def load_node_class(uses: str) -> type[Node]:
    """Import the node class that a launch file names.

    Args:
        uses: `package.module` that defines one public Node class, or `package.module:Class`.

    Raises:
        ConfigError: The module or the class does not exist, or the module defines none or several.
    """
    module_name, _, class_name = uses.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise ConfigError(f"uses: {uses}: there is no module {error.name!r}") from error
        raise ConfigError(
            f"uses: {uses}: it needs {error.name!r}, which is not installed; "
            f"install it, or the extra of Olympus that brings it"
        ) from error
    found: dict[str, type[Node]] = {
        name: member
        for name, member in inspect.getmembers(module, _is_node_class)
        if member.__module__ == module.__name__ or module.__name__ in member.__module__
    }
    if class_name:
        if class_name not in found:
            raise ConfigError(f"uses: {uses}: no such node; {did_you_mean(class_name, found)}")
        return found[class_name]
    if len(found) != 1:
        names = ", ".join(found) or "none"
        raise ConfigError(
            f"uses: {uses}: one node class is needed there, found {names}; "
            f"name it: '{module_name}:ClassName'"
        )
    return next(iter(found.values()))


def look_beside(folder: Path) -> None:
    """Let node modules be imported that lie in `folder`, behind everything that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _is_node_class(member: object) -> bool:
    return (
        inspect.isclass(member)
        and issubclass(member, Node)
        and member is not Node
        and not member.__name__.startswith("_")
    )
